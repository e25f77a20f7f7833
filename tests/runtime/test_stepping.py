"""The clock that can be stopped, and the gate that holds frames: without a kernel, over a device of pipes."""

import os
import threading
import time

import pytest

import pystack_c.const as C
from pystack.running import up
from pystack.stepper.live import FOREVER, HeldClock, StepGate
from tests import frames as f
from tests.support.patience import PATIENCE, until

MAC = 0x020000000001


class Pipe:
    """A TAP whose other side is the test."""

    name, kind, mac, mtu, tx_csum, gso_max = "p0", C.LINK_ETHERNET, MAC, 1500, False, 0

    def __init__(self):
        self.frames: list[bytes] = []
        self.sent: list[tuple[float, bytes]] = []
        self.fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_SEMAPHORE)

    def fileno(self):
        return self.fd

    def put(self, frame):
        self.frames.append(frame)
        os.eventfd_write(self.fd, 1)

    def recv(self):
        if not self.frames:
            return None
        os.eventfd_read(self.fd)
        return (self.frames.pop(0), 0, 0, 0)

    def send(self, tx):
        self.sent.append((time.monotonic(), bytes(tx.to_bytes())))
        return True

    def close(self):
        os.close(self.fd)


def ping(number):
    return f.ether(
        f.ipv4("10.0.0.1", "10.0.0.2", 1, f.icmp(8, 0, bytes((0, 1, 0, number)), b"ping")), dst=MAC, src=0x020000000009
    )


@pytest.fixture
def held():
    """A gate, the device behind it, and the running stack; the peer's address is known."""
    gate, device = StepGate(), Pipe()
    running = up(None, "10.0.0.2/24", "10.0.0.1", device=device, gate=gate, default=False)
    running.host.setup("add_neighbor", running.iface, f.addr("10.0.0.1"), 0x020000000009)
    yield gate, device, running
    running.close()


def test_a_stopped_clock_stands_and_does_not_catch_up():
    source = [1000]
    clock = HeldClock(lambda: source[0])
    assert clock() == 1000
    clock.stop()
    source[0] = 5000
    assert clock() == 1000
    clock.stop()
    clock.go()
    clock.go()
    assert clock() == 1000 and clock.behind == 4000
    source[0] = 5001
    assert clock() == 1001


def test_frames_are_held_both_ways_and_the_clock_stands(held):
    gate, device, running = held
    device.put(ping(1))
    first = gate.wait(0, PATIENCE)
    began = time.monotonic_ns()
    assert first.number == 1 and first.direction == "in" and "echo request" in first.summary
    before = running.host.clock()
    time.sleep(0.2)
    assert running.host.clock() == before and not device.sent
    assert gate.command("") == ""
    second = gate.wait(1, PATIENCE)
    assert second.direction == "out" and "echo reply" in second.summary and not device.sent
    assert any("an echo request for this host arrived" in line for line in second.story)
    # Of the time that passed outside, the stack saw all but the 0.2 s, however long the machine needs for the rest.
    assert second.time - first.time <= time.monotonic_ns() - began - 200_000_000
    gate.command("s")
    assert until(lambda: len(device.sent) == 1)
    assert gate.wait(2, 0.1) is None and len(device.sent) == 1


def times(gate, device, between):
    """Two echo requests, the second put in by hand or already there: the stack's times of the four frames held."""
    device.put(ping(1))
    gate.wait(0, PATIENCE)
    seen = []
    for number in range(1, 5):
        if number == 1 and not between:
            device.put(ping(2))
        held = gate.wait(number - 1, PATIENCE)
        seen.append((held.direction, held.time))
        gate.command("")
        if number == 2 and between:
            time.sleep(between)
            device.put(ping(2))
    return seen


def test_the_clock_stands_on_while_the_next_frame_is_in_the_device(held):
    gate, device, _ = held
    (in1, first), (out1, second), (in2, third), (out2, _) = times(gate, device, 0)
    assert (in1, out1, in2, out2) == ("in", "out", "in", "out")
    assert first == second == third, "nothing was waited for in between"


def test_control_the_clock_goes_while_there_is_nothing_to_hold(held):
    gate, device, _ = held
    (_, first), (_, second), (_, third), _ = times(gate, device, 0.2)
    assert first < second and third - second > 190_000_000


