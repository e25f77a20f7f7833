"""`pystack replay` of scenarios, and `pystack pkt` of one script."""

from click.testing import CliRunner

from pystack.cli.main import cli
from pystack.sim.network import MS, Network
from pystack.stepper import Timeline, scenarios
from pystack.stepper.scenarios.base import connected, pair
from pystack.trace.pcapng import PcapngReader


def run(*args):
    return CliRunner().invoke(cli, args, standalone_mode=False)


def test_a_scenario_is_replayed_and_written_as_a_capture(tmp_path):
    path = tmp_path / "nagle.pcapng"
    result = run("replay", "nagle", "--write", str(path))
    assert result.exception is None and "every byte is the same: 2 hosts, 16 frames sent" in result.output
    assert path.read_bytes()[:4] == b"\n\r\r\n"
    assert path.stat().st_size > sum(frame.length for frame in scenarios.get("nagle").timeline().frames)


def test_one_clock_for_step_replay_and_capture(tmp_path):
    """A live host's clock begins anywhere. All views count from the recording's first event."""
    path = tmp_path / "late.pytrace"
    with Network(1) as net:
        net.run(5000 * MS)
        net.record(str(path))
        a, b, _ = pair(net, delay=10 * MS)
        connected(net, a, b)
    timeline = Timeline.load(str(path))
    assert timeline.start == 5000 * MS
    shown = run("replay", str(path), "-v", "--write", str(tmp_path / "late.pcapng")).output
    third, *_ = [line for line in shown.splitlines() if " a " in line and "> 10.0.0.2.80: Flags [.]" in line]
    assert third.startswith("0.020000 a ") and timeline.frames[2].time - timeline.start == 20 * MS
    with open(tmp_path / "late.pcapng", "rb") as file:
        times = [frame.time for frame in PcapngReader(file)]
    assert min(times) == 0 and max(times) == 30 * MS


def test_a_name_that_is_neither_a_file_nor_a_scenario():
    assert "no-such-name" in str(run("replay", "no-such-name").exception)


def test_a_script_that_passes_says_so(tmp_path):
    script = tmp_path / "connect.pkt"
    script.write_text("0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n+0 close(3) = 0\n")
    result = run("pkt", str(script))
    assert result.exception is None and result.output == f"{script}: passed\n"
    assert run("pkt", "--quiet", str(script)).output == ""


def test_the_kernels_side_needs_another_address_than_the_stack():
    result = run("up", "-a", "10.0.0.2/24", "--kernel-address", "10.0.0.2/24")
    assert "is the stack's own address" in str(result.exception)


def test_a_capture_of_one_host_has_each_frame_once(tmp_path):
    """What a capture on that host shows: all that it sent, and of the others what reached it."""
    path = tmp_path / "a.pcapng"
    result = run("replay", "loss-fast-retransmit", "--write", str(path), "--host", "a")
    assert result.exception is None and "--host" not in result.stderr
    frames = scenarios.get("loss-fast-retransmit").timeline().frames
    with open(path, "rb") as file:
        written = [frame.data for frame in PcapngReader(file)]
    assert written.count(frames[0].data) == 1
    assert len(written) == sum(frame.host == "a" or frame.fate != "lost" for frame in frames)
    both = run("replay", "loss-fast-retransmit", "--write", str(path))
    assert "--host a writes what a capture on one host shows" in both.stderr
    wrong = run("replay", "loss-fast-retransmit", "--write", str(path), "--host", "c")
    assert "has no host c; its hosts are a, b" in str(wrong.exception)
    assert "--host needs --write" in str(run("replay", "nagle", "--host", "a").exception)
