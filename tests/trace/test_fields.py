"""Where two frames differ, by the name of the field."""

from pystack.trace.fields import difference, field_at
from tests import frames as f

SEGMENT = f.tcp("10.0.0.1", 1, "10.0.0.2", 2, 0x12, 1000, 5, b"data", b"\x02\x04\x05\xb4")
FRAME = f.ether(f.ipv4("10.0.0.1", "10.0.0.2", 6, SEGMENT))


def changed(offset: int, value: int) -> bytes:
    return FRAME[:offset] + bytes((value,)) + FRAME[offset + 1 :]


def test_fields():
    assert difference(FRAME, FRAME) == ""
    assert difference(FRAME, changed(41, 0)) == "TCP sequence number (byte 38): 1000 (0x3e8) expected, 768 (0x300) got"
    assert difference(FRAME, changed(22, 1)).startswith("IPv4 TTL (byte 22): 64 (0x40) expected, 1")
    assert difference(FRAME, changed(54, 9)).startswith("TCP options differs at byte 54")
    assert difference(FRAME, changed(60, 9)) == "payload differs at byte 60: 0x74 expected, 0x09 got"
    assert difference(FRAME, FRAME[:-1]) == f"length {len(FRAME)} expected, {len(FRAME) - 1} got"
    assert field_at(FRAME, 0)[1] == "destination MAC"
    arp = f.ether(f.arp(1, f.MAC_A, "10.0.0.1", 0, "10.0.0.2"), 0x0806)
    assert field_at(arp, 21)[:2] == ("ARP", "operation")
    icmp = f.ether(f.ipv4("10.0.0.1", "10.0.0.2", 1, f.icmp(8, 0, bytes(4))))
    assert field_at(icmp, 34)[:2] == ("ICMP", "type")
    assert field_at(b"short", 3)[1] == "destination MAC" and field_at(b"", 9, 2)[1] == "payload"
