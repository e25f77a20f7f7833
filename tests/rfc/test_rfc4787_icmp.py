"""RFC 5508: address translation of ICMP. The numbers are those of requirements/rfc4787.csv."""

import struct

import pytest

import pystack_c.const as C
from tests import frames as f
from tests.rfc.nats import A2, B2, NAT, A, B, independent, linux, port, profiled
from tests.support.natbox import IN, OUT, S, echo, ends, error, seal, sums_right, tcp, udp

MAKES = pytest.mark.parametrize("make", [independent, linux])
ERRORS = pytest.mark.parametrize(("kind", "code"), [(3, 1), (3, 4), (3, 13), (11, 0), (12, 0)])
OTHER = "192.0.2.99"


def flows(make):
    """A NAT behind which A2 has all ports first, and a packet of A's of each protocol as it is inside and outside."""
    box, found = make(), []
    for build in (
        lambda host: udp(host, 5000, B, 53),
        lambda host: tcp(host, 5000, B, 80, C.SYN, 100),
        lambda host: echo(host, B, 5000),
    ):
        box.send(IN, build(A2))
        inner = build(A)
        [(_, outer)] = box.send(IN, inner)
        assert ends(outer)[1] != 5000
        found.append((inner, outer))
    return box, found


def answers(make):
    """The same with an answer of B's to each of them, as it is outside and inside."""
    box, found = flows(make)
    pairs = []
    for _, outer in found:
        _, external, _, rest = ends(outer)
        answer = {
            1: lambda: echo(B, NAT, external, 0),  # noqa: B023
            6: lambda: tcp(B, rest, NAT, external, C.SYN | C.ACK, 500, 101),  # noqa: B023
            17: lambda: udp(B, rest, NAT, external),  # noqa: B023
        }[outer[9]]()
        [(_, got)] = box.send(OUT, answer)
        pairs.append((answer, got))
    return box, pairs


def same(one, two):
    """Compare two packets but for TTL and header checksum, which a router changes."""
    return one[:8] + one[9:10] + one[12:] == two[:8] + two[9:10] + two[12:]


@MAKES
@pytest.mark.parametrize(("query", "reply"), [(8, 0), (13, 14), (15, 16), (17, 18)])
def test_icmp_1_queries_from_the_inside_and_their_replies_pass(make, query, reply):
    box = make()
    for host, ident in ((A, 77), (A2, 78)):
        assert box.one(IN, echo(host, B, ident, query)) == (NAT, ident, B, query << 8)
        assert box.one(OUT, echo(B, NAT, ident, reply)) == (B, ident, host, reply << 8)
    # the control: a reply without a query is not passed on
    assert all(ends(out)[2] != A for _, out in box.send(OUT, echo(B, NAT, 79, reply)))


def test_icmp_1a_one_identifier_for_all_destinations():
    found = {}
    for name, box in (("independent", independent()), ("linux", linux())):
        box.one(IN, echo(A, B, 77))
        found[name] = {box.one(IN, echo(A2, dst, 77))[1] for dst in (B2, B, OTHER)}
    assert len(found["independent"]) == 1 and 77 not in found["independent"]
    assert len(found["linux"]) == 2  # the control: the identifier is kept where it is free


@pytest.mark.parametrize("make", [independent, linux])
def test_icmp_2_a_query_lives_for_sixty_seconds(make):
    """With the setting, or with the profile. Linux's default is 30 s, which is too short."""
    for box, enough in ((make(nf_conntrack_icmp_timeout=60 * S), True), (profiled(), True), (make(), False)):
        box.one(IN, echo(A, B, 77))
        box.later(59.9)
        assert (box.table.count == 1) == enough
        assert ([ends(out)[2] for _, out in box.send(OUT, echo(B, NAT, 77, 0))] == [A]) == enough


@pytest.mark.parametrize("seconds", [60, 90, 600])
def test_icmp_2a_the_time_can_be_configured(seconds):
    box = independent(nf_conntrack_icmp_timeout=seconds * S)
    box.one(IN, echo(A, B, 77))
    box.later(seconds - 1)
    assert box.table.count == 1
    box.later(2)
    assert box.table.count == 0


@MAKES
def test_icmp_3_an_error_with_a_wrong_checksum_is_dropped(make):
    box, found = flows(make)
    for _, outer in found:
        message = bytearray(error(B, NAT, outer))
        assert len(box.send(OUT, bytes(message))) == 1  # the control
        message[22] ^= 1
        assert box.send(OUT, bytes(message)) == []
    assert [event.reason for event in box.kinds("ct.invalid")] == ["the checksum of the transport header is wrong"] * 3


