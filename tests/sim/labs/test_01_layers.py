"""Lab 1: layers: what each one adds, what is left for the data, and that TCP does not care what is below."""

import struct

import pytest

import pystack_c.const as C
from pystack.sim.network import MS, Network
from pystack.sim.programs import spawn, stream
from pystack.testing.lab import A, B, pattern
from pystack.testing.segments import decode


def run(kind, size, timestamps=False):
    """One byte, then `size` bytes, over a link of that kind: the frames that a sends."""
    net = Network(1)
    a, b = (net.host(name, profile="lab", tcp_timestamps=timestamps) for name in "ab")
    net.link(a, b, delay=5 * MS, addrs=(A + "/24", B + "/24"), kind=kind)
    if kind == C.LINK_ETHERNET:
        net.introduce()
    frames = []
    a.port().taps.append(lambda time, direction, frame: frames.append((time, frame)) if direction == 2 else None)
    listener = stream(b)
    listener.bind("", 80)
    listener.listen()
    marks = []

    def serve():
        sock = yield listener.accept()
        assert (yield sock.recv_exactly(1 + size)) == b"!" + pattern(size)

    def dial():
        sock = stream(a)
        yield sock.connect(B, 80)
        marks.append(len(frames))
        yield sock.sendall(b"!")
        marks.append(len(frames))
        yield sock.sendall(pattern(size))

    server, client = spawn(net, serve()), spawn(net, dial())
    net.run_until(lambda: server.finished() and client.finished(), limit=60_000 * MS)
    return frames, marks


def test_one_byte_is_a_frame_of_55():
    frames, (first, last) = run(C.LINK_ETHERNET, 0)
    ((_, frame),) = frames[first:last]
    assert len(frame) == 14 + 20 + 20 + 1 == 55
    assert struct.unpack_from(">H", frame, 16)[0] == 41 and frame[46] >> 4 == 5 and frame[-1:] == b"!"


@pytest.mark.parametrize(("timestamps", "share"), [(False, 1460 / 1538), (True, 1448 / 1538)])
def test_goodput_of_bulk_data(timestamps, share):
    frames, (_, start) = run(C.LINK_ETHERNET, 1_000_000, timestamps)
    # FCS, preamble and gap: 24 bytes a frame that no host sees
    wire = sum(len(frame) + 24 for _, frame in frames[start:])
    assert 1_000_000 / wire == pytest.approx(share, abs=0.001)


def test_the_segments_are_the_same_without_layer_2():
    ethernet, _ = run(C.LINK_ETHERNET, 1_000_000)
    bare, _ = run(C.LINK_IP, 1_000_000)
    cut = [(time, decode(frame[14:]).same()) for time, frame in ethernet]
    assert cut == [(time, decode(frame).same()) for time, frame in bare] and len(cut) > 680
    assert all(len(a[1]) - len(b[1]) == 14 for a, b in zip(ethernet, bare))
