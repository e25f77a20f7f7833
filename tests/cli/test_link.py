"""`pystack up --delay 50ms` and its relatives, and `pystack ctl link`: on a real TAP, and the errors."""

import json
import re

import pytest
from click.testing import CliRunner

import pystack
from pystack.cli.main import cli
from pystack.kernel.netns import Namespace
from tests.cli.test_up import Lab, lab, possible

__all__ = ["lab"]
kernel = [pytest.mark.kernel, pytest.mark.skipif(not possible(), reason="needs root and /dev/net/tun")]
ADDRESSES = ("-a", "10.0.0.2/24", "--kernel-address", "10.0.0.1/24")


def marked(test):
    for mark in kernel:
        test = mark(test)
    return test


def times(text):
    """The round-trip times that ping shows, in ms."""
    return [float(value) for value in re.findall(r"time=([0-9.]+)", text)]


@marked
def test_a_delay_is_seen_and_changed_while_it_runs(lab: Lab):
    with lab.up(*ADDRESSES, "--delay", "40ms", "--rate", "10mbit") as process:
        assert "made it" in process.stderr.readline()
        assert process.stderr.readline() == "  link: each way delay 40ms, rate 10mbit; offload is off\n"
        lab.run("ping", "-c", "1", "-W", "20", "10.0.0.2")  # ARP
        slow = times(lab.run("ping", "-c", "3", "-i", "0.2", "-W", "20", "10.0.0.2").stdout)
        assert len(slow) == 3 and min(slow) >= 80
        shown = lab.pystack("ctl", "link")
        assert shown.stdout == "each way delay 40ms, rate 10mbit\n", shown.stderr
        changed = lab.pystack("ctl", "link", "delay", "0s", "corrupt", "0.5%")
        assert changed.stdout == "each way rate 10mbit, corrupt 0.5%\n", changed.stderr
        lab.pystack("ctl", "link", "corrupt", "0%")
        quick = times(lab.run("ping", "-c", "3", "-i", "0.2", "-W", "20", "10.0.0.2").stdout)
        assert min(quick) < 80
        lab.pystack("ctl", "link", "loss", "100%")
        assert times(lab.run("ping", "-c", "2", "-i", "0.2", "-W", "1", "10.0.0.2").stdout) == []
        for words, error in (
            (("delay",), "write pairs"),
            (("delay", "fast"), "delay: 'fast' is not a time"),
            (("speed", "1s"), "no setting 'speed'"),
            (("profile", "warp"), "no link profile 'warp'"),
        ):
            refused = lab.pystack("ctl", "link", *words)
            assert refused.returncode == 2 and error in refused.stderr and "Traceback" not in refused.stderr


@marked
def test_a_stack_without_a_link_says_so(lab: Lab):
    with lab.up(*ADDRESSES):
        refused = lab.pystack("ctl", "link", "delay", "1s")
    assert refused.returncode == 1 and "was not started with --delay" in refused.stderr


@marked
def test_ping_over_a_profile(lab: Lab):
    answer = lab.pystack("ping", "-c", "2", "10.0.0.1", *ADDRESSES, "--profile-link", "lte")
    assert answer.returncode == 0, answer.stderr
    assert "2 received" in answer.stdout and min(times(answer.stdout)) >= 70


@marked
def test_a_middlebox_resets_real_connections(lab: Lab, tmp_path):
    """curl sees the reset, the recording has the box's reason, and the same command works without the box."""
    from pystack.stepper.timeline import Timeline

    path = str(tmp_path / "run.pytrace")
    options = ("--serve", "http:80", "--middlebox", "reset:port=80", "--record", path)
    with lab.up(*ADDRESSES, *options) as process:
        assert "made it" in process.stderr.readline()
        assert process.stderr.readline() == "  link: each way no fault; middlebox reset port=80; offload is off\n"
        refused = lab.run("curl", "-sS", "--max-time", "20", "http://10.0.0.2/hello")
        assert refused.returncode == 7 and "to connect" in refused.stderr  # at once, and not after 20 s
        changed = lab.pystack("ctl", "link", "middlebox", "none")
        assert changed.stdout == "each way no fault\n", changed.stderr
        assert lab.run("curl", "-sS", "--max-time", "20", "http://10.0.0.2/hello").returncode == 0
    timeline = Timeline.load(path)
    reasons = [entry.text() for entry in timeline.events if entry.kind == "box"]
    assert reasons and set(reasons) == {"the box resets the connection because of port 80 [RFC 3360]"}


