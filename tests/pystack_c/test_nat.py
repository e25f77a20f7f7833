"""Address translation: which address and port a connection gets, and what becomes of its packets and of errors about them.

The kernel is the oracle in tests/kernel/test_nat_oracle.py. These tests need no kernel and run on both builds. They also show
what Linux does not have: a mapping that depends only on the internal endpoint (RFC 4787, RFC 5382, RFC 5508).
"""

import re
import struct

import pytest

import pystack_c.const as C
from pystack.phy.segmenter import segments
from pystack.sim.network import MS, Network
from pystack_c.packet import Transmit
from pystack_c.sockets import udp as udp_socket
from tests import frames as f
from tests.support.natbox import IN, OUT, Box, echo, ends, error, sums_right, tcp, udp

A, A2, B, B2 = "10.0.0.2", "10.0.0.3", "192.0.2.2", "192.0.2.3"
ROUTER, INSIDE = "192.0.2.1", "10.0.0.1"
SYN, ACK, RST = C.SYN, C.ACK, C.RST


def masquerade(**settings) -> Box:
    box = Box(**settings)
    box.stack.add_nat(C.HOOK_POSTROUTING, C.NAT_MASQUERADE, iface=box.ifaces[OUT])
    return box


def snat(low: str, high: str = "", port_low: int = 0, port_high: int = 0, **settings) -> Box:
    box = Box(**settings)
    box.stack.add_nat(
        C.HOOK_POSTROUTING, C.NAT_SNAT, f.addr(low), f.addr(high or low), port_low, port_high, iface=box.ifaces[OUT]
    )
    return box


def dnat(**options) -> Box:
    """192.0.2.1:8080 is 10.0.0.2:80."""
    box = Box()
    box.stack.add_nat(
        C.HOOK_PREROUTING, C.NAT_DNAT, f.addr(A), f.addr(A), 80, 80,
        proto=6, dst=f.addr(ROUTER), dst_length=32, match_low=8080, match_high=8080, **options,
    )  # fmt: skip
    return box


def test_a_masquerade_keeps_the_port_and_translates_the_answers_back():
    box = masquerade()
    assert box.one(IN, tcp(A, 1000, B, 80, SYN, 7)) == (ROUTER, 1000, B, 80)
    assert box.one(OUT, tcp(B, 80, ROUTER, 1000, SYN | ACK, 9, 8)) == (B, 80, A, 1000)
    assert box.one(IN, udp(A, 1000, B, 53)) == (ROUTER, 1000, B, 53)
    assert box.one(OUT, udp(B, 53, ROUTER, 1000)) == (B, 53, A, 1000)
    assert box.one(IN, echo(A, B, 77)) == (ROUTER, 77, B, 8 << 8)
    assert box.one(OUT, echo(B, ROUTER, 77, kind=0)) == (B, 77, A, 0)
    kinds = [event.kind for event in box.kinds("nat.bind", "nat.packet")]
    assert kinds == ["nat.bind", "nat.packet", "nat.packet"] * 3


def test_a_second_host_with_the_same_port_gets_another_one():
    box = masquerade()
    assert box.one(IN, udp(A, 5000, B, 53)) == (ROUTER, 5000, B, 53)
    src, port, *_ = box.one(IN, udp(A2, 5000, B, 53))
    assert src == ROUTER and port != 5000 and port >= 1024
    assert box.one(OUT, udp(B, 53, ROUTER, port)) == (B, 53, A2, 5000)
    assert box.one(OUT, udp(B, 53, ROUTER, 5000)) == (B, 53, A, 5000)
    # The same ports to another host collide with nothing, but the mapping of the source stays what it is.
    assert box.one(IN, udp(A2, 5000, B2, 53)) == (ROUTER, port, B2, 53)


def test_well_known_ports_stay_well_known_ports():
    """RFC 4787 4.2.1: a port below 1024 is mapped to one below 1024."""
    box = masquerade()
    box.one(IN, udp(A, 123, B, 123))
    _, port, *_ = box.one(IN, udp(A2, 123, B, 123))
    assert port != 123 and 1 <= port < 512


