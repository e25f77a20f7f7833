"""Targets of the fuzzer (targets.py) for DHCP and DNS: hostile messages, other packets and time."""

from typing import Any


class Moves:
    """Takes numbers and bytes off the front of an input; zeros and nothing where it ends."""

    def __init__(self, data: bytes):
        self.data = data
        self.at = 0

    def __bool__(self) -> bool:
        return self.at < len(self.data)

    def number(self) -> int:
        """The next byte."""
        piece = self.some(1)
        return piece[0] if piece else 0

    def some(self, size: int) -> bytes:
        """So many bytes, or fewer at the end."""
        piece = self.data[self.at : self.at + size]
        self.at += size
        return piece


def dhcp(data: bytes) -> None:
    """Messages of servers, clients and relays, bytes that are none, ARP packets and time, in a network with one of each."""
    from pystack.dhcp import ClientSettings, Probing
    from pystack.dhcp import message as m
    from pystack.dhcp.packets import write_arp, write_udp
    from pystack.sim import MS, Network, S
    from tests.support import invariants

    net = Network(1)
    switch, wire = net.switch("lan"), net.wire("w")
    settings = ClientSettings(probing=Probing(count=1, wait=100 * MS, silence=200 * MS), fallback=2 * S)
    server, client, router = net.host("server"), net.host("client", dhcp=settings), net.router("router")
    for host, address in ((server, "10.0.0.1/24"), (router, "10.0.0.254/24")):
        net.link(host, switch, delay=1 * MS, addrs=(address, None))
    net.link(client, switch, delay=1 * MS)
    net.link(wire, switch)
    agent = net.dhcp_server(server, "10.0.0.0/24", "10.1.0.0/24", pool=None, lease=20)
    net.link(router, net.switch("other"), addrs=("10.1.0.254/24", None))
    router.dhcp_relay("10.0.0.1", "eth1", circuit=b"x")
    moves = Moves(data)
    mac = bytes.fromhex("020000000099")

    def send(sport: int, dport: int, payload: bytes) -> None:
        packet = write_udp(0x0A000001 if sport == 67 else 0, 0xFFFFFFFF, sport, dport, payload)
        wire.send(b"\xff" * 6 + mac + b"\x08\x00" + packet)

    for _ in range(60):
        if not moves:
            break
        kind = moves.number()
        machine: Any = client.agents[0].machine if client.agents else None
        if kind < 120:  # a message that is nearly right
            to_client = kind & 1
            xid = machine._xid if machine is not None and kind & 2 else moves.number()
            chaddr = client.ports[0].iface.mac.to_bytes(6, "big") if kind & 4 else mac
            message = m.DhcpMessage(1 + to_client, xid=xid, chaddr=chaddr, yiaddr=0x0A000000 | moves.number())
            message.options[m.MESSAGE_TYPE] = bytes((moves.number() % 10,))
            for _ in range(kind >> 3 & 7):
                message.options[moves.number()] = moves.some(moves.number() & 15)
            if kind & 64:
                message.options |= {
                    m.SERVER_ID: m.addr_bytes(0x0A000001),
                    m.LEASE_TIME: (10 + moves.number()).to_bytes(4, "big"),
                }
            message.giaddr = 0x0A000000 | moves.number() if kind & 128 else 0
            message.ciaddr = 0x0A000000 | moves.number() if moves.number() & 1 else 0
            send(67 if to_client else 68, 68 if to_client else 67, m.write(message))
        elif kind < 180:  # bytes behind a header that is right, or bytes alone
            head = m.write(m.DhcpMessage(1 + (kind & 1), chaddr=mac))[: 240 if kind & 2 else 0]
            send(67 if kind & 1 else 68, 68 if kind & 1 else 67, head + moves.some(moves.number()))
        elif kind < 200:
            addr = 0x0A000000 | moves.number() if kind & 1 else getattr(machine and machine.local, "addr", 1) or 1
            packet = write_arp(0x020000000099, addr if kind & 2 else 0, addr)
            wire.send(b"\xff" * 6 + mac + b"\x08\x06" + packet)
        net.run(net.now + moves.number() * (S if kind & 1 else MS))
        for pool in agent.machine.pools:  # type: ignore[attr-defined]
            assert (
                len(pool.bindings) + len(pool.free) <= 256
                and len(pool.clients) <= 512
                and len(pool.ends) <= 4 * 256 + 64
            )
        for host in (server, client, router):
            invariants.check(host.stack)
            assert len(host.stack.endpoints) <= 8


