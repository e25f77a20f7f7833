"""The server's machine and the relay's, message by message, without a network (RFC 2131 section 4.3, RFC 1542, RFC 3046)."""

import pytest

from pystack.dhcp import Relay, Server, Subnet
from pystack.dhcp import message as m
from pystack.dhcp.actions import BROADCAST, Note, S
from pystack.dhcp.message import DhcpMessage
from pystack.dhcp.server import DECLINE_TIME, OFFER_TIME, number

OWN = number("10.0.0.1")


class Bench:
    """A server, and a clock."""

    def __init__(self, *subnets, **options):
        self.server = Server(
            "10.0.0.1", subnets or (Subnet("10.0.0.0/24", ("10.0.0.10", "10.0.0.12"), lease=600),), **options
        )
        self.now = 0
        self.drops = []

    def give(self, kind, mac=1, addr=0, server=None, *, xid=7, options=None, **fields):
        """A client's message. Returns (SendMessage, DhcpMessage) of the answer, or None."""
        message = DhcpMessage(xid=xid, chaddr=mac.to_bytes(6, "big"), **fields)
        message.options[m.MESSAGE_TYPE] = bytes((kind,))
        if addr:
            message.options[m.REQUESTED_ADDR] = m.addr_bytes(addr)
        if server is not None:
            message.options[m.SERVER_ID] = m.addr_bytes(server)
        message.options |= options or {}
        self.server.message(m.write(message), 0, self.now)
        found = None
        for action in self.server.take():
            if isinstance(action, Note):
                self.drops += [action.fields["name"]] if action.kind == "dhcp.drop" else []
            else:
                found = action, m.read(action.data)
        return found

    def lease(self, mac=1, addr=0):
        """The whole exchange. Returns the address, or None."""
        offer = self.give(m.DISCOVER, mac, addr)
        if offer is None:
            return None
        assert offer[1].kind == m.OFFER
        ack = self.give(m.REQUEST, mac, offer[1].yiaddr, OWN)
        assert ack[1].kind == m.ACK and ack[1].yiaddr == offer[1].yiaddr
        return ack[1].yiaddr

    def names(self):
        """The leases: the last byte of each address -> MAC."""
        return {
            int(addr.split(".")[3]): int(client[2:] or client, 16)
            for addr, client in self.server.leases(self.now).items()
        }


def test_the_exchange_and_the_options():
    subnet = Subnet(
        "10.0.0.0/24", ("10.0.0.10", "10.0.0.12"), "10.0.0.1", ["10.0.0.53", "10.0.0.54"], "example.org", 600, mtu=1400,
        routes={"10.9.0.0/16": "10.0.0.9"}, options={42: b"\x0a\0\0\1"},
    )  # fmt: skip
    bench = Bench(subnet)
    send, offer = bench.give(m.DISCOVER, options={m.CLIENT_ID: b"\1me", m.MAX_SIZE: (1500).to_bytes(2, "big")})
    assert (send.dst, send.mac, send.link, send.sport, send.dport) == (number("10.0.0.10"), 1, True, 67, 68)
    assert (offer.xid, offer.yiaddr, offer.ciaddr, offer.op) == (7, number("10.0.0.10"), 0, 2)
    assert offer.number(m.LEASE_TIME) == 600 and offer.number(m.T1) == 300 and offer.number(m.T2) == 525
    assert offer.options[m.CLIENT_ID] == b"\1me"  # RFC 6842
    assert m.read_routes(offer.options[m.ROUTES]) == [(number("10.9.0.0"), 16, number("10.0.0.9")), (0, 0, OWN)]
    assert offer.addresses(m.DNS) == [number("10.0.0.53"), number("10.0.0.54")] and offer.options[42] == b"\x0a\0\0\1"
    assert offer.text(m.DOMAIN_NAME) == "example.org" and offer.options[m.MTU] == b"\x05\x78"
    _, short = bench.give(m.DISCOVER, 2, options={m.PARAMETERS: bytes((m.ROUTER,))})
    given = {m.MESSAGE_TYPE, m.SERVER_ID, m.LEASE_TIME, m.T1, m.T2, m.SUBNET_MASK, m.ROUTER}
    assert set(short.options) == given