def test_an_exhausted_range_drops_and_says_so():
    box = snat("192.0.2.1", port_low=5000, port_high=5003)
    ports = [box.one(IN, udp(A, 1000 + number, B, 53))[1] for number in range(4)]
    assert sorted(ports) == [5000, 5001, 5002, 5003]
    assert box.send(IN, udp(A, 2000, B, 53)) == []
    assert box.drops == {"nat-exhausted": 1}
    [drop] = [event for event in box.kinds("drop") if event.fields["name"] == "nat-exhausted"]
    assert drop.reason == "all ports that the translation may use are in use"
    # Another destination does not collide.
    assert box.one(IN, udp(A, 2000, B2, 53))[1] in ports
    box.later(31)
    assert box.one(IN, udp(A, 2000, B, 53))[1] in ports


@pytest.mark.parametrize("independent", [False, True])
@pytest.mark.parametrize(
    "make",
    [udp, lambda *a: tcp(*a, SYN), lambda src, ident, dst, _: echo(src, dst, ident)],
    ids=["udp", "tcp", "icmp"],
)
def test_an_exhausted_range_is_an_event_for_every_protocol(make, independent):
    box = snat("192.0.2.1", port_low=5000, port_high=5003, nat_endpoint_independent=independent)
    ports = [box.one(IN, make(A, 1000 + number, B, 53))[1] for number in range(4)]
    assert sorted(ports) == [5000, 5001, 5002, 5003]
    assert box.send(IN, make(A2, 2000, B, 53)) == []
    [drop] = box.kinds("drop")
    assert drop.fields["name"] == "nat-exhausted" and drop.rfc == "RFC 4787 4.2"
    assert drop.subject.startswith("ct ") and drop.reason == "all ports that the translation may use are in use"
    # On Linux, the same ports are free for another destination. An independent mapping has one host for each port.
    assert len(box.send(IN, make(A2, 2000, B2, 53))) == (0 if independent else 1)
    # Connections that have a port are not harmed.
    assert [box.one(IN, make(A, 1000 + number, B, 53))[1] for number in range(4)] == ports


def test_the_only_port_of_a_rule_is_not_shared_by_independent_mappings():
    for independent, drops in ((False, {"conntrack-clash": 1}), (True, {"nat-exhausted": 2})):
        box = snat("192.0.2.1", port_low=5000, port_high=5000, nat_endpoint_independent=independent)
        assert box.one(IN, udp(A, 5000, B, 53))[1] == 5000
        assert box.send(IN, udp(A2, 5000, B, 53)) == []
        assert len(box.send(IN, udp(A2, 5000, B2, 53))) == (0 if independent else 1)
        assert box.one(IN, udp(A, 5000, B2, 54))[1] == 5000
        assert box.drops == drops


def test_a_connection_in_time_wait_gives_up_its_port():
    box = snat("192.0.2.1", port_low=5000, port_high=5000)
    assert box.one(IN, tcp(A, 1000, B, 80, SYN, 100))[1] == 5000
    assert box.one(OUT, tcp(B, 80, ROUTER, 5000, SYN | ACK, 500, 101))[3] == 1000
    box.one(IN, tcp(A, 1000, B, 80, ACK, 101, 501))
    # The port of a range of one is never refused; a range of two searches.
    box = snat("192.0.2.1", port_low=5000, port_high=5001)
    for sport in (1000, 1001):
        ext = box.one(IN, tcp(A, sport, B, 80, SYN, 100))[1]
        box.one(OUT, tcp(B, 80, ROUTER, ext, SYN | ACK, 500, 101))
        box.one(IN, tcp(A, sport, B, 80, ACK, 101, 501))
    assert box.send(IN, tcp(A, 1002, B, 80, SYN, 5000)) == []
    box.one(IN, tcp(A, 1001, B, 80, RST, 101))
    assert box.send(IN, tcp(A, 1002, B, 80, SYN, 50)) == []
    assert box.one(IN, tcp(A, 1002, B, 80, SYN, 5000))[1] == ext


def test_a_published_port():
    box = dnat()
    assert box.one(OUT, tcp(B, 1000, ROUTER, 8080, SYN, 7)) == (B, 1000, A, 80)
    assert box.one(IN, tcp(A, 80, B, 1000, SYN | ACK, 9, 8)) == (ROUTER, 8080, B, 1000)


