"""Frames with virtio-net headers become the frames of the wire: segments, checksums, VLAN tags; no header of any kind is an exception."""

import random
import struct

import pytest

from pystack.phy.tapio import GSO_NONE, GSO_TCPV4, NEEDS_CSUM, VNET_HDR
from pystack.sim import whole
from pystack.sim.channel import Channel
from tests import frames as f
from tests.support.natbox import seal, sums_right, udp

ETHERNET = bytes(range(12))
TAG = b"\x81\x00\x00\x2a"


def unfinished(packet: bytes, at: int, tag: bytes = b"", gso_size: int = 0) -> bytes:
    """The packet as a kernel with offload sends it: only the sum of the pseudo-header is in the checksum field, `at` bytes behind the IP header."""
    data = bytearray(packet)
    head = bytes(data[12:20]) + struct.pack(">HH", data[9], len(data) - 20)
    data[20 + at : 22 + at] = struct.pack(">H", f.ones(head))
    frame = ETHERNET + tag + b"\x08\x00" + bytes(data)
    start = 34 + len(tag)
    kind = GSO_TCPV4 if gso_size else GSO_NONE
    return VNET_HDR.pack(NEEDS_CSUM, kind, start + 20, gso_size, start, at) + frame


def tcp(data: bytes) -> bytes:
    head = struct.pack(">HHIIBBHHH", 1, 2, 1000, 2000, 5 << 4, 0x19, 65535, 0, 0)
    return seal(f.ipv4("10.0.0.1", "10.0.0.2", 6, head + data))


@pytest.mark.parametrize("tag", [b"", TAG])
@pytest.mark.parametrize("size", [0, 1, 1460, 1461, 40_000])
def test_tcp(size, tag):
    data = random.Random(size).randbytes(size)
    raw = unfinished(tcp(data), 16, tag, gso_size=1460 if size > 1460 else 0)
    found = list(whole.cut(raw))
    assert len(found) == max(1, -(-size // 1460))
    packets = [frame[14 + len(tag) :] for frame in found]
    assert {frame[: 14 + len(tag)] for frame in found} == {ETHERNET + tag + b"\x08\x00"}
    assert all(sums_right(packet) for packet in packets)
    assert b"".join(packet[40:] for packet in packets) == data
    assert [int.from_bytes(packet[24:28], "big") for packet in packets] == [
        1000 + n * 1460 for n in range(len(packets))
    ]
    assert [packet[33] & 9 for packet in packets] == [0] * (len(packets) - 1) + [9]  # PSH and FIN are in the last one
    if not tag:
        assert whole.pieces(raw) == (len(found), max(map(len, found)))


@pytest.mark.parametrize("tag", [b"", TAG])
def test_udp(tag):
    packet = udp("10.0.0.1", 1, "10.0.0.2", 2, b"hello")
    (frame,) = whole.cut(unfinished(packet, 6, tag))
    assert frame == ETHERNET + tag + b"\x08\x00" + packet


def test_a_finished_frame_stays_as_it_is():
    frame = ETHERNET + b"\x08\x06" + bytes(28)
    assert list(whole.cut(whole.plain(frame))) == [frame]
    assert whole.pieces(whole.plain(frame)) == (1, len(frame))
    assert whole.receive_arguments(whole.plain(frame)) == (10, 0, 0)


def test_no_header_is_an_exception():
    rng = random.Random(1)
    for _ in range(3000):
        frame = ETHERNET + rng.choice([b"\x08\x00E", b"\x81\x00", b"\x86\xdd"]) + rng.randbytes(rng.randrange(0, 80))
        header = VNET_HDR.pack(
            rng.randrange(4), rng.choice([0, 1, 3, 4, 5, 0x81]), rng.randrange(100), rng.choice([0, 1, 1460]),
            rng.choice([0, 10, 14, 34, 38, 54, 65535]), rng.choice([0, 6, 16, 65535]),
        )  # fmt: skip
        raw = header + frame
        found = list(whole.cut(raw))
        assert len(found) <= len(frame)  # one byte in each, at worst
        count, longest = whole.pieces(raw)
        assert 1 <= count <= len(frame)
        assert longest <= len(frame)


@pytest.mark.parametrize("sizes", [[40_000], [3000, 64_000, 100, 9000], [20_000] * 3])
def test_a_group_takes_the_time_of_its_frames(sizes):
    """A channel with a rate that gets groups sends each last bit when one does that gets the single frames."""
    settings = {"rate": 1_000_000_000, "delay": 7000, "queue": 300, "overhead": 24, "mtu": 1500}
    whole_frames, single = Channel(**settings), Channel(**settings)
    now = 0
    for size in sizes:
        raw = unfinished(tcp(bytes(size)), 16, gso_size=1460 if size > 1460 else 0)
        count, longest = whole.pieces(raw)
        last = whole.last_piece(raw, count, longest, len(raw) - 10)
        frames = list(whole.cut(raw))
        assert (len(frames), max(map(len, frames)), len(frames[-1])) == (count, longest, last)
        arrivals = [single.send(frame, now)[0][0] for frame in frames]
        assert whole_frames.send_group(count, longest, last, now) == arrivals[-1]
        assert whole_frames.stats.as_dict() == single.stats.as_dict()
        now += 1000
    assert single.stats.queue_max > 1


@pytest.mark.parametrize(
    "settings",
    [{"rate": 100_000_000}, {"queue": 20}, {"queue_bytes": 30_000}, {"mark": 5}, {"mtu": 1000}, {"loss": 0.1}],
    ids=lambda settings: next(iter(settings)),
)
def test_a_group_that_must_be_cut_changes_nothing(settings):
    channel = Channel(**{"rate": 1_000_000_000, **settings})
    before = channel.stats.as_dict(), channel.free_at
    assert channel.send_group(30, 1514, 700, 5) == -1
    assert (channel.stats.as_dict(), channel.free_at) == before


def test_which_channels_only_delay():
    assert whole.only_delays(Channel(delay=5, mtu=1500, overhead=24, queue=3))
    for settings in (
        {"rate": 1000}, {"loss": 0.1}, {"reorder": 0.1}, {"duplicate": 0.1}, {"corrupt": 0.1}, {"jitter": 1},
    ):  # fmt: skip
        assert not whole.only_delays(Channel(**settings))
    down = Channel()
    down.set(up=False)
    ruled = Channel()
    ruled.drop(1)
    assert not whole.only_delays(down)
    assert not whole.only_delays(ruled)
