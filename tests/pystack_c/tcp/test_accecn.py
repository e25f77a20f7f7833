"""Accurate ECN: RFC 9768, section by section."""

import pytest

from pystack.testing.peer import (
    HOST,
    HOST_ADDR,
    MS,
    PEER,
    PEER_ADDR,
    SACK_OK,
    SERVICE,
    PeerConn,
    S,
    build,
    mss_option,
    ts_option,
    with_tos,
)  # fmt: skip
from pystack.testing.segments import ACK, FIN, RST, SYN
from pystack_c.tcp.info import tcp_info

ECE, CWR, AE = 0x40, 0x80, 0x100
ALL = AE | CWR | ECE
NOT_ECT, ECT1, ECT0, CE = 0, 1, 2, 3
#: table 2 and 3: IP-ECN field -> the three flags
CODES = {NOT_ECT: 0b010, ECT1: 0b011, ECT0: 0b100, CE: 0b110}
MSS = 1000
SYN_OPTIONS = mss_option(MSS) + SACK_OK
M32 = 0xFFFFFFFF


def ace(seg) -> int:
    """The three flags as a number."""
    return seg.flags >> 6 & 7


def flags(code: int) -> int:
    return code << 6


def option(order: int, *fields: int) -> bytes:
    """The AccECN option, padded."""
    body = b"".join((value & 0xFFFFFF).to_bytes(3, "big") for value in fields)
    raw = bytes((174 if order else 172, 2 + len(body))) + body
    return raw + bytes((1,)) * (-len(raw) % 4)


def fields(seg):
    """(order, counters) of a segment's AccECN option, or None."""
    for kind, order in ((172, 0), (174, 1)):
        if kind in seg.options:
            body = seg.options[kind]
            return order, [int.from_bytes(body[i : i + 3], "big") for i in range(0, len(body), 3)]
    return None


def raw(peer, control, seq, ack=0, sport=9, dport=SERVICE, tos=0, **more):
    """A segment with 9 control bits and a TOS byte."""
    packet = build(PEER, HOST, sport, dport, seq, ack, control, **more)
    return peer.packet(with_tos(packet, tos))


class Acc(PeerConn):
    """The peer's side of a connection in AccECN mode: `cep` is its counter of marks."""

    cep = 5

    def say(self, data=b"", tos=0, control=ACK, seq=0, cep=None, **more):
        """A segment of the peer; what is sent at once."""
        more.setdefault("window", self.window)
        value = self.cep if cep is None else cep
        out = raw(
            self.peer,
            control | flags(value & 7),
            self.seq + seq,
            self.ack,
            self.sport,
            self.dport,
            tos,
            data=data,
            **more,
        )
        if seq == 0:
            self.seq = (self.seq + len(data)) & M32
        return out


def server(make, code=0b010, syn_tos=0, syn_code=0b111, options=SYN_OPTIONS, third=b"", **settings):
    """A connection that the peer opened with AccECN; `code` is what its third ACK says."""
    peer = make(tcp_ecn=5, **settings)
    peer.listener()
    (syn_ack,) = raw(peer, SYN | flags(syn_code), peer.irs, options=options, tos=syn_tos)
    conn = Acc(peer, None, 9, SERVICE, peer.irs, 65535)
    conn.seq, conn.ack, conn.syn_ack = (peer.irs + 1) & M32, syn_ack.end, syn_ack
    raw(peer, ACK | flags(code), conn.seq, conn.ack, options=third)
    assert conn.state == "ESTABLISHED"
    return conn


def client(make, code=0b010, tos=0, options=SYN_OPTIONS, **settings):
    """A connection that we opened, answered with `code` in a SYN-ACK with that TOS byte."""
    peer = make(tcp_ecn=3, **settings)
    tcb, syn = peer.connecting()
    assert syn.flags == SYN | ALL
    conn = Acc(peer, tcb, syn.dport, syn.sport, peer.irs, 65535)
    conn.ack = syn.end
    conn.syn = syn
    conn.third = raw(peer, SYN | ACK | flags(code), peer.irs, conn.ack, conn.sport, conn.dport, tos, options=options)
    conn.seq = (peer.irs + 1) & M32
    assert conn.state == "ESTABLISHED"
    return conn