def test_hairpinning():
    """RFC 4787 6 (REQ-9): an internal host reaches another one at its external address, with an external source."""
    box = dnat()
    box.stack.add_nat(C.HOOK_POSTROUTING, C.NAT_MASQUERADE)
    [(iface, out)] = box.send(IN, tcp(A2, 1000, ROUTER, 8080, SYN, 7))
    assert iface == IN and ends(out) == (INSIDE, 1000, A, 80) and sums_right(out)
    [(iface, out)] = box.send(IN, tcp(A, 80, INSIDE, 1000, SYN | ACK, 9, 8))
    assert iface == IN and ends(out) == (ROUTER, 8080, A2, 1000) and sums_right(out)


def test_a_redirect_brings_connections_to_this_host():
    box = Box()
    box.stack.add_nat(
        C.HOOK_PREROUTING, C.NAT_REDIRECT, 0, 0, 5353, 5353, iface=box.ifaces[IN], proto=17, match_low=53, match_high=53
    )
    server = udp_socket.udp_open(box.stack, box.now)
    udp_socket.bind(server, 0, 5353, box.now)
    assert box.send(IN, udp(A, 1000, "198.51.100.1", 53)) == []
    message = udp_socket.recvfrom(server, 0, box.now)
    assert (message.src, message.sport) == (f.addr(A), 1000)
    udp_socket.sendto(server, b"answer", message.src, 1000, 0, box.now)
    [(iface, out)] = box.drain()
    assert iface == IN and ends(out) == ("198.51.100.1", 53, A, 1000) and sums_right(out)


def test_this_hosts_own_connections_are_translated_and_routed_anew():
    box = Box()
    box.stack.add_nat(
        C.HOOK_OUTPUT, C.NAT_DNAT, f.addr(A), f.addr(A), 53, 53, proto=17, dst=f.addr("192.0.2.53"), dst_length=32
    )
    client = udp_socket.udp_open(box.stack, box.now)
    udp_socket.sendto(client, b"question", f.addr("192.0.2.53"), 9, 0, box.now)
    [(iface, out)] = box.drain()
    assert iface == IN and sums_right(out)
    src, port, *rest = ends(out)
    assert (src, *rest) == (ROUTER, A, 53)
    assert box.send(IN, udp(A, 53, ROUTER, port, b"answer")) == []
    message = udp_socket.recvfrom(client, 0, box.now)
    assert (message.src, message.sport) == (f.addr("192.0.2.53"), 9)


def test_errors_are_translated_with_the_packet_that_they_quote():
    """RFC 5508 4 (REQ-4, REQ-5): from outside about a packet from inside, and the other way round."""
    box = masquerade()
    inner = udp(A, 1000, B, 53)
    box.one(IN, udp(A2, 1000, B, 53))
    [(_, outer)] = box.send(IN, inner)
    port = ends(outer)[1]
    assert port != 1000
    [(iface, out)] = box.send(OUT, error("192.0.2.99", ROUTER, outer))
    assert iface == IN and sums_right(out) and ends(out)[::2] == ("192.0.2.99", A)
    assert ends(out[28:]) == (A, 1000, B, 53)
    assert sums_right(out[28:])
    [(_, answer)] = box.send(OUT, udp(B, 53, ROUTER, port))
    [(iface, out)] = box.send(IN, error(A, B, answer))
    assert iface == OUT and sums_right(out) and ends(out)[::2] == (ROUTER, B)
    assert ends(out[28:]) == (B, 53, ROUTER, port)
    assert sums_right(out[28:])


def test_this_routers_own_errors_quote_what_the_sender_sent():
    """The error is about a packet that already has its new destination, but not its new source."""
    box = dnat()
    [(iface, out)] = box.send(OUT, tcp(B, 1000, ROUTER, 8080, SYN, 7, ttl=1))
    assert iface == OUT and (out[20], out[21]) == (11, 0) and sums_right(out)
    assert ends(out[28:]) == (B, 1000, ROUTER, 8080)


def test_a_redirect_message_about_a_translated_connection_is_dropped():
    box = masquerade()
    [(_, outer)] = box.send(IN, udp(A, 1000, B, 53))
    assert box.send(OUT, error(B, ROUTER, outer, kind=5, code=1)) == []
    assert box.drops == {"nat-redirect": 1}