def test_frames_that_pass_unheld_do_not_stop_the_clock(held):
    gate, device, running = held
    gate.command("c")
    before = running.host.clock()
    for number in range(200):
        device.put(ping(number))
    assert until(lambda: len(device.sent) == 200) and running.host.clock() > before
    # It stands while a frame is looked at, for as long as the machine needs for that, and goes on when the frame has passed.
    passed = running.host.clock()
    assert until(lambda: running.host.clock() > passed + 200_000_000)


def test_control_without_a_gate_nothing_is_held():
    device = Pipe()
    with up(None, "10.0.0.2/24", "10.0.0.1", device=device, default=False) as running:
        running.host.setup("add_neighbor", running.iface, f.addr("10.0.0.1"), 0x020000000009)
        device.put(ping(1))
        assert until(lambda: device.sent)
        assert len(device.sent) == 1


def test_no_timer_fires_while_a_frame_is_held(held):
    gate, device, running = held
    gate.command("c")
    sock = running.socket()
    sock.settimeout(0.3)
    gate.command("b frame.length > 50")
    thread = threading.Thread(target=lambda: pytest.raises(OSError, sock.connect, ("10.0.0.1", 80)))
    thread.start()
    syn = gate.wait(0, PATIENCE)
    assert "Flags [S]" in syn.summary and syn.hits
    time.sleep(1.2)  # longer than the RTO of the SYN, and than the socket's timeout
    _, deadline = gate.inspect(lambda stack: stack.poll_timeout())
    assert deadline > running.host.clock() and thread.is_alive()
    assert not device.sent
    gate.command("d 1")
    gate.command("c")
    thread.join(PATIENCE)  # the socket's timeout goes on from where it stood
    assert not thread.is_alive() and len(device.sent) == 1
    sock.close()


def test_n_lets_frames_pass_and_a_breakpoint_stops(held):
    gate, device, running = held
    gate.command("n 4")
    for number in range(1, 4):
        device.put(ping(number))
    stopped = gate.wait(0, PATIENCE)
    assert stopped.number == 4
    assert [line.split()[1] for line in gate.take_passed()] == ["1", "2", "3"]
    assert gate.command('b kind == "icmp.in"').startswith("breakpoint 1")
    gate.command("c")
    broken = gate.wait(4, PATIENCE)
    assert broken.hits and "icmp.in" in broken.hits[0] and broken.number == 6


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("n", "n needs a number"),
        ("n 0", "n needs a number"),
        ("n x", "n needs a number"),
        ("b tcb.", "^ not an expression"),
        ("b __import__('os')", "can be called"),
        ("b", "no breakpoints"),
        ("d 1", "no breakpoint"),
        ("what", "Enter or s"),
        ("p", "running"),
        ("", "no frame is held"),
    ],
)
def test_what_a_command_says(line, said):
    gate = StepGate()
    gate.stack = type("Stack", (), {"name": "x"})()
    assert said in gate.command(line)
    assert gate._left < FOREVER


def test_fields_that_only_recordings_have_do_no_harm(held):
    gate, device, running = held
    gate.command("b event.layer == 3 or frame.fate == 'lost' or tcb.nothing == 1")
    gate.command("b frame.fate == 'lost'")
    gate.command("c")
    device.put(ping(1))
    assert until(lambda: device.sent)
    assert len(device.sent) == 1 and running.host.failure is None


def test_closing_while_a_frame_is_held(held):
    gate, device, running = held
    device.put(ping(1))
    assert gate.wait(0, PATIENCE) is not None
    closing = threading.Thread(target=running.close, daemon=True)
    closing.start()
    closing.join(PATIENCE)
    assert not closing.is_alive()


def test_a_breakpoint_that_fails_is_told_and_does_not_stop_the_stack(held):
    gate, device, running = held
    assert gate.command("b 1 // 0 == 1 or kind == 'icmp.in'").startswith("breakpoint 1")
    assert gate.command("b kind == 'icmp.in'").startswith("breakpoint 2")
    gate.command("c")
    device.put(ping(1))
    assert gate.wait(0, PATIENCE).hits[0].startswith("kind ==")  # control: the other one works
    listed = gate.command("b").splitlines()
    assert "failed with ZeroDivisionError" in listed[0] and "failed" not in listed[1]
    assert running.host.failure is None
