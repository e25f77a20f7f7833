"""Devices in front of a device: capture, tracer, faults."""

import errno
import io
import os
import select
import socket
import time

import pytest

import pystack_c.const as C
from pystack.sim import fault
from pystack.sim.channel import Channel
from pystack.sim.fault import FaultDevice
from pystack.sim.impairments import Burst, LinkTrace
from pystack.trace import pcapng
from pystack.trace.capture import PcapDevice
from pystack.trace.tracer import TracerDevice
from pystack_c.iface import Iface
from pystack_c.packet import Transmit
from tests import frames as f
from tests.support.patience import PATIENCE

MS = 1_000_000
S = 1000 * MS
IFACE = Iface(1, "eth0", C.LINK_ETHERNET, f.MAC_A, 1500)
ARP = f.ether(f.arp(1, f.MAC_A, "10.0.0.1", 0, "10.0.0.2"), 0x0806)


class Card:
    """One end of a pair of sockets; `room` limits what it takes."""

    name, kind, mac, mtu, tx_csum, gso_max = "eth0", C.LINK_ETHERNET, f.MAC_A, 1500, False, 0

    def __init__(self, files=True):
        self.mine, self.far = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.mine.setblocking(False)
        self.far.setblocking(False)
        self.files = files
        self.full = False

    def fileno(self):
        return self.mine.fileno() if self.files else -1

    def recv(self):
        try:
            return (b"##########" + self.mine.recv(70000), 10, 0, 0)
        except BlockingIOError:
            return None

    def send(self, tx):
        if self.full:
            return False
        self.mine.send(tx.to_bytes())
        return True

    def close(self):
        self.mine.close()
        self.far.close()


@pytest.fixture
def card():
    made = Card()
    yield made
    made.close()


def test_pcap_writes_what_passes(card):
    out = io.BytesIO()
    device = PcapDevice(card, pcapng.PcapngWriter(out), clock=iter([5, 6]).__next__)
    card.far.send(ARP)
    assert device.recv()[0][10:] == ARP and device.recv() is None
    partial = f.ether(
        f.ipv4("10.0.0.1", "10.0.0.2", 6, f.tcp("10.0.0.1", 1, "10.0.0.2", 2, 16, 1, 1, b"x", partial=True))
    )
    assert device.send(Transmit(IFACE, partial[:54], partial[54:]))
    card.full = True
    assert not device.send(Transmit(IFACE, ARP))
    first, second = pcapng.PcapngReader(io.BytesIO(out.getvalue()))
    assert (first.data, first.time, first.direction, first.interface.name) == (ARP, 5, pcapng.INBOUND, "eth0")
    whole = f.ether(f.ipv4("10.0.0.1", "10.0.0.2", 6, f.tcp("10.0.0.1", 1, "10.0.0.2", 2, 16, 1, 1, b"x")))
    assert (second.data, second.time, second.direction) == (whole, 6, pcapng.OUTBOUND)


def test_a_full_disk_ends_the_capture_not_the_traffic(card):
    writer = pcapng.PcapngWriter(io.BytesIO())
    device = PcapDevice(card, writer)

    def write(block):
        raise OSError(errno.ENOSPC, "full")

    writer._write = write
    assert device.send(Transmit(IFACE, ARP)) and device.send(Transmit(IFACE, ARP))
    assert device.error.errno == errno.ENOSPC and len(card.far.recv(100)) == 42


def test_tracer_prints_a_line_a_frame(card):
    lines = []
    device = TracerDevice(card, lines.append, clock=iter([0, 1_200_000, 2_000_000]).__next__)
    device.send(Transmit(IFACE, ARP))
    card.far.send(ARP)
    device.recv()
    what = "ARP, Request who-has 10.0.0.2 tell 10.0.0.1, length 28"
    assert lines == [f"0.001200 eth0 > {what}", f"0.002000 eth0 < {what}"]