def test_where_answers_go():
    """Section 4.1."""
    bench = Bench()
    assert bench.give(m.DISCOVER, flags=m.BROADCAST_FLAG)[0].dst == BROADCAST
    addr = bench.lease()
    send, ack = bench.give(m.REQUEST, ciaddr=addr)  # renewing
    assert (send.dst, send.link, ack.ciaddr, ack.yiaddr) == (addr, False, addr, addr)
    send, _ = bench.give(m.DISCOVER, 2, giaddr=number("10.0.0.200"))
    assert (send.dst, send.dport, send.link) == (number("10.0.0.200"), 67, False)
    send, nak = bench.give(m.REQUEST, 3, number("10.0.0.99"))
    assert nak.kind == m.NAK and send.dst == BROADCAST and nak.options[m.MESSAGE] and nak.yiaddr == 0
    _, nak = bench.give(m.REQUEST, 3, number("10.9.0.99"), giaddr=number("10.0.0.200"))
    assert nak.kind == m.NAK and nak.flags & m.BROADCAST_FLAG


def test_a_client_gets_its_former_address_again_and_others_get_the_longest_unused():
    bench = Bench()
    assert [bench.lease(mac) & 0xFF for mac in (1, 2, 3)] == [10, 11, 12]
    assert bench.lease(4) is None and bench.drops == ["pool-exhausted"]
    assert bench.lease(2) & 0xFF == 11
    bench.now = 601 * S  # all have ended
    assert bench.names() == {} and bench.lease(3) & 0xFF == 12
    assert bench.lease(4) & 0xFF == 10 and bench.lease(1) & 0xFF == 11 and bench.lease(2) is None
    assert bench.names() == {10: 4, 11: 1, 12: 3}


def test_a_client_gets_the_address_that_it_asks_for_if_it_is_free():
    bench = Bench()
    assert bench.lease(1, number("10.0.0.12")) & 0xFF == 12
    assert bench.lease(2, number("10.0.0.12")) & 0xFF == 10 and bench.lease(3, number("10.5.5.5")) & 0xFF == 11


def test_reserved_addresses():
    fixed = {"00:00:00:00:00:05": "10.0.0.5", "00:00:00:00:00:06": "10.0.0.11"}
    bench = Bench(Subnet("10.0.0.0/24", ("10.0.0.10", "10.0.0.12"), fixed=fixed))
    assert [bench.lease(mac) and bench.lease(mac) & 0xFF for mac in (5, 1, 2, 3, 6)] == [5, 10, 12, None, 11]


def test_requests_of_init_reboot_and_renewal():
    """Section 4.3.2."""
    bench = Bench()
    addr = bench.lease()
    assert bench.give(m.REQUEST, 1, addr)[1].kind == m.ACK
    assert bench.give(m.REQUEST, 2, addr)[1].kind == m.NAK
    assert bench.give(m.REQUEST, 1, number("10.7.0.1"))[1].kind == m.NAK  # the wrong network
    assert (
        bench.give(m.REQUEST, 2, ciaddr=number("10.0.0.12"))[1].kind == m.ACK
    )  # the server has forgotten it, and it is free
    assert bench.give(m.REQUEST, 9) is None and bench.drops[-1] == "no-address"
    quiet = Bench(authoritative=False)
    assert quiet.give(m.REQUEST, 2, addr) is None and quiet.drops == ["unknown-client"]


