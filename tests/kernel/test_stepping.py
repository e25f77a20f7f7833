"""Live stepping: the stack is held at each frame while a real ping or curl waits; its clock stands still."""

import re
import threading
import time

import pytest

from pystack import services
from pystack.kernel.netns import Namespace
from pystack.running import up
from pystack.stepper.live import Held, StepGate
from tests.kernel.conftest import Net
from tests.support.patience import until

PAUSE = 0.5


class Driver(threading.Thread):
    """Lets every frame go after a pause that the test chooses; keeps what was held, and when."""

    def __init__(self, gate: StepGate, pause):
        super().__init__(daemon=True)
        self.gate, self.pause = gate, pause
        self.held: list[Held] = []
        self.seen: list[int] = []

    def run(self):
        seen = 0
        while not self.gate.ended:
            held = self.gate.wait(seen, 1)
            if held is None:
                continue
            seen = held.number
            self.held.append(held)
            self.seen.append(time.monotonic_ns())
            time.sleep(self.pause(held))
            self.gate.command("")


@pytest.fixture
def stepped():
    """A net whose stack is held at each frame."""
    gate = StepGate()
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
    out = net.sh("ping -c 1 -W 20 10.0.0.2").stdout
    assert rtt_of(out) >= PAUSE * 1000
    request, reply = (
        next(n for n, held in enumerate(driver.held) if words in held.summary)
        for words in ("echo request", "echo reply")
    )
    passed = driver.seen[reply] - driver.seen[request]  # outside; on a busy machine, it is much more than the pause
    assert driver.held[reply].time - driver.held[request].time <= passed - PAUSE * 1e9, "the stack's clock went on"
    assert gate.clock.behind >= PAUSE * 1e9
    assert any("RFC 1122 3.2.2.6" in line for line in driver.held[reply].story)


def test_control_without_stepping_ping_is_fast(net):
    """One of several, because a busy machine may hold any one of them up."""
    assert until(lambda: rtt_of(net.sh("ping -c 1 -W 20 10.0.0.2").stdout) < PAUSE * 1000)


def test_the_kernels_arp_waits_longer_than_its_three_seconds(stepped):
    net, gate = stepped
    # (Left alone, it gives up after three requests, one a second: "Destination Host Unreachable".)
    Driver(gate, lambda held: 3.5 if "ARP, Reply" in held.summary else 0).start()
    assert " 0% packet loss" in net.sh("ping -c 1 -W 20 10.0.0.2").stdout


def test_control_an_impatient_kernel_gives_up(stepped):
    net, gate = stepped
    path = f"/proc/sys/net/ipv4/neigh/{net.running.iface.name}/retrans_time_ms"
    assert net.sh(f"cat {path}").stdout == "60000\n"
    net.space.run(["sh", "-c", f"echo 100 > {path}"], check=True)
    Driver(gate, lambda held: 3.5 if "ARP, Reply" in held.summary else 0).start()
    assert "Host Unreachable" in net.sh("ping -c 1 -W 20 10.0.0.2").stdout


def test_no_ipv6_of_the_kernels_is_held():
    """In a namespace that is as it is: what comes first is what somebody asked for."""
    gate = StepGate()
    with Namespace.new() as space, up(netns=space, gate=gate) as running:
        net = Net(space, running)
        Driver(gate, lambda held: 0).start()
        assert gate.wait(0, 1.5) is None
        assert " 0% packet loss" in net.sh("ping -c 1 -W 20 10.0.0.2").stdout
        assert net.sh(f"cat /proc/sys/net/ipv6/conf/{running.iface.name}/disable_ipv6").stdout == "1\n"


def test_control_on_a_device_that_was_there_the_kernel_speaks_ipv6():
    with Namespace.new() as space:
        space.run(["ip", "tuntap", "add", "tap0", "mode", "tap", "vnet_hdr"], check=True)
        with up(netns=space) as running:
            assert running.iface.name == "tap0"
            shown = space.run(["cat", "/proc/sys/net/ipv6/conf/tap0/disable_ipv6"], capture_output=True)
            assert shown.stdout == b"0\n"


class Resent:
    """Listens behind the gate: what the stack sends again."""

    def __init__(self):
        self.reasons = []

    def event(self, event):
        if event.kind == "tcp.retransmit":
            self.reasons.append(event.reason)


def transfer(net, gate, pause):
    """A real curl, each frame held for `pause` s; the stack meanwhile: its largest SRTT, and why it sent something again."""
    driver = Driver(gate, lambda held: 0)
    driver.start()
    net.sh(
        "ping -c 1 -W 20 10.0.0.2"
    )  # ARP first: the one second after which a kernel's SYN goes again is running meanwhile
    gate.inner = heard = Resent()
    driver.held.clear()
    driver.seen.clear()
    srtts = []

    def look(held):
        gate.inspect(lambda stack: srtts.extend(tcb.srtt for tcb in stack.tcp.all()))
        return pause

    driver.pause = look
    started = services.start("http:80", host=net.running.host)
    behind = time.monotonic_ns() - gate.clock()
    try:
        result = net.sh("curl -sS -m 60 -o /dev/null -w %{size_download} http://10.0.0.2/bytes/3000")
        assert result.stdout == "3000", result.stderr
    finally:
        for service in started:
            service.close()
    assert len(driver.held) >= 6  # the SYN and its answer, the request, the data: each was held
    stood = time.monotonic_ns() - gate.clock() - behind
    return max(srtts), heard.reasons, stood - (len(driver.held) - 1) * pause * 1e9


def test_a_real_curl_waits_and_the_stacks_rto_does_not_grow(stepped):
    srtt, again, stood = transfer(*stepped, 0.25)
    assert stood >= 0, "the clock went on while a frame was held"
    assert 0 < srtt < 250_000_000
    # (A loaded machine may let the kernel's second pass all the same, and its SYN come again; or answer so late, with nothing
    # held, that the tail is probed. No RTO may pass.)
    excused = ("its SYN came again", "tail loss probe")
    assert [reason for reason in again if not any(words in reason for words in excused)] == []


def test_control_a_clock_that_goes_on_measures_the_pauses(stepped):
    _, gate = stepped
    gate.clock.stop = lambda: None
    srtt, _, stood = transfer(*stepped, 0.25)
    assert srtt >= 250_000_000 and stood < 0
