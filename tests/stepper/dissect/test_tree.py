"""The tree, the hex view, and what the fields say; frames with wrong lengths say what is wrong."""

import json

import pytest

import pystack_c.const as C
from pystack.stepper.dissect import MALFORMED, dissect, hex_rows, hex_text
from tests.support import build

A, B = 0x0A000001, 0x0A000002
SYN = build.tcp(A, 40000, B, 80, 0x02, 1000, 0, options=build.opt_mss(1460) + build.opt_wscale(7))


def frame(segment=SYN, proto=6, **fields):
    return build.ether(build.ipv4(A, B, proto, segment, **fields))


def errors(data, link=C.LINK_ETHERNET):
    return [node.text for node in dissect(data, link).errors()]


def test_a_field_knows_its_place_to_the_bit():
    node = dissect(frame()).find("tcp.flags.syn")
    assert (node.offset_bits, node.width_bits, node.value, node.text) == (47 * 8 + 6, 1, 1, "set")
    assert (node.offset, node.size, node.bits) == (47, 1, ".... ..1.")
    assert node.meaning.startswith("opens")
    offset = dissect(frame(frag=0x4000 | 185)).find("ip.frag_offset")
    assert (offset.text, offset.bits) == ("1480 bytes (185)", "...0 0000 1011 1001")


def test_the_tree_as_text():
    lines = dissect(frame()).lines()
    assert "TCP: 40000 > 80 [SYN] seq 1000 win 65535 len 0" in lines
    assert (
        "        .... ..1. = Synchronize: set  (opens the connection: this is the initial sequence number; takes one number)"
        in lines
    )
    assert any(line.strip().startswith("Options: MSS 1460, NOP, Window scale 7 (times 128)") for line in lines)


def test_the_tree_as_json():
    tree = dissect(frame(SYN + b"payload"))
    again = json.loads(json.dumps(tree.to_list()))
    assert [layer["abbrev"] for layer in again] == ["eth", "ip", "tcp"]
    assert again[2]["children"][-1]["value"] == b"payload".hex()


def test_which_field_a_byte_belongs_to():
    tree = dissect(frame())
    assert tree.at(22).abbrev == "ip.ttl"
    assert tree.at(56).abbrev == "tcp.options.mss_val"
    assert tree.at(1000) is None


def test_the_hex_view_marks_the_bits():
    data = frame()
    tree = dissect(data)
    marks = {cell.offset: cell.mark for row in hex_rows(data, tree.find("ip.frag_offset")) for cell in row if cell.mark}
    assert marks == {20: 0x1F, 21: 0xFF}
    marks = {cell.offset: cell.mark for row in hex_rows(data, tree.find("tcp.flags.syn")) for cell in row if cell.mark}
    assert marks == {47: 0x02}
    assert not any(cell.mark for row in hex_rows(data) for cell in row)
    assert [len(row) for row in hex_rows(data)] == [16, 16, 16, 14]
    text = hex_text(data, tree.find("ip.src")).splitlines()
    assert text[1].startswith("0010 ") and "[0a 00 00 01]" in text[1]


def test_a_wrong_checksum_says_what_would_be_right():
    bad = SYN[:16] + b"\x12\x34" + SYN[18:]
    meaning = dissect(frame(bad)).find("tcp.checksum").meaning
    right = int.from_bytes(SYN[16:18], "big")
    assert meaning.startswith(f"WRONG: {right:#06x} would be correct")
    assert dissect(frame()).find("tcp.checksum").meaning.startswith("correct")


def test_an_error_quotes_the_packet():
    quote = build.ipv4(A, B, 6, SYN)[:28]
    tree = dissect(build.ether(build.ipv4(B, A, 1, build.icmp(3, 4, 1400, quote))))
    icmp = tree.find("icmp")
    assert [node.name for node in icmp.children if node.abbrev in ("ip", "tcp")] == ["Quoted IPv4", "Quoted TCP"]
    assert tree.find("icmp.mtu").value == 1400 and tree.errors() == []
    assert len(tree.find_all("ip.src")) == 2 and tree.find("tcp.seq").value == 1000


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "inside the Ethernet header"),
        (b"\xff" * 9, "before the source is complete"),
        (frame()[:20], "before the reserved bit is complete"),
        (frame(version=6), "version 6 is not 4"),
        (frame(ihl=4), "16 bytes is shorter than 20"),
        (frame(ihl=15)[:60], "a header of 60 bytes, but only 46 are there"),
        (frame(total=19), "a total length of 19 is shorter than the header of 20"),
        (frame(total=1000), "a total length of 1000, but only"),
        (frame(build.tcp(A, 1, B, 2, 2, 0, 0, offset=4)), "16 bytes is shorter than 20"),
        (frame(build.tcp(A, 1, B, 2, 2, 0, 0, offset=15)), "a header of 60 bytes, but only 20"),
        (frame(build.tcp(A, 1, B, 2, 2, 0, 0, options=b"\x02\x01\0\0")), "a length of 1 does not fit"),
        (frame(build.tcp(A, 1, B, 2, 2, 0, 0, options=b"\x08\x20\0\0")), "a length of 32 does not fit"),
        (frame(build.tcp(A, 1, B, 2, 2, 0, 0, options=b"\x02\x03\1\0")), "a length of 3 is wrong for this option"),
        (frame(build.udp(A, 1, B, 2, b"x", length=7), 17), "a length of 7 is shorter than the header"),
        (frame(build.udp(A, 1, B, 2, b"x", length=99), 17), "a length of 99, but the packet has 9"),
        (frame(b"\0\1\0", 17), "before the destination port is complete"),
        (frame(b"\3", 1), "before the code is complete"),
        (frame(SYN, options=b"\x07\x02"), "the option ends before its pointer"),
        (build.ether(b"\0\1\x08\0\6\4\0\1abc", 0x0806), "before the Sender MAC address is complete"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(data, text):
    found = errors(data)
    assert any(text in line for line in found), found


def test_control_nothing_is_wrong_with_good_frames():
    assert errors(frame()) == errors(frame(build.udp(A, 1, B, 2, b"x"), 17)) == []
    assert errors(build.ipv4(A, B, 6, SYN), C.LINK_IP) == []
    assert dissect(frame()).find(MALFORMED) is None


def test_odd_links_and_protocols():
    assert dissect(build.ether(b"x" * 40, 0x88B5)).find("data.data").size == 40
    assert dissect(frame(b"x" * 40, 132)).find("data.data").size == 40
    other = b"\0\7\x12\x34\2\3\0\1" + b"aabbbccddd"
    tree = dissect(build.ether(other, 0x0806))
    assert (tree.find("arp.src.hw").value, tree.find("arp.dst.proto").size) == (0x6161, 3) and not tree.errors()
    assert dissect(build.ipv4(A, B, 6, SYN) + b"more", C.LINK_IP).layers[-1].text == '4 bytes "more"'


def test_a_frame_of_which_only_the_beginning_was_kept():
    whole = frame(build.tcp(A, 1, B, 2, 0x18, 5, 6, b"x" * 1000))
    kept = dissect(whole[:100], length=len(whole))
    assert kept.errors() == [] and kept.find("tcp").text.endswith("len 1000")
    assert kept.find("tcp.checksum").meaning.startswith("cannot be checked")
    assert kept.find("tcp.payload").size == 46
    assert dissect(whole[:100]).errors() != []  # control: a packet that lies about its length