@MAKES
def test_icmp_3b_options_of_the_quoted_packet_are_skipped(make):
    box, found = flows(make)
    for inner, outer in found:
        options = b"\x94\x04\0\0\1\1\1\0"
        quoted = bytearray(outer[:20] + options + outer[20:])
        quoted[0] = 0x47
        [(iface, out)] = box.send(OUT, error(B, NAT, seal(quoted)))
        assert iface == IN and sums_right(out) and ends(out)[2] == A
        assert out[48:56] == options and out[56:60] == inner[20:24] and sums_right(out[28:])


@MAKES
def test_icmp_3c_the_transport_checksum_of_the_quoted_packet_is_not_verified(make):
    box, found = flows(make)
    for inner, outer in found:
        at = {1: 2, 6: 16, 17: 6}[outer[9]] + 20
        quoted = bytearray(outer)
        quoted[at] ^= 0x55
        [(iface, out)] = box.send(OUT, error(B, NAT, bytes(quoted)))
        assert iface == IN and sums_right(out) and ends(out)[2] == A and ends(out[28:])[:2] == (A, 5000)
        assert out[28 + at : 30 + at] != inner[at : at + 2]  # it stays wrong


@MAKES
def test_icmp_4_an_error_about_no_mapping_goes_no_further(make):
    box, _ = flows(make)
    for quoted in (udp(NAT, 4999, B, 53), tcp(NAT, 4999, B, 80, C.SYN), echo(NAT, B, 4999)):
        assert box.send(OUT, error(B, NAT, quoted)) == []


@MAKES
@ERRORS
def test_icmp_4a_the_quoted_packet_is_what_the_inner_host_sent(make, kind, code):
    box, found = flows(make)
    for inner, outer in found:
        [(iface, out)] = box.send(OUT, error(OTHER, NAT, outer, kind, code))
        assert iface == IN and sums_right(out) and same(out[28:], inner) and sums_right(out[28:])


@MAKES
@ERRORS
def test_icmp_4b_type_and_code_of_an_error_stay(make, kind, code):
    box, found = flows(make)
    for _, outer in found:
        message = bytearray(error(OTHER, NAT, outer, kind, code))
        message[24:28] = b"\0\0\5\x14"  # the rest of the header: an MTU or a pointer
        [(_, out)] = box.send(OUT, seal(message))
        assert out[20:22] == bytes((kind, code)) and out[24:28] == b"\0\0\5\x14" and sums_right(out)


@MAKES
@ERRORS
def test_icmp_4c_an_error_goes_to_the_sender_of_the_quoted_packet(make, kind, code):
    box, found = flows(make)
    for _, outer in found:
        [(iface, out)] = box.send(OUT, error(OTHER, NAT, outer, kind, code))
        assert iface == IN and ends(out)[::2] == (OTHER, A) == (OTHER, ends(out[28:])[0])


@MAKES
@ERRORS
def test_icmp_5a_the_quoted_packet_is_what_the_outer_host_sent(make, kind, code):
    box, pairs = answers(make)
    for answer, got in pairs:
        [(iface, out)] = box.send(IN, error(A, B, got, kind, code))
        assert iface == OUT and sums_right(out) and same(out[28:], answer) and sums_right(out[28:])


@MAKES
@ERRORS
def test_icmp_5b_type_and_code_of_an_error_from_inside_stay(make, kind, code):
    box, pairs = answers(make)
    for _, got in pairs:
        [(_, out)] = box.send(IN, error(A, B, got, kind, code))
        assert out[20:22] == bytes((kind, code)) and ends(out)[2] == B


@MAKES
@pytest.mark.parametrize("src", [A, "10.0.0.77"])
def test_icmp_5c_an_error_from_inside_gets_the_external_address(make, src):
    """From the host itself, and from a router behind the NAT."""
    box, pairs = answers(make)
    for _, got in pairs:
        [(iface, out)] = box.send(IN, error(src, B, got))
        assert iface == OUT and ends(out)[::2] == (NAT, B)


@MAKES
def test_icmp_6_an_error_about_a_query_changes_nothing(make):
    box = make()
    [(_, outer)] = box.send(IN, echo(A, B, 77))
    box.later(20)
    assert len(box.send(OUT, error(B, NAT, outer))) == 1
    box.later(9)
    assert box.table.count == 1
    assert len(box.send(OUT, error(B, NAT, outer))) == 1
    box.later(2)
    assert box.table.count == 0


