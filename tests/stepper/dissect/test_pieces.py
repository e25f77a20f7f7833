"""Large answers of DNS in fragments of IP are put together: IPv4 and IPv6, against tshark, and against what hostile fragments do."""

import random
import shutil
import socket
import struct
import subprocess
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pystack_c.const as C
from pystack.stepper import Timeline, messages, pieces
from pystack.stepper.capture import why
from tests.stepper.capture.corpus import pcapng
from tests.stepper.dissect.test_fuzz import inside
from tests.support import build

A, B = 0x0A000001, 0x0A000002
A6, B6 = (socket.inet_pton(socket.AF_INET6, f"2001:db8::{n}") for n in (1, 2))
ROOM = 1400
MS = 1_000_000


def answer(records=12, size=250):
    """An answer of DNS with TXT records."""
    name = b"\3big\4shop\4test\0"
    message = struct.pack(">HHHHHH", 7, 0x8180, 1, records, 0, 0) + name + b"\0\x10\0\1"
    for number in range(records):
        text = bytes([size]) + bytes([65 + number % 26]) * size
        message += b"\xc0\x0c\0\x10\0\1" + struct.pack(">IH", 300, len(text)) + text
    return message


def four(datagram, ident=77, room=ROOM):
    cuts = range(0, len(datagram), room)
    return [
        build.ipv4(B, A, 17, datagram[at : at + room], ident=ident, frag=(0x2000 if at + room < len(datagram) else 0) | at // 8)
        for at in cuts
    ]  # fmt: skip


def six(datagram, ident=77, room=ROOM):
    found = []
    for at in range(0, len(datagram), room):
        more = at + room < len(datagram)
        front = struct.pack(">BBHI", 17, 0, at | more, ident)
        body = front + datagram[at : at + room]
        found.append(struct.pack(">IHBB", 0x60000000, len(body), 44, 64) + B6 + A6 + body)
    return found


def packets(version, message=None, **options):
    message = answer() if message is None else message
    if version == 4:
        return four(build.udp(B, 53, A, 4000, message), **options)
    return six(build.upper6(B6, A6, 17, struct.pack(">HHHH", 53, 4000, len(message) + 8, 0) + message), **options)


def opened(found, every=MS):
    return Timeline.of(pcapng([(n * every, one, C.LINK_IP) for n, one in enumerate(found)]), "pieces.pcapng")


def dns_in(timeline):
    """The numbers of the frames whose fields have a message of DNS with all of its records."""
    found = []
    for frame in timeline.frames:
        tree = messages.tree(frame)
        if tree.find("dns") and len(tree.find_all("dns.resp.name")) == 12:
            found.append(frame.number)
    return found


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("order", ["as sent", "backwards", "with a copy"])
def test_the_last_fragment_to_come_has_the_message(version, order):
    sent = packets(version)
    assert len(sent) == 3
    found = {"as sent": sent, "backwards": sent[::-1], "with a copy": [sent[0], sent[1], sent[1], sent[2], sent[2]]}[
        order
    ]
    timeline = opened(found)
    last = 4 if order == "with a copy" else 3
    assert dns_in(timeline) == [last]
    frame = timeline.frames[last - 1]
    tree = messages.tree(frame)
    assert tree.find("udp.checksum").meaning.startswith("correct") and not tree.errors()
    assert "answer to big.shop.test TXT" in tree.find("dns").text
    for layer in tree.layers:
        inside(layer, 0, len(frame.data) * 8)
    said = str(why.of_frame(timeline, frame))
    assert "Now all fragments are here" in said and "12 records" in said


@pytest.mark.parametrize("version", [4, 6])
def test_control_a_missing_fragment_is_missed(version):
    for lost in range(3):
        left = [one for number, one in enumerate(packets(version)) if number != lost]
        assert dns_in(opened(left)) == []


@pytest.mark.parametrize("version", [4, 6])
def test_fragments_of_two_packets_are_kept_apart(version):
    one, two = packets(version, ident=1), packets(version, answer(size=240), ident=2)
    assert dns_in(opened([frame for both in zip(one, two) for frame in both])) == [5, 6]
    assert dns_in(opened([one[0], one[1], two[2]])) == []


def test_fragments_that_come_too_late_are_of_another_packet():
    assert dns_in(opened(packets(4), every=16_000 * MS)) == []
    assert dns_in(opened(packets(4), every=14_000 * MS)) == [3]


def test_overlaps_are_refused():
    whole = bytes(range(240)) * 2
    good = [(0, True, whole[:240]), (240, False, whole[240:])]
    assert pieces.join(good) == whole == pieces.join([*good, good[0]])
    for bad in (
        [(0, True, whole[:240]), (232, False, whole[232:])],
        [(0, True, whole[:240]), (240, False, whole[240:]), (240, False, whole[239:-1])],
        [(0, True, whole[:240]), (240, False, whole[240:]), (480, False, whole)],
        [(0, True, whole[:239]), (239, False, whole[239:])],
        [(0, True, whole[:240]), (248, False, whole[248:])],
        [(0, True, whole[:240]), (240, True, b""), (240, False, whole[240:])],
        [(0, True, whole[:240])],
        [],
    ):
        assert pieces.join(bad) is None


def test_a_packet_that_is_too_long_or_has_too_many_fragments_is_refused():
    assert pieces.join([(0, True, bytes(65_528)), (65_528, False, bytes(7))]) == bytes(65_535)
    assert pieces.join([(0, True, bytes(65_528)), (65_528, False, bytes(8))]) is None
    small = [(8 * n, n < pieces.MOST_PIECES - 1, bytes(8)) for n in range(pieces.MOST_PIECES)]
    assert len(pieces.join(small)) == 8 * pieces.MOST_PIECES
    assert pieces.join([*small, (8 * len(small), False, bytes(8))]) is None


@pytest.mark.skipif(shutil.which("tshark") is None, reason="needs tshark")
@pytest.mark.parametrize("version", [4, 6])
def test_as_tshark(version, tmp_path):
    sent = packets(version)
    other = packets(version, answer(size=240), ident=78)
    found = [*sent, other[2], other[0], other[1], *packets(version, answer(3), ident=9)]
    file = tmp_path / "pieces.pcapng"
    file.write_bytes(pcapng([(n * MS, one, C.LINK_IP) for n, one in enumerate(found)]))
    words = [
        "tshark",
        "-n",
        "-r",
        str(file),
        "-Y",
        "dns",
        "-T",
        "fields",
        "-e",
        "frame.number",
        "-e",
        "dns.id",
        "-e",
        "dns.resp.name",
    ]
    theirs = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True).stdout
    rows = [line.split("\t") for line in theirs.splitlines()]
    ours = []
    for frame in Timeline.load(str(file)).frames:
        tree = messages.tree(frame)
        if tree.find("dns"):
            names = ",".join(node.text for node in tree.find_all("dns.resp.name"))
            ident = tree.find("dns.id").value
            # Of a field in an earlier frame, no bit is here, so its value is bytes.
            number = int.from_bytes(ident, "big") if isinstance(ident, bytes) else ident
            ours.append([str(frame.number), f"{number:#06x}", names])
    assert ours == rows and len(rows) == 3


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 1 << 32), st.sampled_from([4, 6]))
def test_hostile_fragments(seed, version):
    """Fragments with changed bytes, in any order, some twice: no exception, and no field outside its frame."""
    chance = random.Random(seed)
    found = []
    for one in packets(version, answer(chance.randrange(1, 14)), room=chance.choice((8, 240, 1400))):
        for _ in range(chance.choice((0, 1, 1, 1, 2))):
            data = bytearray(one)
            for _ in range(chance.choice((0, 0, 1, 3))):
                data[chance.randrange(len(data))] = chance.randrange(256)
            found.append(bytes(data[: chance.randrange(1, len(data))] if chance.random() < 0.05 else data))
    found = found[:150] or [b"\x45"]
    chance.shuffle(found)
    timeline = opened(found)
    for frame in timeline.frames:
        for layer in messages.tree(frame).layers:
            inside(layer, 0, len(frame.data) * 8)
        why.of_frame(timeline, frame)


def test_the_work_for_a_flood_of_fragments_is_bounded():
    """Each fragment looks at few frames, however many there are."""
    flood = [build.ipv4(B, A, 17, bytes(1400), ident=5, frag=0x2000 | n * 175 % 8000) for n in range(3000)]
    timeline = opened(flood)
    took = []
    for number in (900, 2900):
        start = time.process_time()
        for index in range(number, number + 20):
            assert pieces.completed(timeline.frames[index]) is None
        took.append(time.process_time() - start)
    assert took[1] < 5 * took[0] + 0.1
