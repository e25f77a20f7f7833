"""A live run, recorded, comes out of a replay with the same bytes."""

import pytest

from pystack import services
from pystack.kernel.netns import Namespace
from pystack.running import up
from pystack.stepper import Timeline
from pystack.stepper.explain import why
from pystack.stepper.verify import verify
from pystack.trace.recorder import Recorder
from pystack.trace.replay import ReplayMismatch, replay
from tests.kernel.conftest import Net
from tests.kernel.test_tcp import connected


@pytest.mark.parametrize("offload", [True, False])
def test_a_live_run_replays_to_the_byte(offload, tmp_path):
    path = str(tmp_path / "run")
    recorder = Recorder(path)
    with Namespace.new() as space:
        space.quiet()
        running = up(
            netns=space, offload=offload, recorder=lambda stack: recorder.host(stack.name, stack.seed, stack.config)
        )
        net = Net(space, running)
        try:
            started = services.start("http:80", "echo:7", host=running.host)
            net.sh("ping -c 2 -i 0.05 -s 3000 10.0.0.2")
            net.sh("curl -sS -o /dev/null http://10.0.0.2/bytes/1000000")
            space.run(["curl", "-sS", "-T", "-", "http://10.0.0.2/"], input=bytes(500_000), capture_output=True)
            conn, client = connected(net, 8080)
            client.sendall(b"hello")
            assert conn.recv(10) == b"hello"
            assert conn.getsockopt(6, 11, 100)
            net.sh("curl -sS http://10.0.0.2:81/")
            lost = running.socket()
            with pytest.warns(ResourceWarning):
                del lost
            for service in started:
                service.close()
        finally:
            net.close()
    recorder.close()
    counts = replay(path)
    assert counts.frames > 50 and counts.calls > 20
    steps_through(path)
    # control: a stack that answers differently is found out
    with pytest.raises(ReplayMismatch):
        replay(path, config_change=lambda name, config: config.update({"ip_default_ttl": 63}))


def steps_through(path):
    """The stepper loads the live recording: the kernel is the world outside, and all states verify."""
    timeline = Timeline.load(path)
    assert timeline.complete and timeline.lanes == ["pystack", "peer"]
    assert {(frame.host, frame.to) for frame in timeline.frames} == {("pystack", "peer"), ("peer", "pystack")}
    assert sum(frame.length for frame in timeline.frames) > 1_000_000
    assert {why(timeline, frame=frame.number).mechanism for frame in timeline.frames} >= {
        "fragment",
        "data",
        "reset",
        "arp",
    }
    with open(path, "rb") as file:
        assert verify(timeline, file).values > 10_000
    with open(path, "rb") as file:
        data = file.read()
    cut = Timeline.of(data[: len(data) * 2 // 3], partial=True)
    assert not cut.complete and 0 < len(cut.frames) < len(timeline.frames)
