"""Software TSO does what a card does, field by field, and tshark finds nothing to complain about."""

import struct

import pytest

import pystack_c.const as C
from pystack.phy.segmenter import Segmenter, finish_checksum, ones_sum, segments
from pystack_c.iface import Iface
from pystack_c.packet import Transmit
from tests import frames as f

A, B = "10.0.0.1", "10.0.0.2"
STAMP = bytes.fromhex("0101080a0000000100000002")


def offloaded(
    payload: bytes, flags: int, gso: int, kind: int = C.LINK_ETHERNET, ident: int = 7, seq: int = 100
) -> Transmit:
    segment = f.tcp(A, 1, B, 2, flags, seq, 9, payload, STAMP, partial=True)
    packet = f.ipv4(A, B, 6, segment, ident)
    frame = f.ether(packet) if kind == C.LINK_ETHERNET else packet
    cut = len(frame) - len(payload)
    tx = Transmit(Iface(1, "eth0", kind, f.MAC_A, 1500), frame[:cut], payload)
    tx.gso_size = gso
    tx.hdr_len = cut
    tx.csum_start = cut - 32
    tx.csum_offset = 16
    return tx


@pytest.mark.parametrize("kind", [C.LINK_ETHERNET, C.LINK_IP])
def test_the_segments_are_those_that_were_built_one_by_one(kind):
    payload = bytes(range(256)) * 20
    flags = C.ACK | C.PSH | C.FIN | C.CWR
    got = list(segments(offloaded(payload, flags, 1448, kind, ident=0xFFFE, seq=0xFFFFFF00)))
    expected = []
    for number, at in enumerate(range(0, len(payload), 1448)):
        piece = payload[at : at + 1448]
        here = C.ACK | (C.CWR if number == 0 else 0) | (C.PSH | C.FIN if at + 1448 >= len(payload) else 0)
        segment = f.tcp(A, 1, B, 2, here, (0xFFFFFF00 + at) & 0xFFFFFFFF, 9, piece, STAMP)
        packet = f.ipv4(A, B, 6, segment, (0xFFFE + number) & 0xFFFF)
        expected.append(f.ether(packet) if kind == C.LINK_ETHERNET else packet)
    assert len(got) == 4
    assert got == expected


def test_checksum_only_frames_are_finished():
    tx = offloaded(b"abc", C.ACK, 0)
    (frame,) = segments(tx)
    assert frame == f.ether(f.ipv4(A, B, 6, f.tcp(A, 1, B, 2, C.ACK, 100, 9, b"abc", STAMP)))
    plain = Transmit(tx.iface, b"as it is")
    assert list(segments(plain)) == [b"as it is"]


def test_a_wrong_pseudo_header_sum_shows_as_a_wrong_checksum():
    """The control: the segmenter trusts the stack's sum as hardware does, it does not repair it."""
    tx = offloaded(bytes(3000), C.ACK, 1460)
    at = tx.csum_start + 16
    wrong = (struct.unpack_from(">H", tx.header, at)[0] + 1) & 0xFFFF
    tx.header = tx.header[:at] + struct.pack(">H", wrong) + tx.header[at + 2 :]
    for frame in segments(tx):
        segment = frame[34:]
        assert ones_sum(f.pseudo(A, B, 6, len(segment)) + segment) != 0xFFFF


def test_finish_checksum():
    partial = offloaded(b"xyz" * 700, C.ACK, 0).to_bytes()
    done = finish_checksum(partial, 14)
    assert done == f.ether(f.ipv4(A, B, 6, f.tcp(A, 1, B, 2, C.ACK, 100, 9, b"xyz" * 700, STAMP)))
    assert finish_checksum(done, 14) == done
    datagram = f.ether(f.ipv4(A, B, 17, f.udp(A, 1, B, 2, b"z")))
    assert finish_checksum(datagram, 14) == datagram
    for cut in range(len(partial)):
        finish_checksum(partial[:cut], 14)


class Card:
    """A device that takes `room` frames."""

    name, kind, mac, mtu, tx_csum, gso_max = "eth0", C.LINK_ETHERNET, f.MAC_A, 1500, False, 0

    def __init__(self, room):
        self.room = room
        self.sent = []
        self.closed = False

    def fileno(self):
        return 9

    def recv(self):
        return (b"in", 0, 0, 0)

    def send(self, tx):
        if len(self.sent) >= self.room:
            return False
        self.sent.append(tx.to_bytes())
        return True

    def close(self):
        self.closed = True


def test_segmenter_keeps_what_the_card_had_no_room_for():
    card = Card(2)
    wrapped = Segmenter(card)
    assert wrapped.gso_max and wrapped.tx_csum and wrapped.fileno() == 9 and wrapped.recv()[0] == b"in"
    tx = offloaded(bytes(1448 * 4), C.ACK, 1448)
    assert wrapped.send(tx)
    assert len(card.sent) == 2
    assert not wrapped.send(tx)  # the first two wait: not taken
    card.room = 100
    assert wrapped.send(tx)
    assert card.sent == [*segments(tx), *segments(tx)]
    wrapped.close()
    assert card.closed
