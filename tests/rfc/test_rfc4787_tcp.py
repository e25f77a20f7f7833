"""RFC 5382: address translation of TCP. The numbers are those of requirements/rfc4787.csv."""

import pytest

import pystack_c.const as C
from pystack_c.filter import hooks
from tests.rfc.nats import A2, B2, NAT, PLACES, A, B, independent, linux, opened, port, profiled, syn
from tests.support.natbox import IN, OUT, S, ends, error, sums_right, tcp

SYN, ACK, FIN, RST, PSH = C.SYN, C.ACK, C.FIN, C.RST, C.PSH
MAKES = pytest.mark.parametrize("make", [independent, linux])
KINDS = [(3, code) for code in (0, 1, 2, 3, 4, 9, 10, 13)] + [(4, 0), (5, 1), (11, 0), (11, 1), (12, 0)]


def outside(box, flags, seq, ack, data=b"", external=5000):
    """A segment from B; the destination that it gets."""
    return box.one(OUT, tcp(B, 80, NAT, external, flags, seq, ack, data))[2:]


def inside(box, flags, seq, ack, data=b""):
    """A segment from A; the source that it gets."""
    return box.one(IN, tcp(A, 5000, B, 80, flags, seq, ack, data))[:2]


def state(box):
    """The name of the state of the only connection."""
    [entry] = box.table.all()
    from pystack_c.filter.conntrack_tcp import STATES

    return STATES[entry.tcp.state]


def test_tcp_1_one_mapping_for_all_destinations():
    ports = {}
    for name, box in (("independent", independent()), ("linux", linux())):
        port(box, syn(A, 5000, B, 53))
        ports[name] = {port(box, syn(A2, 5000, *place)) for place in (*reversed(PLACES), *PLACES)}
    assert len(ports["independent"]) == 1
    assert len(ports["linux"]) == 2  # the control: the port is kept where it is free


@MAKES
def test_tcp_2_all_sequences_of_segments_pass(make):
    """The handshake with a retransmission, data both ways, out of order, and again, a half-closed connection, and its end."""
    box = make()
    for _ in range(2):
        assert inside(box, SYN, 100, 0) == (NAT, 5000)
    for _ in range(2):
        assert outside(box, SYN | ACK, 500, 101) == (A, 5000)
    assert inside(box, ACK, 101, 501) == (NAT, 5000)
    for seq in (201, 101, 101):
        assert inside(box, ACK | PSH, seq, 501, bytes(100)) == (NAT, 5000)
    assert outside(box, ACK, 501, 301) == (A, 5000)
    assert inside(box, FIN | ACK, 301, 501) == (NAT, 5000)
    assert outside(box, ACK, 501, 302) == (A, 5000)
    assert outside(box, ACK | PSH, 501, 302, bytes(50)) == (A, 5000)
    assert inside(box, ACK, 302, 551) == (NAT, 5000)
    assert outside(box, FIN | ACK, 551, 302) == (A, 5000)
    assert inside(box, ACK, 302, 552) == (NAT, 5000)
    assert state(box) == "TIME_WAIT"
    assert not box.kinds("ct.invalid")
    # the control: what no sequence of TCP has does not pass as a part of the connection
    assert inside(box, ACK | FIN, 900_000, 700_000) == (A, 5000)


def test_tcp_2_a_connection_from_the_outside_passes():
    box = independent(0)
    port(box, syn(A, 5000, B2, 80))
    assert outside(box, SYN, 500, 0) == (A, 5000)
    assert inside(box, SYN | ACK, 100, 501) == (NAT, 5000)
    assert outside(box, ACK, 501, 101) == (A, 5000)
    assert outside(box, RST, 501, 0) == (A, 5000)
    assert not box.kinds("ct.invalid")


@MAKES
def test_tcp_2a_a_simultaneous_open_passes(make):
    box = make()
    assert inside(box, SYN, 100, 0) == (NAT, 5000)
    assert outside(box, SYN, 500, 0) == (A, 5000)
    assert inside(box, SYN | ACK, 100, 501) == (NAT, 5000)
    assert outside(box, SYN | ACK, 500, 101) == (A, 5000)
    assert inside(box, ACK, 101, 501) == (NAT, 5000)
    assert inside(box, ACK | PSH, 101, 501, b"data") == (NAT, 5000)
    assert outside(box, ACK, 501, 105) == (A, 5000)
    assert state(box) == "ESTABLISHED"


@pytest.mark.parametrize(("filtering", "known", "unknown"), [(0, True, True), (1, True, False), (2, False, False)])
def test_tcp_3_connections_that_a_mapping_lets_in(filtering, known, unknown):
    box = independent(filtering)
    opened(box)
    for src, expected in ((B, known), (B2, unknown)):
        sent = box.send(OUT, syn(src, 999, NAT, 5000))
        assert [iface for iface, data in sent if ends(data)[2] == A] == ([IN] if expected else [])


def test_tcp_3a_the_filtering_can_be_configured():
    for filtering, expected in ((0, [IN]), (2, [])):
        box = independent(2)
        box.stack.config.nat_filtering = filtering
        opened(box)
        assert [iface for iface, data in box.send(OUT, syn(B2, 9, NAT, 5000)) if ends(data)[2] == A] == expected


def drop_all(core, place, iface, packet):
    """A policy: nothing from the outside is for this host."""
    return C.NF_DROP if iface.name == "out0" else C.NF_ACCEPT