@marked
def test_a_link_from_python():
    with Namespace.new() as space, pystack.up(netns=space, link={"delay": "30ms", "loss": 0.5}, seed=3) as stack:
        assert stack.device.gso_max == 0
        assert (stack.link.outbound.delay, stack.link.inbound.loss) == (30_000_000, 0.5)
        stack.change_link(delay=7, loss="0%")
        assert (stack.link.inbound.delay, stack.link.outbound.loss) == (7, 0.0)
        with pytest.raises(TypeError, match="speed"):
            stack.change_link(speed=1)
    with (
        Namespace.new() as space,
        pystack.up(netns=space) as stack,
        pytest.raises(ValueError, match="not started with"),
    ):
        stack.change_link(delay=1)


def test_a_link_needs_a_device():
    with pytest.raises(ValueError, match="a link needs a device"):
        pystack.up(None, link="lte")


@pytest.mark.parametrize("command", [("up",), ("ping", "10.0.0.1"), ("traceroute", "10.0.0.1")])
@pytest.mark.parametrize(
    ("option", "value", "error"),
    [
        ("--delay", "50", "'50' is not a time"),
        ("--jitter", "-1ms", "'-1ms' is not a time"),
        ("--loss", "200%", "more than 100%"),
        ("--rate", "10mb", "'10mb' is not a rate"),
        ("--profile-link", "warp", "no link profile 'warp'; there are lan, dsl, lte, wifi, satellite, bufferbloat"),
        ("--middlebox", "nat", "there is no middlebox 'nat'; there are nat-timeout, reset, strip"),
        ("--middlebox", "nat-timeout:idle=30", "nat-timeout: idle: '30' is not a time"),
    ],
)
def test_values_that_are_not_allowed(command, option, value, error):
    result = CliRunner().invoke(cli, [*command, "-a", "10.0.0.2/24", option, value])
    assert result.exit_code == 2
    assert f"Invalid value for '{option}'" in result.output and error in " ".join(result.output.split())


@pytest.mark.parametrize("wrong", [{"delay": 0.05}, {"jitter": -1}, {"rate": 1e6}, {"loss": 5}, {"corrupt": None}])
def test_numbers_that_are_not_allowed(wrong):
    from pystack.sim.live import directions

    with pytest.raises(ValueError, match=f"{next(iter(wrong))}=.*: write .*, or a text"):
        directions(wrong)


def test_texts_and_values_are_the_same():
    from pystack.sim.live import directions
    from pystack.sim.units import probability_text, rate_text, time_text

    assert directions({"delay": "50ms", "loss": "1%"}) == directions({"delay": 50_000_000, "loss": 0.01})
    assert [time_text(ns) for ns in (0, 7, 1_500_000, 2 * 10**9)] == ["0s", "7ns", "1500us", "2s"]
    assert [rate_text(rate) for rate in (1, 1_500_000, 10**9)] == ["1bit", "1500kbit", "1gbit"]
    assert [probability_text(value) for value in (0.01, 0.5, 0.0, 0.00001)] == ["1%", "50%", "0%", "0.001%"]
    out, back = directions({"profile": "dsl", "delay": "1ms"})
    assert (out["rate"], back["rate"], out["delay"], back["delay"]) == (384_000, 1_500_000, 10**6, 10**6)
    assert json.dumps([out, back])


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("delay",), "write pairs"),
        (("delay", "fast"), "delay: 'fast' is not a time"),
        (("loss", "nan"), "loss: 'nan' is not a probability"),
        (("rate", "0bit"), "a rate is at least 1bit"),
        (("speed", "1s"), "no setting 'speed'"),
        (("profile", "warp"), "no link profile 'warp'"),
        (("delay", "1s", "delay", "2s"), "named twice"),
    ],
)
def test_a_wrong_change_is_a_usage_error_whether_or_not_a_stack_runs(words, error):
    """The exit status is 2, and not the 1 of a stack that failed. A setting that is named twice is an error, too."""
    result = CliRunner().invoke(cli, ["ctl", "link", "-n", "nobody", *words])
    assert result.exit_code == 2 and error in result.output
