"""Capture files of all kinds: byte orders, units of time, links, names, and files that are no good."""

import io
import random
import re
import struct
import tracemalloc

import pytest

from pystack.stepper import Timeline
from pystack.stepper.capture import reader
from pystack.stepper.capture.timeline import MAX_HOSTS, OTHERS
from pystack.trace.errors import TraceError
from tests.stepper.capture import corpus

START = 1_700_000_000_123_456_000


def talk(**options):
    found = corpus.Forged(**options)
    return [frame for _, frame, _ in found.add("a", 1, 1, 100).add("b", 1, 101).add("a", 101, 1, 100).frames]


def pcap(frames, order="<", nano=False, link=101):
    magic = 0xA1B23C4D if nano else 0xA1B2C3D4
    out = struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, 262144, link)
    for number, frame in enumerate(frames):
        time = START + number * 10_000_000
        out += (
            struct.pack(order + "IIII", time // 10**9, time % 10**9 // (1 if nano else 1000), len(frame), len(frame))
            + frame
        )
    return out


def block(order, kind, body):
    body += bytes(-len(body) % 4)
    return struct.pack(order + "II", kind, len(body) + 12) + body + struct.pack(order + "I", len(body) + 12)


def pcapng(frames, order="<", options=b"", unit=1000, link=101, names=b"", simple=False):
    out = block(order, 0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1))
    out += block(order, 1, struct.pack(order + "HHI", link, 0, 0) + options)
    if names:
        out += block(order, 4, names)
    for number, frame in enumerate(frames):
        time = (START + number * 10_000_000) // unit
        if simple:
            out += block(order, 3, struct.pack(order + "I", len(frame)) + frame)
            continue
        head = struct.pack(order + "IIIII", 0, time >> 32, time & 0xFFFFFFFF, len(frame), len(frame))
        out += block(order, 6, head + frame)
    return out


def good(timeline):
    assert len(timeline.frames) == 6 and timeline.hosts == ["10.0.0.1", "10.0.0.2"]
    one = timeline.conversations()[0]
    assert (one.client, one.server, one.bytes, one.frames) == ("10.0.0.1:40000", "10.0.0.2:80", (200, 0), (4, 2))
    assert [frame.host for frame in timeline.frames] == [
        "10.0.0.1",
        "10.0.0.2",
        "10.0.0.1",
        "10.0.0.1",
        "10.0.0.2",
        "10.0.0.1",
    ]
    return timeline


@pytest.mark.parametrize("nano", [False, True])
@pytest.mark.parametrize("order", "<>")
def test_pcap(order, nano):
    timeline = good(Timeline.of(pcap(talk(), order, nano)))
    assert timeline.start == START and timeline.end - timeline.start == 50_000_000
    assert timeline.conversations()[0].handshake == 20_000_000


@pytest.mark.parametrize("order", "<>")
def test_pcapng(order):
    nano = struct.pack(order + "HHB", 9, 1, 9) + bytes(3)
    assert good(Timeline.of(pcapng(talk(), order))).start == START
    assert good(Timeline.of(pcapng(talk(), order, nano, 1))).start == START
    offset = struct.pack(order + "HHq", 14, 8, 3600)
    assert good(Timeline.of(pcapng(talk(), order, offset))).start == START + 3_600_000_000_000
    assert good(Timeline.of(pcapng(talk(), order, simple=True))).start == 0  # simple packet blocks have no time


@pytest.mark.parametrize(
    ("link", "header"),
    [
        (1, bytes(6) + b"\x02" + bytes(5) + b"\x08\x00"),
        (1, bytes(12) + b"\x81\x00\x00\x05\x08\x00"),
        (1, bytes(12) + b"\x88\xa8\x00\x05\x81\x00\x00\x06\x08\x00"),
        (101, b""),
        (12, b""),
        (228, b""),
        (113, bytes(14) + b"\x08\x00"),
        (276, b"\x08\x00" + bytes(18)),
        (0, b"\x02\0\0\0"),
        (0, b"\0\0\0\x02"),
        (108, b"\0\0\0\x02"),
    ],
    ids=range(11),
)
def test_links(link, header):
    frames = [header + frame for frame in talk()]
    for data in (pcap(frames, link=link), pcapng(frames, link=link)):
        timeline = good(Timeline.of(data))
        assert timeline.frames[3].summary.count("10.0.0.1") <= 1 and timeline.frames[3].length >= 140


def test_ipv6():
    timeline = Timeline.of(pcap(talk(v6=True)))
    assert timeline.hosts == ["::1", "::2"]
    assert timeline.conversations()[0].client == "[::1]:40000" and timeline.conversations()[0].bytes == (200, 0)
    assert timeline.frames[3].summary.startswith("IP6 ::1.40000 > ::2.80: Flags [.]")