def test_invalid_packets_pass_untranslated():
    """NFT.md 1: a rule has to drop them."""
    box = masquerade()
    assert box.one(IN, tcp(A, 1000, B, 80, SYN | ACK, 7)) == (A, 1000, B, 80)


@pytest.mark.parametrize("length", [1, 1000, 5000])
def test_a_group_of_segments_is_the_same_as_its_segments(length):
    """GSO: one translation of the group's header, and each segment gets a right checksum."""
    boxes = [masquerade(), masquerade()]
    for box in boxes:
        box.one(IN, tcp(A2, 1000, B, 80, SYN, 100))
        ext = box.one(IN, tcp(A, 1000, B, 80, SYN, 100))[1]
        box.one(OUT, tcp(B, 80, ROUTER, ext, SYN | ACK, 500, 101))
        box.one(IN, tcp(A, 1000, B, 80, ACK, 101, 501))
    group = tcp(A, 1000, B, 80, ACK, 101, 501, bytes(range(256)) * 20)[: 40 + length]
    group = bytearray(group)
    group[2:4] = struct.pack(">H", len(group))
    group[10:12] = b"\0\0"
    group[10:12] = struct.pack(">H", f.ones(bytes(group[:20])) ^ 0xFFFF)
    # The checksum of a group holds only the sum of the pseudo-header.
    group[36:38] = struct.pack(">H", f.ones(bytes(group[12:20]) + struct.pack(">HH", 6, len(group) - 20)))
    tx = Transmit(boxes[0].ifaces[IN], bytes(group[:40]), bytes(group[40:]))
    tx.gso_size, tx.csum_start, tx.csum_offset, tx.hdr_len = 1000, 20, 16, 40
    one_by_one = [data for segment in segments(tx) for _, data in boxes[0].send(IN, segment)]
    together = [data for _, data in boxes[1].send(IN, bytes(group), C.RX_CSUM_OK, 1000)]
    assert one_by_one == together and all(sums_right(data) for data in together)
    assert len(together) == (length + 999) // 1000 and ends(together[0])[:2] == (ROUTER, ext)


def test_the_entries_of_a_masquerade_go_with_its_address():
    box = masquerade()
    box.one(IN, udp(A, 1000, B, 53))
    box.stack.del_addr(box.ifaces[OUT], f.addr(ROUTER))
    assert box.table.count == 0
    box.stack.add_addr(box.ifaces[OUT], f.addr("192.0.2.77"), 24)
    assert box.one(IN, udp(A, 1000, B, 53)) == ("192.0.2.77", 1000, B, 53)
    box.stack.set_iface(box.ifaces[OUT], False)
    assert box.table.count == 0


def test_a_rule_matches_protocol_networks_and_ports():
    box = Box()
    out = box.ifaces[OUT]
    rule = {"iface": out, "proto": 17, "src": f.addr("10.0.0.0"), "src_length": 30, "match_low": 50, "match_high": 60}
    box.stack.add_nat(C.HOOK_POSTROUTING, C.NAT_MASQUERADE, **rule)
    assert box.one(IN, udp(A, 1000, B, 53))[0] == ROUTER
    assert box.one(IN, udp(A, 1000, B, 61))[0] == A
    assert box.one(IN, udp("10.0.0.9", 1000, B, 53))[0] == "10.0.0.9"
    assert box.one(IN, tcp(A, 1000, B, 53, SYN))[0] == A


@pytest.mark.parametrize(
    ("place", "action", "more"),
    [
        (C.HOOK_PREROUTING, C.NAT_SNAT, {}),
        (C.HOOK_POSTROUTING, C.NAT_DNAT, {}),
        (C.HOOK_FORWARD, C.NAT_SNAT, {}),
        (C.HOOK_POSTROUTING, 99, {}),
        (C.HOOK_POSTROUTING, C.NAT_SNAT, {"port_low": 9, "port_high": 8}),
        (C.HOOK_POSTROUTING, C.NAT_SNAT, {"low": 0xFFFF0A000002, "high": 0xFFFF0A000001}),
    ],
)
def test_impossible_rules_are_refused(place, action, more):
    box = Box()
    with pytest.raises(ValueError):
        box.stack.add_nat(place, action, **more)
    assert box.stack.nat is None