def names(data: bytes) -> None:
    """Messages to an authoritative server, and messages of servers to a recursive resolver."""
    import dns.message
    import dns.name
    import dns.rdatatype
    import dns.rrset

    from pystack.dns.authority import Authority, Zone
    from pystack.dns.exchange import Question, Secret, read
    from pystack.dns.memory import Memory
    from pystack.dns.recursion import Recursion

    zone = Zone(
        "t.",
        "@ SOA ns h 1 2 3 4 5\n@ NS ns\nns A 10.0.0.1\n*.w A 10.0.0.2\nsub NS ns.sub\nns.sub A 10.0.0.3\na CNAME a\nb CNAME x.w\n",
    )
    authority = Authority([zone], lambda peer: True)
    moves = Moves(data)
    kind = moves.number()
    if kind & 1:
        rest = moves.some(4096)
        question = Question("b.t.", dns.rdatatype.A, Secret(1), 1232, False).wire
        for one in (rest, question[:12] + rest, question[: kind & 63] + rest):
            for tcp in (False, True):
                for answer in authority.answers(one, tcp, "10.0.0.9"):
                    assert len(answer) <= (65535 if tcp else 1232)
        return
    texts = ("t.", "a.t.", "b.t.", "sub.t.", "ns.sub.t.", ".", "evil.", "x.a.t.", "t.t.", "c.b.a.t.")
    types = ("A", "NS", "CNAME", "SOA", "TXT", "AAAA")

    def value(kind: str) -> str:
        if kind in ("NS", "CNAME"):
            return texts[moves.number() % len(texts)]
        return {"A": f"10.0.0.{moves.number()}", "SOA": f"a. b. 1 2 3 4 {moves.number()}", "TXT": "x", "AAAA": "::1"}[
            kind
        ]

    def section() -> list[Any]:
        found = []
        for _ in range(moves.number() & 3):
            kind = types[moves.number() % len(types)]
            found.append(
                dns.rrset.from_text(texts[moves.number() % len(texts)], moves.number(), "IN", kind, value(kind))
            )
        return found

    recursion = Recursion({"r.": "10.0.0.1"}, Secret(1), Memory(most=20))
    now = 0
    for _ in range(4):
        work = recursion.resolve(dns.name.from_text(texts[moves.number() % len(texts)]), dns.rdatatype.A, lambda: now)  # noqa: B023
        asked = 0
        try:
            question_: Any = next(work)
            while True:
                asked += 1
                message = dns.message.make_response(dns.message.make_query(question_.name, question_.rdtype))
                message.answer, message.authority, message.additional = section(), section(), section()
                bits = moves.number()
                message.flags |= 0x400 if bits & 1 else 0
                message.set_rcode(bits >> 1 & 3)  # type: ignore[arg-type]
                wire = bytearray(message.to_wire())
                if bits & 32 and len(wire) > 12:
                    wire[12 + bits % (len(wire) - 12)] ^= moves.number()
                question_ = work.send(read(bytes(wire)) if bits & 16 else message)
        except StopIteration as end:
            assert end.value.rcode in (0, 2, 3) and len(end.value.answer) <= 12
        assert asked <= 60 and len(recursion.memory) <= 40
        now += moves.number() * 1_000_000_000