# 3.1.1 and 3.1.2: negotiation


@pytest.mark.parametrize("tos", [NOT_ECT, ECT1, ECT0, CE])
def test_the_syn_acks_flags_feed_back_the_syns_ip_ecn_field(make, tos):
    conn = server(make, syn_tos=tos)
    assert conn.syn_ack.flags == SYN | ACK | flags(CODES[tos])
    assert conn.tcb.accecn is not None and not conn.tcb.ecn_ok and conn.syn_ack.tos == 0
    assert conn.tcb.accecn.r_cep == 5  # 3.2.2.2: a mark on a SYN does not count


@pytest.mark.parametrize(
    ("mode", "syn", "answer", "accurate", "classic"),
    [
        (5, 0b111, 0b010, True, False),
        (5, 0b011, 0b001, False, True),  # table 2, third block
        (5, 0b000, 0b000, False, False),
        (5, 0b100, 0b010, True, False),  # 3.1.3: what is reserved is answered as 111
        (5, 0b001, 0b010, True, False),
        (5, 0b110, 0b010, True, False),
        (4, 0b111, 0b010, True, False),
        (3, 0b111, 0b010, True, False),
        (2, 0b111, 0b001, False, True),  # control: RFC 3168 only
        (1, 0b111, 0b001, False, True),
        (0, 0b111, 0b000, False, False),
    ],
)
def test_what_a_server_agrees_to(make, mode, syn, answer, accurate, classic):
    peer = make(tcp_ecn=mode)
    peer.listener()
    (syn_ack,) = raw(peer, SYN | flags(syn), peer.irs)
    assert ace(syn_ack) == answer
    child = peer.stack.tcp.find(HOST_ADDR, SERVICE, PEER_ADDR, 9)
    assert (child.accecn is not None, child.ecn_ok) == (accurate, classic)


@pytest.mark.parametrize(("mode", "asks"), [(0, 0), (1, 0b011), (2, 0), (3, 0b111), (4, 0b011), (5, 0)])
def test_what_a_client_asks_for(make, mode, asks):
    _, syn = make(tcp_ecn=mode).connecting()
    assert ace(syn) == asks and syn.tos == 0 and fields(syn) is None  # 3.2.3.2.1: no option on a SYN


@pytest.mark.parametrize(
    ("code", "accurate", "classic"),
    [
        (0b010, True, False),
        (0b011, True, False),
        (0b100, True, False),
        (0b110, True, False),
        (0b101, True, False),  # 3.1.3: reserved, as if it had arrived unchanged
        (0b001, False, True),
        (0b000, False, False),
        (0b111, False, False),  # table 2: a broken server that mirrors
    ],
)
def test_what_a_client_makes_of_the_answer(make, code, accurate, classic):
    conn = client(make, code)
    assert (conn.tcb.accecn is not None, conn.tcb.ecn_ok) == (accurate, classic)
    ect = conn.send(b"x")[0].tos & 3
    mangled = code in (0b011, 0b100, 0b110)  # 3.2.2.3: our SYN was Not-ECT
    assert ect == (ECT0 if (accurate and not mangled) or classic else 0)


def test_the_mode_of_an_answer_to_the_first_syn_holds_after_a_plain_one(make):
    # 3.1.4.1
    peer = make(tcp_ecn=3)
    tcb, syn = peer.connecting()
    again = peer.advance(S) + peer.advance(2 * S)
    assert [ace(seg) for seg in again] == [0b111, 0] and {seg.seq for seg in again} == {syn.seq}
    raw(peer, SYN | ACK | flags(0b010), peer.irs, syn.end, syn.dport, syn.sport)
    assert tcb.accecn is not None and not tcb.accecn.no_ect


