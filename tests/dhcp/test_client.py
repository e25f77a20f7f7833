"""The client's machine, message by message, without a network (RFC 2131 section 4.4, RFC 3927, RFC 5227)."""

from dataclasses import replace

import pytest

from pystack.dhcp import Client, ClientSettings, Lease, LinkLocal, Probing
from pystack.dhcp import message as m
from pystack.dhcp.actions import BROADCAST, Configure, Deconfigure, Note, S, SendArp, SendMessage
from pystack.dhcp.message import DhcpMessage

MAC, SERVER, ADDR = 0x020000000001, 0x0A000001, 0x0A000032
QUICK = ClientSettings(probing=Probing(count=0), fallback=None)


class Bench:
    """A client, and what it has done."""

    def __init__(self, settings=QUICK, seed=1):
        self.client = Client(MAC, seed, settings)
        self.now = 0
        self.log = []
        self.client.start(0)
        self.collect()

    def collect(self):
        """The actions since the last call, with the time of each."""
        new = self.client.take()
        self.log += [(self.now, action) for action in new]
        return new

    def sent(self):
        """The messages that were sent: (time, type, SendMessage, DhcpMessage)."""
        return [(at, m.read(a.data).name, a, m.read(a.data)) for at, a in self.log if isinstance(a, SendMessage)]

    def drops(self):
        """The names of the drops."""
        return [a.fields["name"] for _, a in self.log if isinstance(a, Note) and a.kind == "dhcp.drop"]

    def until(self, time):
        """Let the timers fire until a time."""
        while self.client.deadline is not None and self.client.deadline <= time:
            assert self.client.deadline >= self.now
            self.now = self.client.deadline
            self.client.timeout(self.now)
            self.collect()
        self.now = time

    def reply(self, kind, xid=None, **changes):
        """The server's answer to the last message."""
        options = {m.MESSAGE_TYPE: bytes((kind,)), m.SERVER_ID: m.addr_bytes(changes.pop("server", SERVER))}
        if kind != m.NAK:
            options[m.LEASE_TIME] = changes.pop("time", 1000).to_bytes(4, "big")
            options[m.SUBNET_MASK] = m.addr_bytes(0xFFFFFF00)
        options |= changes.pop("options", {})
        message = DhcpMessage(
            op=2,
            xid=self.sent()[-1][3].xid if xid is None else xid,
            chaddr=MAC.to_bytes(6, "big"),
            yiaddr=ADDR,
            options=options,
        )
        self.give(m.write(replace(message, **changes)))

    def give(self, data, src=SERVER):
        """A datagram arrives."""
        self.client.message(data, src, self.now)
        return self.collect()

    def bound(self, **options):
        """Go through the whole exchange."""
        self.reply(m.OFFER, **options)
        self.reply(m.ACK, **options)
        assert self.client.state == "BOUND"
        return self


def test_the_exchange_and_the_messages():
    bench = Bench(replace(QUICK, host_name="me", client_id=b"\0abc"))
    bench.until(1 * S)
    bench.reply(m.OFFER, options={m.ROUTER: m.addr_bytes(SERVER), m.DNS: m.addr_bytes(5, SERVER)})
    _, name, send, request = bench.sent()[-1]
    assert name == "REQUEST" and (send.src, send.dst, send.link) == (0, BROADCAST, True)
    assert request.number(m.REQUESTED_ADDR) == ADDR and request.number(m.SERVER_ID) == SERVER and request.ciaddr == 0
    assert request.options[m.HOST_NAME] == b"me" and request.options[m.CLIENT_ID] == b"\0abc" and request.secs == 1
    assert request.xid == bench.sent()[0][3].xid  # section 4.4.1
    bench.reply(m.ACK, options={m.ROUTER: m.addr_bytes(SERVER), m.DNS: m.addr_bytes(5, SERVER)})
    lease = Lease(ADDR, 24, SERVER, 1000, 500, 875, (SERVER,), (SERVER,))
    assert bench.client.lease == lease and (1 * S, Configure(lease)) in bench.log
    states = [
        (a.fields["old"], a.fields["new"]) for _, a in bench.log if isinstance(a, Note) and a.kind == "dhcp.state"
    ]
    assert states == [("INIT", "SELECTING"), ("SELECTING", "REQUESTING"), ("REQUESTING", "BOUND")]


