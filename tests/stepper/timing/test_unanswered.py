"""A request whose data nobody acknowledged: a capture's last answer is earlier, so the path of the connection says nothing about it."""

import pytest
from click.testing import CliRunner

from pystack.cli.main import cli
from tests.stepper.capture.corpus import Forged


def said(tmp_path, talk, *options):
    file = tmp_path / "half.pcapng"
    file.write_bytes(talk.capture())
    result = CliRunner().invoke(cli, ["time", str(file), *options])
    assert result.exit_code == 0, result.output
    return result.output


def half_open(begin=1):
    """A request and its answer, and then one that is sent four times, into nothing. The server resets the connection at last."""
    talk = Forged(handshake=begin == 1)
    talk.add("a", begin, 1, 100).add("b", 1, begin + 100, 50, after=10).add("a", begin + 100, 51)
    talk.add("a", begin + 100, 51, 37, after=50)
    for after in (200, 400, 800):
        talk.add("a", begin + 100, 51, 37, after=after)
    return talk


@pytest.mark.parametrize(("begin", "first"), [(1, 7), (2**32 - 150, 4), (2**31 - 150, 4)])
def test_what_was_never_acknowledged_is_said_with_its_place(tmp_path, begin, first):
    talk = half_open(begin).add("b", 51, begin + 100, flags=20, after=300)
    note = f"frame {first} was never acknowledged (3 retransmissions): --from frame={first} --to frame={first + 3}"
    assert note in said(tmp_path, talk)
    found = said(tmp_path, talk, "--from", f"frame={first}", "--to", f"frame={first + 3}")
    assert "1400.000 ms 100.0 %  RTO (loss, retransmission timeout)" in found


def test_the_control_of_that_what_was_acknowledged_late_is_no_news(tmp_path):
    assert "never acknowledged" not in said(tmp_path, half_open().add("b", 51, 138, after=300))


def test_a_capture_that_ends_while_data_is_on_the_way_is_no_news_either(tmp_path):
    talk = Forged().add("a", 1, 1, 100).add("b", 1, 101, 50, after=10).add("a", 101, 51, 37)
    assert "never acknowledged" not in said(tmp_path, talk)


def test_what_the_server_sent_into_nothing(tmp_path):
    talk = Forged().add("a", 1, 1, 100).add("b", 1, 101, after=10).add("b", 1, 101, 50).add("b", 1, 101, 50, after=250)
    assert "frame 6 was never acknowledged (1 retransmission): --from frame=6 --to frame=7" in said(tmp_path, talk)