def test_a_syn_ack_again_goes_without_option_then_without_flags(make):
    # 3.2.3.2.2, and 3.1.5: a server that sent a plain SYN-ACK sends no ECT, but stays in the mode
    peer = make(tcp_ecn=5)
    peer.listener()
    (first,) = raw(peer, SYN | ALL, peer.irs, options=mss_option(MSS))
    second, third = peer.advance(S) + peer.advance(2 * S)
    assert [fields(seg) is not None for seg in (first, second, third)] == [True, False, False]
    assert [ace(seg) for seg in (first, second, third)] == [0b010, 0b010, 0]
    conn = Acc(peer, None, 9, SERVICE, peer.irs, 65535)
    conn.seq, conn.ack = (peer.irs + 1) & M32, first.end
    raw(peer, ACK | flags(0b010), conn.seq, conn.ack)
    assert conn.state == "ESTABLISHED" and conn.tcb.accecn
    assert conn.send(b"x")[0].tos == 0 and tcp_info(conn.tcb, 0)["tcpi_accecn_fail_mode"] == 4


@pytest.mark.parametrize(("code", "tos", "answer", "ect"), [(0b111, CE, 0b110, True), (0b000, 0, 0b010, False)])
def test_a_second_syn(make, code, tos, answer, ect):
    # 3.1.5: the latest SYN's field is fed back; a plain one forbids ECT
    peer = make(tcp_ecn=5)
    peer.listener()
    raw(peer, SYN | ALL, peer.irs)
    (again,) = raw(peer, SYN | flags(code), peer.irs, tos=tos)
    assert ace(again) == answer and fields(again) is None
    child = peer.stack.tcp.find(HOST_ADDR, SERVICE, PEER_ADDR, 9)
    assert child.accecn is not None and child.accecn.no_ect != ect


@pytest.mark.parametrize(("one", "two", "reset"), [(0b111, 0b011, True), (0b011, 0b111, True), (0b011, 0b011, False)])
def test_two_kinds_of_syn_reset(make, one, two, reset):
    # 3.1.5
    peer = make(tcp_ecn=5)
    peer.listener()
    raw(peer, SYN | flags(one), peer.irs)
    (out,) = raw(peer, SYN | flags(two), peer.irs)
    assert out.has(RST) == reset


def test_simultaneous_open(make):
    # 3.1.2: as a responding host
    peer = make(tcp_ecn=3)
    tcb, syn = peer.connecting()
    (answer,) = raw(peer, SYN | ALL, peer.irs, 0, syn.dport, syn.sport, ECT1)
    assert answer.flags == SYN | ACK | flags(0b011) and tcb.accecn
    raw(peer, SYN | ACK | flags(0b010), peer.irs, syn.end, syn.dport, syn.sport)
    assert tcb.state == 1 and tcb.accecn.s_cep == 5 and tcb.delivered_ce == 0


# 3.2.2.1: the ACK of the SYN-ACK


@pytest.mark.parametrize("tos", [NOT_ECT, ECT1, ECT0, CE])
def test_the_third_ack_feeds_back_the_syn_acks_field(make, tos):
    conn = client(make, tos=tos)
    (third,) = conn.third
    assert third.pure_ack and ace(third) == CODES[tos]
    assert conn.tcb.accecn.r_cep == (6 if tos == CE else 5)
    assert ace(conn.send(b"x")[0]) == (6 if tos == CE else 5)  # from then on, the counter


def test_with_data_waiting_the_third_ack_goes_first_and_bare(make):
    peer = make(tcp_ecn=3)
    tcb, syn = peer.connecting()
    tcb.sendbuf.append(b"hello")
    out = raw(peer, SYN | ACK | flags(0b010), peer.irs, syn.end, syn.dport, syn.sport, CE, options=mss_option(MSS))
    assert [seg.payload for seg in out] == [b"", b"hello"] and [ace(seg) for seg in out] == [0b110, 6]


def test_a_syn_ack_again_is_answered_in_the_same_way_and_counted_once(make):
    conn = client(make, tos=CE)
    for _ in range(2):
        (again,) = raw(
            conn.peer, SYN | ACK | flags(0b010), conn.peer.irs, conn.ack, conn.sport, conn.dport, CE,
            options=mss_option(MSS),
        )  # fmt: skip
        assert ace(again) == 0b110
        conn.peer.advance(600 * MS)  # (A SYN that comes again sooner is not answered: tcp_invalid_ratelimit.)
    assert conn.tcb.accecn.r_cep == 6


