"""`--set NAME=VALUE`: a wrong name, value or number is wrong usage (exit status 2), and the message says what is possible."""

import pytest
from click.testing import CliRunner

from pystack.cli.main import cli

WRONG = [
    ("tcp_naggle=1", "there is no setting named 'tcp_naggle'; did you mean tcp_nagle?"),
    ("xyzzy=1", "there is no setting named 'xyzzy'"),
    ("tcp_nagle", "--set tcp_nagle: write NAME=VALUE"),
    ("tcp_nagle=maybe", "the value of tcp_nagle must be of type bool"),
    ("tcp_isn=-9", "tcp_isn must be from -1 to 4294967295, not -9"),
    ("port_min=61000", "port_min must not be above port_max"),
]


@pytest.mark.parametrize("argv", [["pkt"], ["up"]])
@pytest.mark.parametrize(("text", "message"), WRONG)
def test_what_cannot_be_set(argv, text, message, tmp_path):
    script = tmp_path / "empty.pkt"
    script.write_text("0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n")
    result = CliRunner().invoke(cli, [*argv, "--set", text, *([str(script)] if argv == ["pkt"] else [])])
    assert result.exit_code == 2, result.output
    assert message in result.output


def test_a_setting_is_set(tmp_path):
    script = tmp_path / "nagle.pkt"
    script.write_text("0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n")
    result = CliRunner().invoke(cli, ["pkt", "--set", "tcp_nagle=off", "--set", "tcp_isn=1_000", str(script)])
    assert result.exit_code == 0, result.output
