"""What `--why` says at frames of captures: what they carry, what they answer, and what they led to. Each case was wrong or empty when all frames were read."""

import struct

import pytest

from pystack.stepper import Timeline
from pystack.stepper.explain import why
from tests.stepper.capture.corpus import Forged
from tests.stepper.dissect import wires

A, B = bytes((10, 0, 0, 1)), bytes((10, 0, 0, 2))
MAC_A, MAC_B, ALL = b"\x02\0\0\0\0\1", b"\x02\0\0\0\0\2", b"\xff" * 6
SYN, RST, ACK, FIN, PSH = 2, 4, 16, 1, 8


def ip(source, target, proto, payload, ident=1, place=0):
    head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(payload), ident, place, 64, proto, 0) + source + target
    macs = MAC_B + MAC_A if source == A else MAC_A + MAC_B
    return macs + b"\x08\x00" + head + payload


def tcp(source, target, sport, dport, seq, ack, flags, data=b"", win=1000, options=b""):
    head = struct.pack(">HHIIBBHHH", sport, dport, seq, ack, (20 + len(options)) << 2, flags, win, 0, 0)
    return ip(source, target, 6, head + options + data)


def udp(source, target, sport, dport, data):
    return ip(source, target, 17, struct.pack(">HHHH", sport, dport, 8 + len(data), 0) + data)


def arp(operation, source, target, to=ALL, mac=MAC_A):
    return to + mac + b"\x08\x06" + struct.pack(">HHBBH", 1, 0x0800, 6, 4, operation) + mac + source + bytes(6) + target


def icmp(source, target, kind, code, rest):
    return ip(source, target, 1, bytes((kind, code, 0, 0)) + rest)


def said(*frames):
    timeline = Timeline.of(wires.pcapng(list(frames)))
    return [str(why(timeline, frame=number)) for number in range(1, len(frames) + 1)]


def opened(*more):
    """A connection that is open, and more segments."""
    return (
        tcp(A, B, 5, 80, 100, 0, SYN),
        tcp(B, A, 80, 5, 500, 101, SYN | ACK),
        tcp(A, B, 5, 80, 101, 501, ACK),
        *more,
    )


def test_the_handshake_says_the_port_and_what_answered():
    syn, accepted, third = said(*opened())
    assert "to port 80 of 10.0.0.2 with a SYN" in syn and "begin at 100" in syn and "Frame 2 accepts it" in syn
    assert "its SYN-ACK acknowledges the SYN of 10.0.0.1" in accepted and "begin at 500" in accepted
    assert "completes the handshake" in third and "before byte" not in third


def test_a_refusal_is_no_abort():
    syn, refused = said(tcp(A, B, 5, 81, 100, 0, SYN), tcp(B, A, 81, 5, 0, 101, RST | ACK))
    assert "Frame 2 refuses it" in syn
    assert "refuses the connection with a RST" in refused and "at once" not in refused
    *_, ended = said(*opened(tcp(B, A, 80, 5, 501, 101, RST | ACK)))
    assert "ends the connection with 10.0.0.1 at once" in ended  # the control
    *_, half = said(*opened()[:2], tcp(A, B, 5, 80, 101, 0, RST))
    assert "before it was open" in half
    _, gave_up = said(tcp(A, B, 5, 80, 100, 0, SYN), tcp(A, B, 5, 80, 101, 0, RST))
    assert "gives its attempt up" in gave_up
    *_, over = said(
        *opened(
            tcp(A, B, 5, 80, 101, 501, FIN | ACK), tcp(B, A, 80, 5, 501, 102, FIN | ACK), tcp(A, B, 5, 80, 102, 0, RST)
        )
    )
    assert "although both sides have sent a FIN already" in over


def test_a_syn_without_an_answer():
    first, last = said(tcp(A, B, 5, 80, 100, 0, SYN), tcp(A, B, 5, 80, 100, 0, SYN))
    assert "repeated in frame 2" in first and "no answer" in last


def test_data_says_what_it_is_and_who_acknowledged_it():
    request = b"GET /x HTTP/1.1\r\nHost: b\r\n\r\n"
    *_, data, ack = said(
        *opened(tcp(A, B, 5, 80, 101, 501, ACK | PSH, request), tcp(B, A, 80, 5, 501, 101 + len(request), ACK))
    )
    assert "It carries HTTP: GET /x HTTP/1.1." in data and "Frame 5 acknowledges it" in data
    assert f"all that 10.0.0.1 sent before byte {1 + len(request)}. It has room for 1000 more bytes" in ack
    *_, end, answer = said(*opened(tcp(A, B, 5, 80, 101, 501, FIN | ACK), tcp(B, A, 80, 5, 501, 102, ACK)))
    assert "the segment has a FIN. It can still receive." in end and "acknowledges the FIN of 10.0.0.1" in answer


def test_a_segment_that_arrived_twice_is_no_gap():
    data = b"x" * 10
    twice = bytes((1, 1, 5, 10)) + struct.pack(">II", 101, 111)
    parts = (
        tcp(A, B, 5, 80, 101, 501, ACK, data),
        tcp(B, A, 80, 5, 501, 111, ACK),
        tcp(A, B, 5, 80, 101, 501, ACK, data),
    )
    *_, found = said(*opened(*parts, tcp(B, A, 80, 5, 501, 111, ACK, options=twice)))
    assert "reached 10.0.0.2 twice" in found and "did not fill the next gap" not in found
    beyond = bytes((1, 1, 5, 10)) + struct.pack(">II", 131, 141)
    *_, found = said(*opened(*parts, tcp(B, A, 80, 5, 501, 111, ACK, options=beyond)))
    assert "beyond a gap" in found and "twice" not in found  # the control