@pytest.mark.parametrize(
    ("code", "cep", "ect"),
    [
        (0b000, 5, 0),
        (0b001, 5, 2),
        (0b010, 5, 2),
        (0b011, 5, 0),
        (0b100, 5, 0),
        (0b101, 5, 2),
        (0b110, 6, 0),
        (0b111, 5, 2),
    ],
)
def test_what_a_server_reads_from_the_third_ack(make, code, cep, ect):
    # Table 4; our SYN-ACK was Not-ECT, so any other codepoint is mangling (3.2.2.3)
    conn = server(make, code)
    assert conn.tcb.accecn.s_cep == cep and conn.send(b"x")[0].tos & 3 == ect
    # Note 1: zero means no response for ever
    before = conn.tcb.ssthresh
    conn.has(1)
    conn.say(cep=cep + 1)
    assert (conn.tcb.ssthresh == before) == (code == 0b000 or code == 0b110)  # (110 was answered at once)
    assert (tcp_info(conn.tcb, 0)["tcpi_delivered_ce"] > 0) == (code != 0b000)


def test_a_marked_syn_ack_reduces_the_window(make):
    conn = server(make, 0b110)
    plain = server(make, 0b010)
    assert conn.tcb.cwnd < plain.tcb.cwnd and plain.tcb.ssthresh == 1 << 30


def test_the_first_data_packet_of_a_client_is_no_handshake_code(make):
    # the third ACK was lost: a counter of 5 is a counter
    peer = make(tcp_ecn=5)
    peer.listener()
    (syn_ack,) = raw(peer, SYN | ALL, peer.irs, options=mss_option(MSS))
    raw(peer, ACK | flags(5), peer.irs + 1, syn_ack.end, data=b"x")
    child = peer.stack.tcp.find(HOST_ADDR, SERVICE, PEER_ADDR, 9)
    assert child.accecn.s_cep == 5 and not child.accecn.no_ect


# 3.2.2.2: the counter


def test_each_marked_packet_counts(make):
    conn = server(make)
    told = []
    for _ in range(20):
        out = conn.say(bytes(MSS), tos=CE) or conn.peer.advance(50 * MS)
        told.append(ace(out[-1]))
    assert told == [(5 + n) & 7 for n in range(1, 21)]
    info = tcp_info(conn.tcb, 0)
    assert info["tcpi_received_ce"] == 20 and info["tcpi_received_ce_bytes"] == 20 * MSS


def test_unmarked_packets_do_not(make):
    conn = server(make)
    for tos in (NOT_ECT, ECT0, ECT1):
        out = conn.say(bytes(MSS), tos=tos) or conn.peer.advance(50 * MS)
        assert ace(out[-1]) == 5
    info = tcp_info(conn.tcb, 0)
    assert [info[f"tcpi_received_{n}_bytes"] for n in ("e0", "e1", "ce")] == [MSS, MSS, 0]


def test_what_is_not_acceptable_does_not_count(make):
    # 3.2: "Acceptable" as RFC 9293 and RFC 5961 have it
    conn = server(make)
    conn.say(bytes(MSS), tos=CE, seq=10_000_000)
    assert conn.tcb.accecn.r_cep == 5


def test_control_packets_count_too(make):
    conn = server(make)
    conn.say(tos=CE)
    assert conn.tcb.accecn.r_cep == 6


@pytest.mark.parametrize("marks", [1, 3, 7])
def test_marks_are_read_from_the_counter(make, marks):
    conn = server(make, tcp_init_cwnd=20)
    conn.send(bytes(11 * MSS))
    conn.has(MSS)
    conn.say()
    conn.has(7 * MSS)
    conn.cep += marks
    conn.say()
    assert tcp_info(conn.tcb, 0)["tcpi_delivered_ce"] == marks