def test_faults_hold_back_and_lose_both_ways():
    card = Card(files=False)
    now = 0
    channels = {"inbound": Channel(delay=10 * MS), "outbound": Channel(delay=5 * MS)}
    channels["inbound"].drop(2)
    device = FaultDevice(card, **channels, clock=lambda: now)
    for number in range(3):
        card.far.send(b"%d" % number)
    assert device.recv() is None and device.deadline() == 10 * MS
    assert device.send(Transmit(IFACE, b"out"))
    with pytest.raises(BlockingIOError):
        card.far.recv(10)
    now = 5 * MS
    assert device.recv() is None and card.far.recv(10) == b"out"
    now = 10 * MS
    assert [device.recv(), device.recv(), device.recv()] == [(b"0", 0, 0, 0), (b"2", 0, 0, 0), None]
    card.full = True
    device.send(Transmit(IFACE, b"late"))
    now = 20 * MS
    device.recv()
    assert device.overflow == 1 and device.deadline() is None and device.fileno() == -1
    device.close()


def test_the_bytes_that_a_direction_holds_are_bounded(monkeypatch):
    """A long delay and a flood must not fill the memory. The link drops and counts the frames above the bound, as a full queue does."""
    monkeypatch.setattr(fault, "MOST_HELD", 1000)
    card = Card(files=False)
    now = 0
    device = FaultDevice(card, inbound=Channel(delay=S), outbound=Channel(delay=S), clock=lambda: now)
    for number in range(30):
        card.far.send(bytes([number]) * 100)
        device.recv()
        device.send(Transmit(IFACE, bytes([number]) * 100))
    assert device.held == [1000, 1000] and device.overflow == 40
    now = S
    got = []
    while (frame := device.recv()) is not None:
        got.append(frame[0][0])
    assert got == list(range(10)) and device.held == [0, 0]
    assert [card.far.recv(1000)[0] for _ in range(10)] == list(range(10))
    # There is room again.
    device.send(Transmit(IFACE, bytes(100)))
    assert device.held == [0, 100] and device.overflow == 40
    device.close()


def test_a_flood_of_frames_that_are_lost_or_held_does_not_keep_the_driver():
    """One call of recv takes a bounded number of frames from the device, even if the device always has another one."""

    class Flooded(Card):
        taken = 0

        def recv(self):
            self.taken += 1
            return (b"x" * 60, 0, 0, 0) if self.taken < 10_000 else None

    for inbound in (Channel(loss=1.0), Channel(delay=S)):
        flooded = Flooded(files=False)
        device = FaultDevice(flooded, inbound=inbound, outbound=Channel(), clock=lambda: 0)
        assert device.recv() is None and flooded.taken == fault.BATCH
        device.close()
    device = FaultDevice(flooded, inbound=Channel(), outbound=Channel(), clock=lambda: 0)
    flooded.taken = 10_000 - 100
    assert sum(device.recv() is not None for _ in range(200)) == 99
    device.close()


def test_a_trace_of_a_live_link_begins_when_it_is_set():
    """The clock of a live link shows the time since the machine started, so a trace that began at 0 would be at its end."""
    now = 10**6 * S
    trace = LinkTrace([(0, None, MS), (10 * S, None, 2 * MS)])
    device = FaultDevice(Card(files=False), inbound=Channel(), outbound=Channel(), clock=lambda: now)
    device.change({"trace": trace})
    delays = []
    for _ in range(2):
        device.send(Transmit(IFACE, b"x" * 60))
        delays.append(device.deadline() - now)
        now += 10 * S
        device.recv()
    assert delays == [MS, 2 * MS] and trace.start == 0
    device.close()
    card = Card()
    device = fault.faulty(card, {"trace": trace}, 1)
    device.send(Transmit(IFACE, b"x" * 60))
    assert device.outbound.delay == MS
    device.close()


def test_the_text_of_a_link_names_each_fault():
    """A link that is down is described as down, and not as a link with no fault."""
    device = FaultDevice(Card(files=False), inbound=Channel(), outbound=Channel())
    assert device.link_text() == "each way no fault"
    device.change({"reorder": 0.5, "reorder_delay": MS, "burst": Burst.of(0.1, 3), "loss": "1%"})
    assert device.link_text() == "each way loss 1%, reorder 50% for 1ms, loss in bursts 10%"
    device.change({"trace": LinkTrace([(0, None, 0)])})
    assert device.link_text().endswith(", a trace of rate and delay")
    device.change({"up": False})
    assert device.link_text() == "each way down"
    device.close()