# RFC 4787, RFC 5382, RFC 5508: what Linux does not do.


@pytest.mark.parametrize("make", [udp, lambda *a: tcp(*a, SYN)], ids=["udp", "tcp"])
def test_one_mapping_for_all_destinations(make):
    """RFC 4787 4.1 (REQ-1), RFC 5382 4.1 (REQ-1): the mapping depends only on the internal address and port."""
    box = masquerade(nat_endpoint_independent=True)
    box.one(IN, make(A, 5000, B, 53))
    _, port, *_ = box.one(IN, make(A2, 5000, B2, 53))
    # No two internal endpoints share an external port, even to different hosts (REQ-3).
    assert port != 5000
    assert all(box.one(IN, make(A2, 5000, dst, dport))[1] == port for dst in (B, B2) for dport in (53, 54))


def test_linux_lets_two_endpoints_share_a_port_to_different_hosts():
    box = masquerade()
    assert box.one(IN, udp(A, 5000, B, 53))[1] == box.one(IN, udp(A2, 5000, B2, 53))[1] == 5000


@pytest.mark.parametrize(("filtering", "known", "unknown"), [(0, True, True), (1, True, False), (2, False, False)])
def test_which_packets_from_outside_a_mapping_lets_in(filtering, known, unknown):
    """RFC 4787 5 (REQ-8): from every endpoint, from known addresses, or from known endpoints."""
    box = masquerade(nat_endpoint_independent=True, nat_filtering=filtering)
    _, port, *_ = box.one(IN, udp(A, 5000, B, 53))
    for src, expected in ((B, known), (B2, unknown)):
        out = box.send(OUT, udp(src, 999, ROUTER, port))
        assert (bool(out) and ends(out[0][1]) == (src, 999, A, 5000)) == expected
        if expected:
            assert box.one(IN, udp(A, 5000, src, 999)) == (ROUTER, port, src, 999)


def test_a_mapping_ends_with_its_last_connection():
    box = masquerade(nat_endpoint_independent=True)
    box.one(IN, udp(A, 5000, B, 53))
    box.later(20)
    box.one(IN, udp(A, 5000, B2, 53))
    box.later(20)
    assert box.table.count == 1 and box.stack.nat.find_internal(f.addr(A), 5000, 17) is not None
    box.later(20)
    assert box.table.count == 0 and not box.stack.nat.internal and not box.stack.nat.external


def test_a_pool_pairs_each_host_with_one_address():
    """RFC 4787 4.1 (REQ-2): all sessions of one internal address use the same external address."""
    box = snat("198.51.100.1", "198.51.100.9", nat_endpoint_independent=True)
    for number in range(2, 20):
        sources = {box.one(IN, udp(f"10.0.0.{number}", port, B, 53))[0] for port in range(1000, 1010)}
        assert len(sources) == 1


# Networks.


def test_a_network_with_a_nat():
    """A client behind a NAT, a server outside, and a published port."""
    import pystack.socket as socket

    net = Network(1)
    pc, home, web = net.host("pc"), net.nat("home"), net.host("web")
    net.link(home, web, addrs=("192.0.2.1/24", "192.0.2.2/24"), delay=MS)
    net.link(pc, home, addrs=("10.0.0.2/24", "10.0.0.1/24"), delay=MS)
    pc.route("default", via="10.0.0.1")
    home.dnat("192.0.2.1:8080", "10.0.0.2:80")
    peers = {}

    def serve(name):
        def program():
            with socket.socket() as listener:
                listener.bind(("0.0.0.0", 80))
                listener.listen()
                conn, addr = listener.accept()
                peers[name] = addr[0]
                while data := conn.recv(65536):
                    conn.sendall(data[:1])
                conn.close()

        return program

    def fetch(addr):
        def program():
            with socket.socket() as sock:
                sock.connect(addr)
                sock.sendall(bytes(100_000))
                sock.shutdown(socket.SHUT_WR)
                got = b""
                while data := sock.recv(65536):
                    got += data
                return len(got)

        return program

    for _ in range(2):
        assert net.run({web: serve("web"), pc: fetch(("192.0.2.2", 80))})[pc] > 0
        assert net.run({pc: serve("pc"), web: fetch(("192.0.2.1", 8080))})[web] > 0
        assert peers == {"web": "192.0.2.1", "pc": "192.0.2.2"}
        # A router that is switched off and on keeps its rules.
        home.boot()