def test_control_no_marks_no_reduction(make):
    conn = server(make, tcp_init_cwnd=20)
    conn.send(bytes(10 * MSS))
    cwnd = conn.tcb.cwnd
    conn.has(7 * MSS)
    conn.say()
    assert tcp_info(conn.tcb, 0)["tcpi_delivered_ce"] == 0 and conn.tcb.cwnd >= cwnd


def test_one_response_a_round_trip_and_no_cwr(make):
    # 3.1.5: the response of RFC 3168 6.1.2; CWR is part of the counter
    conn = server(make, tcp_init_cwnd=20)
    out = conn.send(bytes(60 * MSS))
    edge = conn.rel(out[-1].end)
    windows = []
    for _ in range(10):
        conn.has(MSS)
        conn.cep += 1
        out += conn.say()
        windows.append(conn.tcb.cwnd)
    assert len(set(windows)) == 1 and windows[0] <= 10 * MSS
    assert {ace(seg) for seg in out} == {5}  # we received no mark: nothing to tell
    conn.has(edge - 10 * MSS)
    conn.say()  # (what was sent after the response follows)
    conn.has(MSS)
    conn.cep += 1
    conn.say()
    assert conn.tcb.cwnd < windows[0]
    assert conn.tcb.total_retrans == 0


def test_an_overtaken_ack_tells_nothing(make):
    # 3.2.2.2: superseded
    conn = server(make, tcp_init_cwnd=20)
    conn.send(bytes(10 * MSS))
    conn.has(4 * MSS)
    conn.cep += 2
    conn.say()
    raw(conn.peer, ACK | flags(5), conn.seq, conn.ack - 2 * MSS, conn.sport, conn.dport)  # older, with the old counter
    assert tcp_info(conn.tcb, 0)["tcpi_delivered_ce"] == 2


# 3.2.2.3 and 3.2.2.4: mangling


@pytest.mark.parametrize(("cep", "ect"), [(0, 0), (5, 2)])
def test_a_zeroed_counter_ends_ect_and_responses(make, cep, ect):
    conn = client(make)
    conn.tcb.nodelay = True
    conn.send(bytes(MSS))
    conn.has(MSS)
    conn.say(cep=cep)
    assert conn.send(b"x")[0].tos & 3 == ect
    assert conn.tcb.accecn is not None and ace(conn.send(b"y")[0]) == 5  # feedback goes on


def test_a_counter_that_is_zero_later_is_a_counter(make):
    conn = server(make, tcp_init_cwnd=20)
    conn.send(bytes(10 * MSS))
    conn.has(2 * MSS)
    conn.say()
    conn.has(4 * MSS)
    conn.cep += 3  # 8: zero in three bits
    conn.say()
    assert tcp_info(conn.tcb, 0)["tcpi_delivered_ce"] == 3 and not conn.tcb.accecn.no_ect


# 3.2.2.5: wraps


def test_a_wrapped_counter_is_read_in_the_safest_way(make):
    conn = server(make, tcp_init_cwnd=40)
    conn.send(bytes(30 * MSS))
    conn.has(20 * MSS)
    conn.cep += 2
    conn.say()  # 2, 10 or 18 of 20: 18 is the safest
    assert tcp_info(conn.tcb, 0)["tcpi_delivered_ce"] == 18


@pytest.mark.parametrize(("marked", "count"), [(0, 2), (2 * MSS, 2), (3 * MSS, 10), (10 * MSS, 10), (18 * MSS, 18)])
def test_an_options_bytes_tell_how_often_it_wrapped(make, marked, count):
    conn = server(make, tcp_init_cwnd=40)
    conn.send(bytes(30 * MSS))
    conn.has(20 * MSS)
    conn.cep += 2
    conn.say(options=option(0, 1 + 20 * MSS - marked, marked))
    assert tcp_info(conn.tcb, 0)["tcpi_delivered_ce"] == count
    assert tcp_info(conn.tcb, 0)["tcpi_delivered_ce_bytes"] == marked
    assert tcp_info(conn.tcb, 0)["tcpi_delivered_e0_bytes"] == 20 * MSS - marked