def test_the_time_of_a_lease_is_what_the_client_asks_for_within_limits():
    bench = Bench(Subnet("10.0.0.0/24", lease=600, longest=1200))
    for asked, given in ((900, 900), (5000, 1200), (1, 10)):
        _, offer = bench.give(m.DISCOVER, options={m.LEASE_TIME: asked.to_bytes(4, "big")})
        assert offer.number(m.LEASE_TIME) == given


def test_an_offer_that_was_not_chosen_is_free_again():
    bench = Bench()
    for mac in (1, 2, 3):
        bench.give(m.DISCOVER, mac)
    assert bench.give(m.DISCOVER, 4) is None
    assert (
        bench.give(m.REQUEST, 2, number("10.0.0.11"), number("10.0.0.2")) is None and bench.drops[-1] == "other-server"
    )
    assert bench.lease(4) & 0xFF == 11
    bench.now = OFFER_TIME
    assert bench.lease(5) & 0xFF == 10


def test_declined_and_released_addresses():
    bench = Bench()
    addr = bench.lease()
    assert bench.give(m.DECLINE, 2, addr, OWN) is None and bench.drops == ["unknown-client"]
    bench.give(m.DECLINE, 1, addr, OWN)
    assert bench.names() == {} and [bench.lease(mac) and bench.lease(mac) & 0xFF for mac in (1, 2, 3)] == [11, 12, None]
    bench.give(m.RELEASE, 3, server=OWN, ciaddr=number("10.0.0.11"))
    assert bench.drops[-1] == "unknown-client" and bench.names() == {11: 1, 12: 2}
    bench.give(m.RELEASE, 1, server=OWN, ciaddr=number("10.0.0.11"))
    assert bench.names() == {12: 2} and bench.lease(3) & 0xFF == 11
    bench.now = DECLINE_TIME
    assert bench.lease(4) & 0xFF == 10


def test_inform():
    bench = Bench()
    send, ack = bench.give(m.INFORM, ciaddr=number("10.0.0.77"))
    assert ack.kind == m.ACK and ack.yiaddr == 0 and m.LEASE_TIME not in ack.options and send.dst == number("10.0.0.77")
    assert bench.give(m.INFORM) is None and bench.names() == {}


def test_a_flood_of_discovers_holds_the_pool_only_while_it_lasts():
    """Starvation: memory is bounded by the pool, a client that has a lease keeps it, and a new one gets an address afterwards."""
    bench = Bench(Subnet("10.0.0.0/24", ("10.0.0.10", "10.0.0.109"), lease=3600))
    addr = bench.lease(1)
    (pool,) = bench.server.pools
    for number_ in range(20_000):
        bench.now += S // 1000
        bench.give(m.DISCOVER, 0x020000000000 | number_, options={m.CLIENT_ID: number_.to_bytes(200, "big")})
    assert (
        len(pool.bindings) + len(pool.free) == 100
        and len(pool.clients) <= 100
        and len(pool.former) <= 100
        and len(pool.ends) < 500
    )
    assert bench.give(m.REQUEST, 1, ciaddr=addr)[1].kind == m.ACK and bench.lease(2) is None
    bench.now += OFFER_TIME
    assert bench.lease(2) is not None and bench.names().keys() == {10, bench.lease(2) & 0xFF}


def test_messages_that_are_no_requests_are_dropped():
    bench = Bench()
    for data in (
        b"x",
        m.write(DhcpMessage(op=2, chaddr=bytes(6), options={m.MESSAGE_TYPE: b"\1"})),
        m.write(DhcpMessage(chaddr=bytes(6))),
    ):
        bench.server.message(data, 0, 0)
    assert bench.give(m.OFFER) is None and bench.give(m.DISCOVER, giaddr=number("10.77.0.1")) is None
    assert bench.give(m.DISCOVER, options={m.CLIENT_ID: bytes(300)}) is None
    assert bench.drops == ["malformed", "no-request", "no-request", "no-request", "no-subnet", "no-client"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"network": "10.0.0.0/24", "pool": ("10.0.0.10", "10.0.1.10")},
        {"network": "10.0.0.0/24", "pool": ("10.0.0.10", "10.0.0.9")},
        {"network": "10.0.0.0/24", "lease": 5},
        {"network": "10.0.0.0/24", "lease": 100, "longest": 99},
        {"network": "10.0.0.1/24"},
        {"network": "10.0.0.0/24", "fixed": {"00:00:00:00:00:01": "10.1.0.1"}},
        {"network": "0.0.0.0/0", "pool": ("10.0.0.1", "10.9.0.1")},
    ],
)
def test_subnets_that_cannot_be(wrong):
    with pytest.raises(ValueError):
        Subnet(**wrong)


