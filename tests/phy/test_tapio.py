"""Reading and writing frames, on a pair of datagram sockets in place of a TAP: both bodies must do the same."""

import errno
import os
import socket

import pytest

import pystack_c.const as C
from pystack.phy.tapio import VNET_HDR, FrameIO
from pystack_c.packet import Transmit

SIZES = [1, 60, 1514, 2047, 2048, 2049, 5000, 65000, 65545]


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    ours.setblocking(False)
    for sock in (ours, theirs):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    with ours, theirs:
        yield ours, theirs


def pattern(size):
    return bytes(i * 7 & 255 for i in range(size))


def test_frames_of_every_size_arrive_whole(pair):
    io = FrameIO(pair[0].fileno(), 65545, False)
    frames = []
    for size in SIZES + SIZES[::-1]:
        pair[1].send(pattern(size))
        frames.append(io.recv())
    # What was given out stays what it was while others are read.
    assert frames == [pattern(size) for size in SIZES + SIZES[::-1]]
    assert io.recv() is None


def test_a_longer_frame_is_cut(pair):
    pair[1].send(pattern(3000))
    assert FrameIO(pair[0].fileno(), 2500, False).recv() == pattern(2500)


@pytest.mark.parametrize(
    ("header", "flags", "gso_size"),
    [((0, 0, 0, 9, 0, 0), 0, 0), ((1, 1, 54, 1448, 34, 16), C.RX_CSUM_OK, 1448), ((2, 0, 0, 7, 0, 0), C.RX_CSUM_OK, 0)],
)
def test_header_is_read(pair, header, flags, gso_size):
    pair[1].send(VNET_HDR.pack(*header) + b"frame")
    io = FrameIO(pair[0].fileno(), 2000, True)
    assert (io.recv()[io.offset :], io.flags, io.gso_size) == (b"frame", flags, gso_size)


@pytest.mark.parametrize("size", [0, 1, 9, 10])
def test_too_short_for_a_header(pair, size):
    io = FrameIO(pair[0].fileno(), 2000, True)
    pair[1].send(bytes(size))
    assert io.recv() is None
    assert io.short == 1
    # The next one is read in the same call.
    pair[1].send(bytes(size))
    pair[1].send(bytes(10) + b"frame")
    assert io.recv() == bytes(10) + b"frame"
    assert io.short == 2


@pytest.mark.parametrize("payload", [None, b"x" * 3000, memoryview(b"y" * 9000)[5:8000]])
@pytest.mark.parametrize("vnet", [False, True])
def test_parts_are_joined(pair, payload, vnet):
    tx = Transmit(None, b"header", payload)
    assert FrameIO(pair[0].fileno(), 2000, vnet).send(tx) == 0
    assert pair[1].recv(70000) == bytes(10 if vnet else 0) + b"header" + (payload or b"")


def test_errors_are_numbers(pair):
    tx = Transmit(None, b"header", memoryview(b"x" * 3000))
    assert FrameIO(os.open("/dev/null", os.O_RDONLY), 2000, False).send(tx) == errno.EBADF
    with pytest.raises(OSError) as info:
        FrameIO(-1, 2000, False).recv()
    assert info.value.errno == errno.EBADF
    io = FrameIO(pair[0].fileno(), 2000, False)
    codes = [io.send(tx) for _ in range(2000)]
    assert codes[0] == 0 and codes[-1] == errno.EAGAIN
    # Nothing holds on to the payload.
    tx.payload.release()