def test_a_mark_after_none_is_acknowledged_at_once(make):
    # change-triggered
    conn = server(make)
    assert conn.say(bytes(100), tos=ECT0) == []  # delayed
    (now,) = conn.say(bytes(100), tos=CE)
    assert ace(now) == 6
    assert conn.say(bytes(100), tos=CE) == []  # no change, and but one mark since
    assert len(conn.say(bytes(100), tos=CE)) == 1  # increment-triggered: two, with data


def test_acks_of_marked_acks_wait_for_three(make):
    conn = server(make)
    assert conn.say(tos=CE) == [] and conn.say(tos=CE) == []
    (answer,) = conn.say(tos=CE)
    assert answer.pure_ack and answer.sack == [] and ace(answer) == 0


# 3.2.3: the option


def test_the_syn_ack_tests_the_path_with_a_whole_option(make):
    conn = server(make)
    assert fields(conn.syn_ack) == (0, [1, 0, 1])


def test_a_crowded_syn_ack_has_a_shorter_one(make):
    peer = make(tcp_ecn=5, tcp_timestamps=True)
    peer.listener()
    options = mss_option(MSS) + SACK_OK + ts_option(1) + b"\x01\x03\x03\x07"
    (syn_ack,) = raw(peer, SYN | ALL, peer.irs, options=options)
    assert fields(syn_ack) == (0, [1, 0, 1]) and syn_ack.ts and syn_ack.wscale is not None


def test_a_client_tests_the_path_on_its_first_ack_and_its_first_data(make):
    # 3.2.3.2.1
    conn = client(make)
    assert fields(conn.third[0]) == (0, [1, 0, 1])
    one, two = conn.send(b"a")[0], conn.send(b"b")
    assert fields(one) == (0, [1, 0, 1]) and all(fields(seg) is None for seg in two)


def test_the_first_data_again_goes_without(make):
    # 3.2.3.2.2
    conn = client(make)
    conn.send(b"a")
    again = conn.peer.advance(2 * S)
    assert again and again[0].payload == b"a" and fields(again[0]) is None


@pytest.mark.parametrize(("mode", "sent"), [(0, False), (1, True), (2, True)])
def test_the_setting_tcp_ecn_option(make, mode, sent):
    conn = server(make, tcp_ecn_option=mode)
    assert (fields(conn.syn_ack) is not None) == sent
    out = conn.say(bytes(MSS), tos=CE)
    assert (fields(out[0]) == (0, [1, MSS])) == sent


def acked(conn, tos, size=MSS):
    """The ACK of one data segment."""
    out = conn.say(bytes(size), tos=tos) or conn.peer.advance(50 * MS)
    return fields(out[-1])


def test_which_fields_and_order(make):
    # 3.2.3.3 and its examples
    conn = server(make)
    assert acked(conn, NOT_ECT) is None  # no counter moved
    assert acked(conn, ECT0) == (0, [1 + MSS])
    assert acked(conn, ECT0) == (0, [1 + 2 * MSS])
    assert acked(conn, CE) == (0, [1 + 2 * MSS, MSS])
    assert acked(conn, ECT0) == (0, [1 + 3 * MSS, MSS])
    assert acked(conn, ECT1) == (0, [1 + 3 * MSS, MSS, 1 + MSS])
    assert acked(conn, NOT_ECT) is None


def test_order_1_where_only_ect1_arrives(make):
    conn = server(make)
    assert acked(conn, ECT1) == (1, [1 + MSS])
    assert acked(conn, CE) == (1, [1 + MSS, MSS])


def test_a_mark_before_anything_else(make):
    assert acked(server(make), CE) == (0, [1, MSS])


def test_the_least_that_the_rules_allow(make):
    # tcp_ecn_option 1: changes and what follows them, marks, and enough bytes
    conn = server(make, tcp_ecn_option=1)
    assert [acked(conn, ECT0) is not None for _ in range(4)] == [True, True, False, False]
    assert [acked(conn, CE) is not None for _ in range(4)] == [True] * 4
    full = server(make)
    assert [acked(full, ECT0) is not None for _ in range(4)] == [True] * 4