def test_names_of_the_capture_are_the_hosts():
    record = struct.pack("<HH", 1, 4 + 7) + bytes([10, 0, 0, 1]) + b"client\0\0"
    other = struct.pack("<HH", 1, 4 + 7) + bytes([10, 0, 0, 2]) + b"server\0\0"
    timeline = Timeline.of(pcapng(talk(), names=record + other + bytes(4)))
    assert timeline.hosts == ["client", "server"]
    assert timeline.connections[0] == "client tcp 10.0.0.1:40000-10.0.0.2:80"


def error_of(data, **options):
    with pytest.raises(TraceError) as caught:
        Timeline.of(data, "file.pcap", **options)
    text = str(caught.value)
    assert "\n" not in text and text.startswith("file.pcap: ")
    return text


@pytest.mark.parametrize("data", [pcap(talk()), pcapng(talk())], ids=["pcap", "pcapng"])
def test_a_file_that_was_cut_off(data):
    kept = 0
    for length in range(4, len(data)):
        try:
            Timeline.of(data[:length], "file.pcap")
            kept += 1  # it was cut between two frames
        except TraceError as error:
            assert re.search(r"truncated.*at byte \d+|contains no frames", str(error))
            if "truncated" in str(error):
                try:
                    assert 1 <= len(Timeline.of(data[:length], "file.pcap", partial=True).frames) < 6
                except TraceError as other:
                    assert "no frames" in str(other)
    assert kept == 5


def test_hostile_files():
    """Any bytes give a timeline or one line, never another exception; what they say of a frame is never one either."""
    rnd = random.Random(7)
    frames = [bytes(14) + frame for frame in talk()] + talk(v6=True)
    bases = [pcap(frames, link=1), pcapng(frames, link=101), pcap(frames, link=113), corpus.of_chance(1)]
    errors = 0
    for _ in range(400):
        bad = bytearray(rnd.choice(bases))
        for _ in range(rnd.randrange(1, 12)):
            bad[rnd.randrange(4, len(bad))] = rnd.choice((0, 1, 0x45, 0xFF, rnd.randrange(256)))
        try:
            timeline = Timeline.of(bytes(bad), "file.pcap")
        except TraceError as error:
            errors += 1
            assert "\n" not in str(error) and str(error).startswith("file.pcap: ")
            continue
        from pystack.stepper import text
        from pystack.stepper.dissect import dissect
        from pystack.stepper.explain import why

        for frame in timeline.frames:
            dissect(frame.data, frame.link, frame.length)
            assert str(why(timeline, frame=frame.number))
        assert list(text.story(timeline))
    assert 20 < errors < 380


def test_limits(monkeypatch):
    assert "impossible length 4294967295 of a frame" in error_of(
        pcap([])[:24] + struct.pack("<IIII", 0, 0, 2**32 - 1, 0)
    )
    assert "link type 147" in error_of(pcap(talk(), link=147))
    assert "no frames" in error_of(pcap([]))
    many = block("<", 1, struct.pack("<HHI", 1, 0, 0)) * 70_000
    assert "more than 65536 interfaces" in error_of(pcapng([]) + many)
    with pytest.raises(TraceError, match="bytes; a capture may have"):
        list(reader.CaptureReader(io.BytesIO(b""), "x", size=1 << 40))
    monkeypatch.setattr(reader, "MAX_FRAMES", 5)
    assert "more than 5 frames" in error_of(pcap(talk()))


def test_many_hosts_share_a_column_and_memory_is_bounded():
    base = talk()[3]
    frames = [base[:12] + struct.pack(">I", 0x0B000000 + n) + base[16:] for n in range(3000)]
    data = pcap(frames)
    tracemalloc.start()
    timeline = Timeline.of(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(timeline.hosts) == MAX_HOSTS + 1 and timeline.hosts[-1] == OTHERS
    assert timeline.frames[2999].host == OTHERS and len(timeline.conversations()) == 3000
    assert peak < 60 * len(data)


def test_both_ends_in_one_host_have_columns_of_their_own():
    """A capture of `lo` has one address. The server's column has its port in the name, whoever sends the first frame."""
    frames = [frame.replace(bytes((10, 0, 0, 2)), bytes((10, 0, 0, 1))) for frame in talk()]
    for part in (frames, frames[1:], frames[3:]):
        timeline = Timeline.of(pcap(part), "lo.pcap")
        ways = {(frame.host, frame.to) for frame in timeline.frames}
        assert ways == {("10.0.0.1", "10.0.0.1:80"), ("10.0.0.1:80", "10.0.0.1")}
        assert all((frame.host == "10.0.0.1:80") == ("10.0.0.1.80 >" in frame.summary) for frame in timeline.frames)
    assert {key.partition(" tcp ")[0] for key in timeline.connections} == {"10.0.0.1", "10.0.0.1:80"}