@pytest.mark.parametrize("profile", ["rfc", "linux"])
def test_two_hosts_behind_a_nat_meet_at_an_external_endpoint(profile):
    """Hairpinning with the profile `rfc` (RFC 4787 6). With Linux's behaviour, the datagram does not arrive."""
    import pystack.socket as socket

    net = Network(1)
    carrier, web, one, two = net.nat("carrier", profile=profile), net.host("web"), net.host("one"), net.host("two")
    net.link(carrier, web, addrs=("192.0.2.1/24", "192.0.2.2/24"), delay=MS)
    net.lan("inside", carrier, one, two, subnet="10.0.0.0/24")
    carrier.snat("192.0.2.1", src="10.0.0.0/24")

    def meet():
        with socket.socket(type=socket.SOCK_DGRAM) as sock:
            sock.bind(("0.0.0.0", 7000))
            sock.sendto(b"I am here", ("192.0.2.2", 9))
            sock.settimeout(2)
            try:
                while True:
                    data, addr = sock.recvfrom(100)
                    if data != b"I am here":
                        return data, addr
            except OSError:
                return None

    def call():
        with socket.socket(type=socket.SOCK_DGRAM) as sock:
            sock.bind(("0.0.0.0", 7001))
            sock.settimeout(0.5)
            with pytest.raises(TimeoutError):
                sock.recv(100)  # the other host has its mapping by then
            sock.sendto(b"hello", ("192.0.2.1", 7000))

    found = net.run({one: meet, two: call})[one]
    assert found == ((b"hello", ("192.0.2.1", 7001)) if profile == "rfc" else None)


def test_an_error_from_a_timer_belongs_to_its_own_packet():
    """ARP gives up long after the packet: the packet that passed last has nothing to do with the error."""
    box = Box()
    far = box.stack.add_iface("eth1", C.LINK_ETHERNET, 0x0200000000AC)
    box.ifaces.append(far)
    box.stack.add_addr(far, f.addr("198.51.100.1"), 24)
    box.stack.add_nat(C.HOOK_POSTROUTING, C.NAT_MASQUERADE, iface=box.ifaces[OUT])
    box.send(IN, udp(A, 1000, "198.51.100.7", 53))
    box.one(IN, udp(A2, 2000, B, 53))
    errors = []
    for _ in range(50):
        box.later(0.1)
        errors += [data for iface, data in box.drain() if iface == IN]
    [message] = errors
    assert sums_right(message) and ends(message)[2] == A and ends(message[28:]) == (A, 1000, "198.51.100.7", 53)


@pytest.mark.parametrize(
    ("method", "arguments", "text"),
    [
        ("dnat", ("192.0.2.1:web", "10.0.0.2:80"), "'web' is not a port or a range of ports"),
        ("dnat", ("192.0.2.1:80-x", "10.0.0.2:80"), "'80-x' is not a port"),
        ("dnat", ("192.0.2.1:80-", "10.0.0.2:80"), "'80-' is not a port"),
        ("dnat", ("192.0.2.1:80", "10.0.0.2:-1"), "'-1' is not a port"),
        ("dnat", ("192.0.2.1:80", ""), "write the new address or port"),
        ("snat", (":",), "write the new address or port"),
        ("redirect", ("192.0.2.1:80", 0), "port=0: it must be in 1..65535"),
        ("masquerade", ("", "all"), "'all' is not a port"),
        ("addr", ("10.0.0.1/33",), "'10.0.0.1/33' is not an IPv4 address with a prefix length"),
    ],
)
def test_wrong_texts_of_rules_are_clear_errors(method, arguments, text):
    net = Network(1)
    home, web = net.nat("home"), net.host("web")
    net.link(home, web, addrs=("192.0.2.1/24", "192.0.2.2/24"))
    with pytest.raises(ValueError, match=re.escape(text)):
        getattr(home, method)(*arguments)