def test_a_held_back_frame_wakes_the_driver(card):
    device = FaultDevice(card, inbound=Channel(delay=30 * MS), outbound=Channel())
    poll = select.poll()
    poll.register(device.fileno(), select.POLLIN)
    assert poll.poll(0) == []  # the control
    card.far.send(b"x")
    begin = time.monotonic()
    assert poll.poll(PATIENCE * 1000)
    assert device.recv() is None
    got = None
    while got is None:
        assert poll.poll(PATIENCE * 1000), "nobody woke us"
        got = device.recv()
    assert 0.029 < time.monotonic() - begin < PATIENCE
    assert got[0] == b"x" and poll.poll(0) == []
    before = len(os.listdir("/proc/self/fd"))
    device.close()
    assert len(os.listdir("/proc/self/fd")) == before - 4


def test_faults_need_a_device_without_offload(card):
    card.gso_max = 65536
    with pytest.raises(ValueError, match="offload switched off"):
        FaultDevice(card, inbound=Channel(), outbound=Channel())


def test_a_middlebox_in_front_of_a_device():
    """What it sends back to the stack arrives at once, and wakes the driver; what it sends on goes through the link."""
    from pystack.sim.boxes import NatTimeout
    from pystack.sim.middlebox import segment_of
    from tests.sim.test_middleboxes import frame

    now = [0]
    card = Card(files=False)
    device = FaultDevice(card, inbound=Channel(delay=MS), outbound=Channel(delay=MS), clock=lambda: now[0])
    device.change({"middlebox": ["nat-timeout:idle=30s,answer=reset", "mss:mss=1000"]})
    assert device.link_text() == (
        "each way delay 1ms; middlebox nat-timeout idle=30s, answer=reset; middlebox mss mss=1000"
    )
    data = frame(flags=C.ACK, payload=b"x")
    device.send(Transmit(IFACE, data))
    assert device.deadline() == 0
    (reset, *_) = device.recv()
    assert segment_of(reset, 14).flags == C.RST and device.recv() is None and device.deadline() is None
    device.send(Transmit(IFACE, frame(flags=C.SYN, options=b"\x02\x04\x05\xb4")))
    now[0] = MS
    assert device.recv() is None
    assert card.far.recv(2000)[-2:] == (1000).to_bytes(2, "big")
    # and from the other side: without a mapping, the box answers to there, although the stack has sent nothing
    card.far.send(frame(flags=C.ACK, sport=5, back=True))
    device.recv()
    now[0] = 2 * MS
    assert device.recv() is None and device.deadline() == 3 * MS
    now[0] = 3 * MS
    device.recv()
    answer = segment_of(card.far.recv(2000), 14)
    assert (answer.flags, answer.sport, answer.dport) == (C.RST, 5, 80)
    mine = NatTimeout(S)
    device.change({"middlebox": mine})
    assert (
        device.boxes == [mine]
        and "each way delay 1ms; middlebox nat-timeout idle=1s, answer=drop" == device.link_text()
    )
    for wrong, error in (
        ({"middlebox": "nat"}, ValueError),
        ({"middlebox": 5}, TypeError),
        ({"middlebox": [None]}, TypeError),
        ({"middlebox": mine}, ValueError),
    ):
        with pytest.raises(error):
            device.change(wrong)
    device.change({"middlebox": "none"})
    assert device.boxes == []
    device.close()


def test_the_middleboxes_stay_if_the_new_ones_are_wrong():
    from pystack.sim.boxes import NatTimeout

    device = FaultDevice(Card(files=False), inbound=Channel(), outbound=Channel())
    device.change({"middlebox": "mss:mss=1000"})
    (old,) = device.boxes
    used = NatTimeout(S)
    used.begin("x", 1, C.LINK_ETHERNET, None)
    for wrong in ("mss:mss=0", ["mss:mss=900", used], [used, used]):
        with pytest.raises(ValueError):
            device.change({"middlebox": wrong, "delay": MS})
        assert device.boxes == [old] and device.outbound.delay == 0
    new = NatTimeout(S)
    with pytest.raises(ValueError, match="twice"):
        device.change({"middlebox": [new, new]})
    assert device.boxes == [old]
    device.close()