def test_a_probe_of_a_closed_window_is_no_keep_alive():
    probe = Forged().add("a", 1, 1, 100).add("b", 1, 101, win=0).add("a", 100, 1, 0, after=200)
    found = Timeline.of(probe.add("b", 1, 101, win=0).capture())
    assert "It is a probe of the closed window" in str(why(found, frame=6))
    quiet = Timeline.of(Forged().add("a", 1, 1, 100).add("b", 1, 101).add("a", 100, 1, 0, after=5000).capture())
    assert "It is a keep-alive" in str(why(quiet, frame=6))  # the control


def test_a_connection_without_its_beginning():
    first, *_ = said(tcp(A, B, 5, 80, 900, 700, ACK, b"x"), tcp(B, A, 80, 5, 700, 901, ACK))
    assert "does not have the beginning of this connection" in first
    assert not any("beginning of this connection" in one for one in said(*opened()))


def test_arp_says_who_is_asked():
    asked, confirm, answered, probe, announced = said(
        arp(1, A, B), arp(1, A, B, MAC_B), arp(2, B, A, MAC_A, MAC_B), arp(1, bytes(4), B), arp(1, A, A)
    )
    assert "asks all hosts of the link" in asked and "repeated in frame 2" in asked
    assert "asks 10.0.0.2 itself" in confirm and "Frame 3 answers it" in confirm
    assert "It answers frame 2" in answered
    assert "wants to use the address 10.0.0.2" in probe
    assert "ARP announcement: 10.0.0.1" in announced and "asks" not in announced


def test_pings_and_errors_name_their_frames():
    ping = icmp(A, B, 8, 0, b"\0\1\0\1" + bytes(8))
    request, reply = said(ping, icmp(B, A, 0, 0, b"\0\1\0\1" + bytes(8)))
    assert "10.0.0.1 pings 10.0.0.2" in request and "Frame 2 answers it" in request and "It answers frame 1" in reply
    lost, error = said(ping, icmp(B, A, 11, 0, bytes(4) + ping[14:42]))
    assert "Frame 2 reports an error about it" in lost
    assert "The packet was an ICMP message from 10.0.0.1" in error and "It is about frame 1" in error
    other, _ = said(ping, icmp(B, A, 0, 0, b"\0\1\0\2" + bytes(8)))
    assert "The capture has no answer to it." in other  # the control: another sequence number


def test_a_datagram_to_a_closed_port():
    sent = udp(A, B, 7000, 5555, b"hi")
    first, error = said(sent, icmp(B, A, 3, 3, bytes(4) + sent[14:]))
    assert (
        "sends 2 bytes in a datagram to port 5555 of 10.0.0.2" in first and "Frame 2 reports an error about it" in first
    )
    assert "It is about frame 1" in error
    (alone,) = said(sent)
    assert "no datagram back" in alone


QUESTION = b"\3www\4test\0\0\1\0\1"


def dns(flags, answers=0, records=b""):
    return struct.pack(">HHHHHH", 7, flags, 1, answers, 0, 0) + QUESTION + records


def test_dns_names_the_records_and_what_is_truncated():
    record = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4" + bytes((192, 0, 2, 9))
    asked, answered = said(udp(A, B, 7000, 53, dns(0x0100)), udp(B, A, 53, 7000, dns(0x8180, 1, record)))
    assert "Frame 2 answers it" in asked and "it has 1 record in answer: 192.0.2.9" in answered
    _, cut = said(udp(A, B, 7000, 53, dns(0x0100)), udp(B, A, 53, 7000, dns(0x8380)))
    assert "truncated" in cut and "over TCP" in cut and "no such record" not in cut
    over = dns(0x8180, 1, record)
    *_, whole = said(*opened(tcp(B, A, 80, 5, 501, 101, ACK)))
    assert "DNS" not in whole
    (first,) = said(tcp(B, A, 53, 5, 501, 101, ACK | PSH, len(over).to_bytes(2, "big") + over))
    assert "it has 1 record in answer: 192.0.2.9" in first


def test_fragments_name_each_other():
    first, last = said(ip(A, B, 17, bytes(16), 9, 0x2000), ip(A, B, 17, bytes(8), 9, 2))
    assert "the identification 9 (0x9)" in first and "The other fragments are in frame 2." in first
    assert "the last fragment" in last and "in frame 1." in last
    (alone,) = said(ip(A, B, 17, bytes(8), 9, 2))
    assert "The capture has no other fragment of it" in alone


@pytest.mark.parametrize("seed", range(3))
def test_no_forged_frame_breaks_an_answer(seed):
    import random

    chance = random.Random(seed)
    good = [
        *opened(),
        arp(1, A, B),
        udp(A, B, 7000, 53, dns(0x0100)),
        icmp(B, A, 3, 3, bytes(4) + udp(A, B, 1, 2, b"")[14:]),
    ]
    frames = []
    for _ in range(150):
        frame = bytearray(chance.choice(good))
        for _ in range(chance.randrange(4)):
            frame[chance.randrange(12, len(frame))] = chance.randrange(256)
        frames.append(bytes(frame[: chance.randrange(14, len(frame) + 1)]))
    assert all(said(*frames))