def test_retransmissions_double_up_to_64_seconds():
    """Section 4.1: 4, 8, 16, 32, 64, 64 s, each +- 1 s at random."""
    bench = Bench()
    bench.until(400 * S)
    times = [at for at, name, *_ in bench.sent() if name == "DISCOVER"]
    gaps = [(b - a) / S for a, b in zip(times, times[1:], strict=False)]
    for gap, middle in zip(gaps, [4, 8, 16, 32, 64, 64, 64], strict=False):
        assert abs(gap - middle) <= 1
    assert len({gap % 1 for gap in gaps}) == len(gaps) and len(gaps) >= 6
    assert [at for at, *_ in Bench(seed=2).sent()] == [0]  # a client that is alone does not wait


def test_the_first_message_may_be_delayed_at_random():
    times = set()
    for seed in range(5):
        bench = Bench(replace(QUICK, desync=10 * S), seed)
        bench.until(10 * S)
        times.add(bench.sent()[0][0])
    assert len(times) == 5 and max(times) > 3 * S


def test_no_answer_to_the_request_leads_back_to_init():
    bench = Bench()
    bench.reply(m.OFFER)
    bench.until(70 * S)
    names = [name for _, name, *_ in bench.sent()]
    assert names[:6] == ["DISCOVER", *["REQUEST"] * 4, "DISCOVER"] and bench.client.state == "SELECTING"