@ERRORS
def test_icmp_7_an_error_between_two_inner_hosts_passes(kind, code):
    box = independent()
    port(box, udp(A, 5000, B, 53))
    sent = udp(A2, 6000, NAT, 5000)
    [(_, got)] = box.send(IN, sent)
    assert ends(got)[::2] == (NAT, A)
    [(iface, out)] = box.send(IN, error(A, NAT, got, kind, code))
    assert iface == IN and sums_right(out) and out[20:22] == bytes((kind, code))
    assert same(out[28:], sent) and sums_right(out[28:])


@ERRORS
def test_icmp_7a_it_goes_to_the_sender_of_the_quoted_packet(kind, code):
    box = independent()
    port(box, udp(A, 5000, B, 53))
    [(_, got)] = box.send(IN, udp(A2, 6000, NAT, 5000))
    [(_, out)] = box.send(IN, error(A, NAT, got, kind, code))
    assert ends(out)[::2] == (NAT, A2) == (NAT, ends(out[28:])[0])


@MAKES
def test_icmp_10a_the_nat_sends_and_answers_the_messages_of_a_router(make):
    box = make()
    [(iface, out)] = box.send(IN, tcp(A, 5000, B, 80, C.SYN, ttl=1))
    assert iface == IN and out[20:22] == b"\x0b\0" and ends(out[28:])[:2] == (A, 5000)
    [(iface, out)] = box.send(IN, udp(A, 5000, "203.0.113.9", 53))
    assert iface == IN and out[20:22] == b"\x03\0" and ends(out[28:])[:2] == (A, 5000)
    assert [ends(out) for _, out in box.send(IN, echo(A, "10.0.0.1", 9))] == [("10.0.0.1", 9, A, 0)]
    assert [ends(out) for _, out in box.send(OUT, echo(B, NAT, 9))] == [(NAT, 9, B, 0)]


@MAKES
def test_icmp_10b_a_parameter_problem_is_passed_on_and_a_redirect_is_not(make):
    box, found = flows(make)
    for _, outer in found:
        assert box.one(OUT, error(B, NAT, outer, 12, 0))[2] == A
        assert box.send(OUT, error(B, NAT, outer, 5, 1)) == []
    assert box.drops == {"nat-redirect": 3}


@MAKES
@pytest.mark.parametrize("kind", [15, 17])
def test_icmp_10c_the_nat_answers_no_information_request(make, kind):
    box = make()
    for side, src, dst in ((IN, A, "10.0.0.1"), (OUT, B, NAT)):
        assert box.send(side, echo(src, dst, 9, kind)) == []
        assert len(box.send(side, echo(src, dst, 9, 8))) == 1  # the control


@MAKES
def test_icmp_10d_the_ds_field_of_errors_and_replies(make):
    box, found = flows(make)
    for tos in (0, 0x10, 0x2E, 0xFC):
        packet = bytearray(found[0][0])
        packet[1], packet[8] = tos, 1
        [(_, out)] = box.send(IN, seal(packet))
        assert out[20] == 11 and out[1] == 0xC0 | tos & 0x1C
        query = bytearray(echo(A, "10.0.0.1", 9))
        query[1] = tos
        [(_, out)] = box.send(IN, seal(query))
        assert out[20] == 0 and out[1] == tos


@MAKES
def test_icmp_10e_the_nat_sends_no_error_about_an_error(make):
    box, found = flows(make)
    packet = bytearray(found[0][0])
    packet[8] = 1
    assert len(box.send(IN, seal(packet))) == 1  # the control: about a datagram
    message = bytearray(error(A, B, udp(B, 53, A, 5000)))
    message[8] = 1
    assert box.send(IN, seal(message)) == []


@MAKES
def test_icmp_10f_the_nat_sends_no_more_errors_than_its_limit(make):
    box, found = flows(make)
    packet = bytearray(found[0][0])
    packet[8] = 1
    assert len(box.send(IN, seal(packet))) == 1
    box.stack.config.icmp_ratelimit = 1000
    number = sum(len(box.send(IN, seal(packet))) for _ in range(100))
    assert 1 <= number <= box.stack.config.icmp_burst


@MAKES
@pytest.mark.parametrize(("kind", "code"), [(5, 0), (5, 1), (9, 0), (10, 0)])
def test_icmp_11_messages_that_are_no_errors_and_no_queries_stay_outside(make, kind, code):
    box, found = flows(make)
    for _, outer in found:
        message = f.ipv4(B, NAT, 1, struct.pack(">BBHI", kind, code, 0, 0) + outer)
        assert box.send(OUT, seal(message)) == []
        assert len(box.send(OUT, error(B, NAT, outer))) == 1  # the control