def test_sack_goes_before_the_option(make):
    # 3.2.3.3: two blocks at least; beside timestamps a third one gives way to the option
    options = mss_option(MSS) + SACK_OK + ts_option(1)
    peer = make(tcp_ecn=5, tcp_timestamps=True)
    peer.listener()
    (syn_ack,) = raw(peer, SYN | ALL, peer.irs, options=options)
    conn = Acc(peer, None, 9, SERVICE, peer.irs, 65535)
    conn.seq, conn.ack = (peer.irs + 1) & M32, syn_ack.end
    raw(peer, ACK | flags(2), conn.seq, conn.ack, options=ts_option(2))
    seen = []
    for n in range(1, 4):
        (out,) = conn.say(bytes(MSS), tos=ECT0, seq=2 * n * MSS, options=ts_option(3))
        seen.append((len(out.sack), fields(out)))
    assert seen == [(1, (0, [1 + MSS])), (2, (0, [1 + 2 * MSS])), (2, (0, [1 + 3 * MSS]))]
    (plain,) = conn.say(bytes(MSS), seq=8 * MSS, options=ts_option(3))  # control: nothing to tell, all three blocks
    assert len(plain.sack) == 3 and fields(plain) is None


def test_what_changed_must_fit_or_the_option_stays_out(make):
    # 3.2.3.3: with two blocks and timestamps there is room for two fields; the third counter moved
    options = mss_option(MSS) + SACK_OK + ts_option(1)
    peer = make(tcp_ecn=5, tcp_timestamps=True)
    peer.listener()
    (syn_ack,) = raw(peer, SYN | ALL, peer.irs, options=options)
    conn = Acc(peer, None, 9, SERVICE, peer.irs, 65535)
    conn.seq, conn.ack = (peer.irs + 1) & M32, syn_ack.end
    raw(peer, ACK | flags(2), conn.seq, conn.ack, options=ts_option(2))
    conn.say(bytes(MSS), tos=ECT0, seq=2 * MSS, options=ts_option(3))
    (one,) = conn.say(bytes(MSS), tos=ECT1, seq=4 * MSS, options=ts_option(3))
    assert fields(one) == (1, [1 + MSS])  # the other order tells what changed in less room


@pytest.mark.parametrize("timestamps", [False, True])
def test_an_option_leaves_the_segment_its_size(make, timestamps):
    # Data and the option together keep to the path's MTU
    options = mss_option(1460) + SACK_OK + (ts_option(1) if timestamps else b"")
    third = ts_option(1) if timestamps else b""
    conn = server(make, options=options, third=third, tcp_timestamps=timestamps, tcp_init_cwnd=4)
    conn.say(bytes(100), tos=ECT0, options=ts_option(2) if timestamps else b"")
    out = conn.send(bytes(4000))
    sizes = [40 + sum(len(v) + 2 for v in seg.options.values()) + len(seg) for seg in out]
    assert 1450 < max(sizes) <= 1500 and fields(out[0]) == (0, [101])


@pytest.mark.parametrize("length", [2, 5, 8, 11, 7, 13])
def test_every_length_is_read(make, length):
    # 3.2.3, table 5: whole fields count, the rest is padding
    values = (1 + 3 * MSS, 2 * MSS, 1)
    whole = b"".join(v.to_bytes(3, "big") for v in values) + bytes(4)
    raw_option = bytes((172, length)) + whole[: length - 2]
    conn = server(make, tcp_init_cwnd=20)
    conn.send(bytes(10 * MSS))
    conn.has(5 * MSS)
    conn.cep += 2
    conn.say(options=raw_option + bytes((1,)) * (-len(raw_option) % 4))
    info = tcp_info(conn.tcb, 0)
    count = (length - 2) // 3
    assert info["tcpi_delivered_e0_bytes"] == (3 * MSS if count >= 1 else 0)
    assert info["tcpi_delivered_ce_bytes"] == (2 * MSS if count >= 2 else 0)
    assert info["tcpi_accecn_opt_seen"] == (2 if count else 1)