def test_renewing_rebinding_and_the_end_of_the_lease():
    """Section 4.4.5, with 0.5 and 0.875 of 1,000 s. The lease counts from the REQUEST."""
    bench = Bench().bound()
    bench.until(1100 * S)
    later = [(at // S, name, send.dst, send.link, r.ciaddr) for at, name, send, r in bench.sent()[2:]]
    assert later[:2] == [(500, "REQUEST", SERVER, False, ADDR), (687, "REQUEST", SERVER, False, ADDR)]
    assert later[2:4] == [
        (781, "REQUEST", SERVER, False, ADDR),
        (841, "REQUEST", SERVER, False, ADDR),
    ]  # at least 60 s apart
    assert later[4:6] == [(875, "REQUEST", BROADCAST, True, ADDR), (937, "REQUEST", BROADCAST, True, ADDR)]
    assert later[6][:2] == (997, "REQUEST") and later[7][:2] == (1000, "DISCOVER")
    assert [at for at, a in bench.log if isinstance(a, Deconfigure)] == [1000 * S]
    assert bench.client.lease is None


def test_a_renewed_lease_counts_from_the_request():
    bench = Bench().bound()
    bench.until(501 * S)  # the request left at 500 s
    bench.reply(m.ACK)
    assert bench.client.state == "BOUND"
    bench.until(1499 * S)
    assert bench.client.state == "REBINDING" and not any(isinstance(a, Deconfigure) for _, a in bench.log)
    bench.reply(m.ACK, server=SERVER + 1)  # any server may answer
    assert bench.client.state == "BOUND" and bench.client.lease.server == SERVER + 1


def test_another_address_at_renewal_is_refused():
    bench = Bench().bound()
    bench.until(501 * S)
    bench.reply(m.ACK, yiaddr=ADDR + 1)
    assert bench.client.state == "RENEWING" and bench.drops() == ["spoofed"]


def test_an_infinite_lease_has_no_timers():
    bench = Bench().bound(time=0xFFFFFFFF)
    bench.until(10 * S)
    assert bench.client.deadline is None


@pytest.mark.parametrize("state", ["REQUESTING", "RENEWING", "REBINDING", "REBOOTING"])
def test_a_nak_begins_anew(state):
    bench = Bench(replace(QUICK, request=ADDR if state == "REBOOTING" else 0))
    if state == "REQUESTING":
        bench.reply(m.OFFER)
    elif state != "REBOOTING":
        bench.bound()
        bench.until((501 if state == "RENEWING" else 876) * S)
    assert bench.client.state == state
    had = bench.client.lease is not None
    bench.reply(m.NAK)
    assert bench.client.state == "INIT" and bench.client.lease is None
    assert any(isinstance(a, Deconfigure) for _, a in bench.log) == had
    began = bench.now
    bench.until(began + 2 * S)
    assert bench.client.state == "SELECTING" and bench.sent()[-1][0] == began + 1 * S


def test_naks_for_ever_slow_the_client_down():
    bench = Bench()
    for _ in range(40):
        while bench.client.state != "REQUESTING":
            if bench.client.state == "SELECTING":
                bench.reply(m.OFFER)
            else:
                bench.until(bench.client.deadline)
        bench.reply(m.NAK)
    assert bench.now > 30 * 64 * S and len(bench.sent()) == 80


def test_init_reboot():
    """Section 4.4.2: the former address, without a server identifier."""
    bench = Bench(replace(QUICK, request=ADDR))
    _, name, send, request = bench.sent()[0]
    assert name == "REQUEST" and send.dst == BROADCAST and m.SERVER_ID not in request.options
    assert request.number(m.REQUESTED_ADDR) == ADDR and request.ciaddr == 0 and bench.client.state == "REBOOTING"
    bench.reply(m.ACK, yiaddr=ADDR + 1)
    assert bench.drops() == ["spoofed"]
    bench.reply(m.ACK)
    assert bench.client.state == "BOUND"
    other = Bench(replace(QUICK, request=ADDR))
    other.until(70 * S)
    found = [(name, r.number(m.REQUESTED_ADDR)) for _, name, _, r in other.sent()]
    assert found[:5] == [("REQUEST", ADDR)] * 4 + [("DISCOVER", ADDR)]


def test_the_address_is_probed_and_declined_if_it_is_in_use():
    bench = Bench(ClientSettings(fallback=None))
    bench.reply(m.OFFER)
    bench.reply(m.ACK)
    assert bench.client.state == "REQUESTING" and bench.client.lease is None
    bench.until(3 * S)
    probes = [at for at, a in bench.log if a == SendArp(0, ADDR)]
    assert 1 <= len(probes) <= 3
    bench.client.arp(ADDR, 0x020000000099, 0, bench.now)
    bench.collect()
    _, name, send, message = bench.sent()[-1]
    assert (name, send.dst) == ("DECLINE", BROADCAST) and message.number(m.REQUESTED_ADDR) == ADDR
    assert message.number(m.SERVER_ID) == SERVER and m.PARAMETERS not in message.options
    began = bench.now
    bench.until(began + 9 * S)
    assert bench.sent()[-1][1] == "DECLINE"
    bench.until(began + 11 * S)  # section 3.1 (5): at least 10 s
    assert bench.sent()[-1][1] == "DISCOVER"


def test_a_free_address_is_used_after_three_probes_and_announced_twice():
    bench = Bench(ClientSettings(fallback=None))
    bench.reply(m.OFFER)
    bench.reply(m.ACK)
    bench.client.arp(ADDR + 1, 0x020000000099, ADDR + 2, 0)  # another address
    bench.client.arp(0, MAC, ADDR, 0)  # the client's own probe
    bench.until(20 * S)
    probes = [at for at, a in bench.log if a == SendArp(0, ADDR)]
    told = [at for at, a in bench.log if a == SendArp(ADDR, ADDR)]
    (used,) = (at for at, a in bench.log if isinstance(a, Configure))
    assert (
        len(probes) == 3
        and probes[0] <= 1 * S
        and all(1 * S <= b - a <= 2 * S for a, b in zip(probes, probes[1:], strict=False))
    )
    assert used == probes[-1] + 2 * S and told == [used, used + 2 * S]


def test_release_and_inform():
    bench = Bench().bound()
    bench.client.release(bench.now)
    bench.collect()
    _, name, send, message = bench.sent()[-1]
    assert (name, send.dst, send.link) == ("RELEASE", SERVER, False) and message.ciaddr == ADDR
    assert message.number(m.SERVER_ID) == SERVER and bench.client.deadline is None
    bench.client.inform(ADDR, bench.now)
    bench.collect()
    assert bench.sent()[-1][1] == "INFORM" and bench.sent()[-1][3].ciaddr == ADDR
    bench.reply(m.ACK, yiaddr=0, options={m.DOMAIN_NAME: b"example.org"})
    assert bench.client.informed[m.DOMAIN_NAME] == b"example.org" and bench.client.lease is None


BAD_OFFERS = {
    "no address": {"yiaddr": 0},
    "loopback": {"yiaddr": 0x7F000001},
    "multicast": {"yiaddr": 0xE0000001},
    "broadcast": {"yiaddr": 0xFFFFFFFF},
    "subnet's broadcast": {"yiaddr": 0x0A0000FF},
    "mask with holes": {"options": {m.SUBNET_MASK: b"\xff\0\xff\0"}},
    "no lease time": {"options": {m.LEASE_TIME: b""}},
    "a lease of 9 s": {"time": 9},
    "no server": {"options": {m.SERVER_ID: b"abc"}},
}


@pytest.mark.parametrize("kind", BAD_OFFERS)
def test_offers_that_cannot_be_right_are_dropped(kind):
    bench = Bench()
    bench.reply(m.OFFER, **BAD_OFFERS[kind])
    assert bench.client.state == "SELECTING" and bench.drops() == ["bad-offer"]


def test_spoofed_answers_are_dropped():
    bench = Bench()
    xid = bench.sent()[0][3].xid
    bench.reply(m.OFFER, xid=xid ^ 1)
    bench.reply(m.OFFER, chaddr=bytes(6))
    bench.reply(m.OFFER, op=1)
    bench.reply(m.ACK)  # no one asked for it yet
    bench.give(b"junk")
    assert bench.drops() == ["not-ours"] * 3 + ["wrong-state", "malformed"] and bench.client.state == "SELECTING"
    bench.reply(m.OFFER)
    bench.reply(m.ACK, server=SERVER + 1)
    bench.reply(m.NAK, server=SERVER + 1)
    assert bench.client.state == "REQUESTING" and bench.drops()[5:] == ["spoofed"] * 2
    bench.reply(m.ACK)
    assert bench.client.state == "BOUND"


def test_identifiers_come_from_the_seed_and_cannot_be_guessed_from_earlier_ones():
    def sample(seed):
        bench, found = Bench(seed=seed), []
        for _ in range(100):
            bench.reply(m.OFFER)
            bench.reply(m.NAK)
            bench.until(bench.client.deadline)
            found.append(bench.sent()[-1][3].xid)
        return found

    first = sample(1)
    assert first == sample(1) and first != sample(2) and len(set(first)) == 100
    assert len({(b - a) & 0xFFFFFFFF for a, b in zip(first, first[1:], strict=False)}) == 99


# -- link-local addresses --------------------------------------------------------------------------------------------


def test_without_a_server_the_client_takes_a_link_local_address_and_still_looks_for_one():
    bench = Bench(ClientSettings(fallback=10 * S))
    bench.until(60 * S)
    (used,) = ((at, a.lease) for at, a in bench.log if isinstance(a, Configure))
    at, lease = used
    assert (
        14 * S <= at <= 17 * S
        and lease.addr >> 16 == 0xA9FE
        and 1 <= lease.addr >> 8 & 0xFF <= 254
        and lease.prefixlen == 16
    )
    assert bench.client.state == "SELECTING"
    bench.reply(m.OFFER)
    bench.reply(m.ACK)
    bench.until(bench.now + 10 * S)
    kinds = [type(a) for _, a in bench.log if isinstance(a, Configure | Deconfigure)]
    assert (
        kinds == [Configure, Deconfigure, Configure] and bench.client.local is None and bench.client.lease.addr == ADDR
    )


def local(until=20 * S):
    """A link-local machine that has an address, and a function that lets time pass."""
    machine = LinkLocal(MAC, 1)
    log = []

    def run(to):
        while machine.deadline is not None and machine.deadline <= to:
            now = machine.deadline
            machine.timeout(now)
            log.extend((now, a) for a in machine.take())

    machine.start(0)
    run(until)
    return machine, log, run


def test_link_local_probes_announces_and_defends_once():
    machine, log, run = local()
    addr = machine.lease.addr
    assert [a for _, a in log if isinstance(a, SendArp)] == [SendArp(0, addr)] * 3 + [SendArp(addr, addr)] * 2
    machine.arp(addr, 0x99, 0, 30 * S)
    assert machine.lease is not None  # the stack defends the address with an announcement
    machine.arp(addr, 0x99, 0, 45 * S)  # more than 10 s later
    assert machine.lease is not None
    machine.arp(addr, 0x99, 0, 50 * S)  # less than 10 s after the last conflict
    assert machine.lease is None and machine.addr != addr
    assert any(isinstance(a, Deconfigure) for a in machine.take())
    run(70 * S)
    assert machine.lease is not None and machine.lease.addr == machine.addr


def test_link_local_addresses_that_are_in_use_are_passed_over_more_and_more_slowly():
    """RFC 3927 2.2.1: after ten conflicts, one attempt in 60 s."""
    machine, _, run = local(until=0)
    tried, now = [], 0
    for _ in range(12):
        tried.append(machine.addr)
        before = machine.deadline
        machine.arp(0, 0x99, machine.addr, now)  # another host probes for it
        now = max(now, before)
    assert len(set(tried)) == 12 and machine.deadline >= now + 60 * S - 2 * S
    assert LinkLocal(MAC, 1).rng.u32() == LinkLocal(MAC, 1).rng.u32() != LinkLocal(MAC + 1, 1).rng.u32()
