"""AccECN with Linux as the peer: both directions, with a queue that marks; and Linux without it."""

import hashlib
import struct
import threading

import pytest

from pystack import socket
from pystack.sim.channel import Channel
from pystack.sim.fault import FaultDevice
from tests.kernel.conftest import make

DATA = hashlib.shake_128(b"accecn").digest(1_500_000)
RATE = 30_000_000
MARK = 10


@pytest.fixture
def net():
    def wrap(device):
        settings = {"rate": RATE, "queue": 400, "mark": MARK, "delay": 2_000_000}
        wrapped = FaultDevice(device, inbound=Channel(1, "in", **settings), outbound=Channel(1, "out", **settings))
        boxes.append(wrapped)
        return wrapped

    boxes = []
    for made in make(config={"tcp_ecn": 3}, offload=False, wrap=wrap):
        made.device = boxes[0]
        yield made


def set_mode(net, mode):
    """Set the kernel's mode; 0, or what sysctl says of it."""
    return net.sh(f"sysctl -w net.ipv4.tcp_ecn={mode}").returncode


def info(sock):
    """What struct tcp_info tells of ECN at its end: the counters, what failed."""
    raw = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 280)
    assert len(raw) == 280, f"struct tcp_info has {len(raw)} bytes here"
    names = "received_ce d_e1 d_e0 d_ce r_e1 r_e0 r_ce".split()
    told = dict(zip(names, struct.unpack_from("=7I", raw, 248)))
    told["delivered_ce"] = struct.unpack_from("=I", raw, 196)[0]
    told["fail"], told["seen"] = struct.unpack_from("=2H", raw, 276)
    told["options"] = raw[5]
    return told


def transfer(sender, receiver):
    got = bytearray()

    def take():
        while len(got) < len(DATA):
            part = receiver.recv(1 << 16)
            if not part:
                return
            got.extend(part)

    thread = threading.Thread(target=take, daemon=True)
    thread.start()
    sender.sendall(DATA)
    thread.join(20)
    assert bytes(got) == DATA


def opened(net, active):
    """(ours, the kernel's), opened by us or by the kernel."""
    if active:
        server = net.kernel()
        server.bind(("10.0.0.1", 80))
        server.listen()
        ours = net.socket()
        ours.connect(("10.0.0.1", 80))
        theirs, _ = server.accept()
        net._undo.callback(theirs.close)
        theirs.settimeout(10)
    else:
        server = net.socket()
        server.bind(("", 80))
        server.listen()
        theirs = net.kernel()
        theirs.connect(("10.0.0.2", 80))
        ours, _ = server.accept()
        net._undo.callback(ours.close)
    ours.settimeout(20)
    theirs.settimeout(20)
    return ours, theirs


@pytest.mark.parametrize("active", [True, False])
@pytest.mark.parametrize("sends", ["stack", "kernel"])
def test_marks_are_told_both_ways(net, active, sends):
    if set_mode(net, 3):
        pytest.skip("this kernel does not take net.ipv4.tcp_ecn=3")
    ours, theirs = opened(net, active)
    transfer(*((ours, theirs) if sends == "stack" else (theirs, ours)))
    ours.sendall(b"x")  # (the last counters ride on this exchange)
    assert theirs.recv(1) == b"x"
    theirs.sendall(b"y")
    assert ours.recv(1) == b"y"
    us, them = info(ours), info(theirs)
    assert us["fail"] == them["fail"] == 0 and us["options"] & 8 and them["options"] & 8
    assert us["seen"] == 2 and them["seen"] == 2
    sender, receiver = (us, them) if sends == "stack" else (them, us)
    marked = (net.device.outbound if sends == "stack" else net.device.inbound).stats.marked
    assert marked > 0 and receiver["received_ce"] == marked
    assert sender["delivered_ce"] == marked
    assert sender["d_ce"] == receiver["r_ce"] > 0


@pytest.mark.parametrize("mode", [0, 1])
def test_a_kernel_without_it_falls_back(net, mode):
    """RFC 9768 3.1.2: our SYN asks for AccECN; Linux agrees to RFC 3168's ECN, or to none."""
    assert set_mode(net, mode) == 0
    ours, theirs = opened(net, True)
    transfer(ours, theirs)
    us, them = info(ours), info(theirs)
    assert (us["options"] & 8 != 0) == (them["options"] & 8 != 0) == (mode == 1)
    assert us["received_ce"] == us["seen"] == 0
    assert (net.device.outbound.stats.marked > 0) == (us["delivered_ce"] > 0) == (mode == 1)