# -- the relay -------------------------------------------------------------------------------------------------------


def relayed(relay, message, src=0):
    """What the relay sends for a message: (SendMessage, DhcpMessage) of each; and the names of its drops."""
    relay.message(m.write(message), src, 0)
    actions = relay.take()
    sent = [(a, m.read(a.data)) for a in actions if not isinstance(a, Note)]
    return sent, [a.fields["name"] for a in actions if isinstance(a, Note) and a.kind == "dhcp.drop"]


def test_a_relay_adds_its_address_and_option_82_and_takes_it_out_again():
    relay = Relay("10.1.0.1", ["10.0.0.1", "10.0.0.2"], b"port7")
    request = DhcpMessage(xid=7, chaddr=b"\2\0\0\0\0\1", options={m.MESSAGE_TYPE: b"\1"})
    sent, _ = relayed(relay, request)
    assert [send.dst for send, _ in sent] == [number("10.0.0.1"), number("10.0.0.2")]
    send, passed = sent[0]
    assert (send.sport, send.dport, passed.giaddr, passed.hops) == (67, 67, number("10.1.0.1"), 1)
    assert passed.options[m.AGENT] == b"\x01\x05port7"
    server = Server("10.0.0.1", [Subnet("10.1.0.0/24"), Subnet("10.0.0.0/24")])
    server.message(send.data, number("10.1.0.1"), 0)
    (answer,) = (a for a in server.take() if not isinstance(a, Note))
    assert (answer.dst, answer.dport) == (number("10.1.0.1"), 67)
    offer = m.read(answer.data)
    assert list(offer.options)[-1] == m.AGENT and offer.yiaddr == number("10.1.0.2")  # not the relay's own
    ((send, passed),), _ = relayed(relay, offer, number("10.0.0.1"))
    assert (send.dst, send.mac, send.link, send.dport) == (
        offer.yiaddr,
        0x020000000001,
        True,
        68,
    ) and m.AGENT not in passed.options
    offer.flags = m.BROADCAST_FLAG
    ((send, _),), _ = relayed(relay, offer, number("10.0.0.1"))
    assert (send.dst, send.mac) == (BROADCAST, None)
    assert relayed(relay, offer, number("10.0.0.3")) == ([], ["not-ours"])  # a server that it does not know


def test_what_a_relay_does_not_pass_on():
    relay = Relay("10.1.0.1", "10.0.0.1")
    base = {"chaddr": bytes(6), "xid": 1}
    assert relayed(relay, DhcpMessage(hops=16, **base)) == ([], ["hops"])
    assert relayed(relay, DhcpMessage(options={m.AGENT: b"\1\1x"}, **base)) == ([], ["untrusted-circuit"])
    assert relayed(relay, DhcpMessage(giaddr=number("10.1.0.1"), **base)) == ([], ["spoofed"])
    sent, _ = relayed(relay, DhcpMessage(giaddr=number("10.2.0.1"), options={m.AGENT: b"\1\1x"}, **base))
    assert sent[0][1].giaddr == number("10.2.0.1") and sent[0][1].options[m.AGENT] == b"\1\1x" and sent[0][1].hops == 1
    relay.message(b"junk", 0, 0)
    assert [a.fields["name"] for a in relay.take()] == ["malformed"]
