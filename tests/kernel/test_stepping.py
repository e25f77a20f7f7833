"""Live stepping: the stack is held at each frame while a real ping or curl waits; its clock stands still."""

import re
import threading
import time

import pytest

from pystack import services
from pystack.runtime.netns import Namespace
from pystack.runtime.stepping import Gate
from pystack.stack import up
from tests.kernel.conftest import Net

PAUSE = 0.5


class Driver(threading.Thread):
    """Lets every frame go after a pause that the test chooses; keeps what was held, and when."""

    def __init__(self, gate: Gate, pause):
        super().__init__(daemon=True)
        self.gate, self.pause = gate, pause
        self.held = []

    def run(self):
        seen = 0
        while not self.gate.ended:
            held = self.gate.wait(seen, 1)
            if held is None:
                continue
            seen = held.number
            self.held.append(held)
            time.sleep(self.pause(held))
            self.gate.command("")


@pytest.fixture
def stepped():
    """A net whose stack is held at each frame."""
    gate = Gate()
    with Namespace.new() as space:
        space.quiet()
        net = Net(space, up(netns=space, gate=gate))
        try:
            yield net, gate
            assert net.running.host.failure is None
        finally:
            net.close()


def rtt_of(text: str) -> float:
    """The round trip that ping reports, in ms."""
    return float(re.search(r"time=([\d.]+) ms", text).group(1))


def test_a_real_ping_waits_while_the_stack_is_held(stepped):
    net, gate = stepped
    # only the echo request is held, for PAUSE
    driver = Driver(gate, lambda held: PAUSE if "echo request" in held.summary else 0)
    driver.start()
    out = net.sh("ping -c 1 -W 5 10.0.0.2").stdout
    assert rtt_of(out) >= PAUSE * 1000
    request = next(held for held in driver.held if "echo request" in held.summary)
    reply = next(held for held in driver.held if "echo reply" in held.summary)
    assert (reply.time - request.time) / 1e9 < PAUSE / 2, "the stack's clock went on"
    assert gate.clock.behind >= PAUSE * 1e9
    assert any("RFC 1122 3.2.2.6" in line for line in reply.story)


def test_control_without_stepping_ping_is_fast(net):
    net.sh("ping -c 1 -W 5 10.0.0.2")
    assert rtt_of(net.sh("ping -c 1 -W 5 10.0.0.2").stdout) < PAUSE * 1000 / 2


def transfer(net, gate, pause):
    """A real curl; how long it took, and the largest SRTT and RTO of the stack meanwhile."""
    worst = {"srtt": 0, "rto": 0, "total_retrans": 0}

    def look(held):
        def blocks(stack):
            for tcb in stack.tcp.all():
                for name in worst:
                    worst[name] = max(worst[name], getattr(tcb, name) if tcb.srtt else 0)

        gate.inspect(blocks)
        return pause

    Driver(gate, look).start()
    started = services.start("http:80", host=net.running.host)
    begin = time.monotonic()
    try:
        result = net.sh("curl -sS -m 60 -o /dev/null -w %{size_download} http://10.0.0.2/bytes/3000")
        assert result.stdout == "3000", result.stderr
    finally:
        for service in started:
            service.close()
    return time.monotonic() - begin, worst


def test_a_real_curl_waits_and_the_stacks_rto_does_not_grow(stepped):
    net, gate = stepped
    # (Less than the kernel's own initial RTO: it would send its SYN again, rightly.)
    took, worst = transfer(net, gate, 0.25)
    assert took > 1  # the SYN and its answer, the request, the data: each was held
    assert 0 < worst["srtt"] < 150_000_000, worst
    assert worst["total_retrans"] == 0, worst


def test_control_a_clock_that_goes_on_measures_the_pauses(stepped):
    net, gate = stepped
    gate.clock.stop = lambda: None
    _, worst = transfer(net, gate, 0.25)
    assert worst["srtt"] > 200_000_000, worst