def test_tcp_4a_a_policy_drops_unsolicited_syns_silently():
    for policy in (False, True):
        box = independent(2)
        if policy:
            hooks.attach(box.stack, C.HOOK_INPUT, drop_all, 0)
        sent = box.send(OUT, tcp(B, 80, NAT, 5000, SYN, 500))
        # without a policy, the answer is Linux's: the port is closed
        assert [data[33] for _, data in sent] == ([] if policy else [RST | ACK])
        box.later(7)
        assert box.drain() == []
        # the peer's SYN comes again after one from the inside, and opens the connection
        assert inside(box, SYN, 100, 0) == (NAT, 5000)
        assert outside(box, SYN, 500, 0) == (A, 5000)


@MAKES
def test_tcp_5_an_idle_connection_lives_for_two_hours_and_four_minutes(make):
    box = make()
    opened(box)
    box.later(2 * 3600 + 4 * 60 + 1)
    assert outside(box, ACK | PSH, 501, 101, b"data") == (A, 5000)
    box.later(6 * 86400)
    assert box.table.count == 0  # the control: it does end


def test_tcp_5_with_the_profile_every_state_lives_for_four_minutes():
    box = profiled()
    steps = (
        lambda: inside(box, SYN, 100, 0),
        lambda: outside(box, SYN | ACK, 500, 101),
        lambda: inside(box, ACK, 101, 501),
        lambda: inside(box, FIN | ACK, 101, 501),
        lambda: outside(box, ACK, 501, 102),
        lambda: outside(box, FIN | ACK, 501, 102),
        lambda: inside(box, ACK, 102, 502),
    )
    for step in steps:
        step()
        box.later(239)
        assert box.table.count == 1
    assert state(box) == "TIME_WAIT"
    box.later(2)
    assert box.table.count == 0  # the control


@pytest.mark.parametrize("lost", [0, 4])
def test_tcp_5_with_the_profile_data_without_an_acknowledgement_change_nothing(lost):
    box = profiled()
    opened(box)
    for _ in range(lost):
        inside(box, ACK | PSH, 101, 501, b"data")
    box.later(2 * 3600 + 4 * 60 - 1)
    assert box.table.count == 1


@pytest.mark.parametrize("minutes", [1, 4, 200])
def test_tcp_5a_the_times_can_be_configured(minutes):
    time = minutes * 60 * S
    names = ("syn_sent", "syn_recv", "established", "fin_wait", "unacknowledged", "max_retrans")
    settings = {f"nf_conntrack_tcp_timeout_{name}": time for name in names}
    box = independent(**settings)
    steps = (
        lambda: inside(box, SYN, 100, 0),
        lambda: outside(box, SYN | ACK, 500, 101),
        lambda: inside(box, ACK, 101, 501),
        lambda: inside(box, FIN | ACK, 101, 501),
    )
    for step in steps:
        step()
        box.later(minutes * 60 - 1)
        assert box.table.count == 1
    box.later(2)
    assert box.table.count == 0


def test_tcp_7_no_two_hosts_share_an_external_port():
    box = independent()
    ports = [port(box, syn(f"10.0.0.{n}", 5000, f"192.0.2.{n}", 80)) for n in range(2, 60)]
    assert len(set(ports)) == len(ports)
    box = linux()
    assert {port(box, syn(f"10.0.0.{n}", 5000, f"192.0.2.{n}", 80)) for n in range(2, 60)} == {5000}  # the control


def test_tcp_8_an_inner_host_reaches_another_at_its_external_endpoint():
    box = independent()
    opened(box)
    [(iface, out)] = box.send(IN, syn(A2, 6000, NAT, 5000))
    assert iface == IN and sums_right(out) and ends(out)[2:] == (A, 5000)
    box = linux()
    opened(box)
    assert all(ends(out)[2] != A for _, out in box.send(IN, syn(A2, 6000, NAT, 5000)))  # the control


def test_tcp_8a_such_a_connection_has_an_external_source():
    box = independent()
    opened(box)
    external = port(box, syn(A2, 5000, B, 80))
    assert external != 5000
    [(_, out)] = box.send(IN, syn(A2, 5000, NAT, 5000))
    assert ends(out) == (NAT, external, A, 5000)
    [(iface, out)] = box.send(IN, tcp(A, 5000, NAT, external, SYN | ACK, 900, 101))
    assert iface == IN and sums_right(out) and ends(out) == (NAT, 5000, A2, 5000)


@MAKES
@pytest.mark.parametrize("code", range(16))
def test_tcp_9_destination_unreachable_is_translated(make, code):
    box = make()
    port(box, syn(A2, 5000, B, 80))
    [(_, outer)] = box.send(IN, syn(A, 5000, B, 80))
    assert ends(outer)[1] != 5000
    [(iface, out)] = box.send(OUT, error("192.0.2.99", NAT, outer, 3, code))
    assert iface == IN and sums_right(out) and out[20:22] == bytes((3, code)) and ends(out)[2] == A
    assert ends(out[28:]) == (A, 5000, B, 80) and sums_right(out[28:])


@MAKES
@pytest.mark.parametrize(("kind", "code"), KINDS)
def test_tcp_10_no_icmp_message_ends_a_connection(make, kind, code):
    box = make()
    opened(box)
    [(_, outer)] = box.send(IN, tcp(A, 5000, B, 80, ACK | PSH, 101, 501, b"data"))
    [(_, answer)] = box.send(OUT, tcp(B, 80, NAT, 5000, ACK, 501, 105))
    box.send(OUT, error(B, NAT, outer, kind, code))
    box.send(IN, error(A, B, answer, kind, code))
    assert state(box) == "ESTABLISHED"
    assert outside(box, ACK | PSH, 501, 105, b"data") == (A, 5000)
    assert inside(box, ACK, 105, 505) == (NAT, 5000)