@pytest.mark.parametrize("values", [(0, 0, 1), (1, 0, 0), (1, 0, 1)])
@pytest.mark.parametrize("side", ["client", "server"])
def test_a_zeroed_option_is_not_believed(make, side, values):
    # 3.2.3.2.4
    zeroed = 0 in (values[0], values[2])
    if side == "client":
        conn = client(make, options=mss_option(MSS) + SACK_OK + option(0, *values))
    else:
        conn = server(make, third=option(0, *values))
    conn.send(bytes(4 * MSS))
    conn.has(2 * MSS)
    conn.say(options=option(0, 1 + 2 * MSS, 0))
    info = tcp_info(conn.tcb, 0)
    assert info["tcpi_delivered_e0_bytes"] == (0 if zeroed else 2 * MSS)
    assert info["tcpi_accecn_opt_seen"] == (3 if zeroed else 2)


def test_marked_bytes_without_a_marked_packet_end_ect(make):
    # 3.2.3.2.5
    conn = server(make)
    conn.send(bytes(4 * MSS))
    conn.has(2 * MSS)
    conn.say(options=option(0, 1 + MSS, MSS))
    assert conn.tcb.accecn.no_ect and conn.send(b"x")[-1].tos == 0


def test_an_option_that_was_overtaken_moves_nothing_back(make):
    conn = server(make, tcp_init_cwnd=20)
    conn.send(bytes(8 * MSS))
    conn.has(4 * MSS)
    conn.say(options=option(0, 1 + 4 * MSS, 0))
    conn.has(MSS)
    conn.say(options=option(0, 1 + 2 * MSS, 0))
    assert tcp_info(conn.tcb, 0)["tcpi_delivered_e0_bytes"] == 4 * MSS


def test_data_that_comes_again_after_each_option_ends_options(make):
    # 3.2.3.2.2: ACKs with the option seem not to get through
    conn = server(make)
    for _ in range(2):
        assert acked(conn, ECT0) is not None
        conn.say(bytes(MSS), tos=ECT0, seq=-MSS)
    assert conn.tcb.accecn.opt_off and acked(conn, ECT0) is None
    fine = server(make)  # control: other data got through in between
    for _ in range(2):
        assert acked(fine, ECT0) is not None
        fine.say(bytes(MSS), tos=ECT0, seq=-MSS)
        assert acked(fine, ECT0) is not None and acked(fine, ECT0) is not None
    assert not fine.tcb.accecn.opt_off


# 5.1: SYN cookies


@pytest.mark.parametrize(("code", "accurate"), [(0b010, True), (0b110, True), (0b000, False), (0b001, False)])
@pytest.mark.parametrize("timestamps", [False, True])
def test_a_cookies_ack_tells_the_mode(make, code, accurate, timestamps):
    peer = make(tcp_ecn=5, tcp_max_syn_backlog=0, tcp_timestamps=timestamps)
    peer.listener()
    options = mss_option(MSS) + SACK_OK + (ts_option(5) if timestamps else b"")
    (syn_ack,) = raw(peer, SYN | ALL, peer.irs, options=options)
    assert ace(syn_ack) == 0b010
    echo = ts_option(6, syn_ack.ts[0]) if timestamps else b""
    raw(peer, ACK | flags(code), peer.irs + 1, syn_ack.end, options=echo)
    child = peer.stack.tcp.find(HOST_ADDR, SERVICE, PEER_ADDR, 9)
    assert (child.accecn is not None) == accurate
    assert child.accecn is None or child.accecn.s_cep == (6 if code == 0b110 else 5)


def test_resets_and_fins_carry_the_counter(make):
    conn = server(make)
    conn.say(bytes(10), tos=CE)
    conn.recv()
    (fin,) = conn.shutdown()
    assert fin.has(FIN) and ace(fin) == 6
    conn.say(bytes(1), tos=CE)
    out = conn.close()
    assert out == [] or out[0].has(RST) and ace(out[0]) == 7
