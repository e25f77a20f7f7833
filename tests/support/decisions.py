"""Simulated runs that together make every kind of event and every timer of the core (probe.KINDS, probe.TIMERS)."""

from collections.abc import Callable
from typing import Any

import pystack_c.const as C
from pystack.sim.network import MS, Network, S
from pystack.sim.programs import datagram, raw, sleep, spawn, stream
from pystack.testing.lab import Lab, lab_net, pattern
from pystack.testing.peer import Peer, PeerConn, mss_option, with_tos
from pystack.testing.peer import build as segment
from pystack.testing.routed import RoutedChain, echo
from pystack_c.base.address import addr_bytes, addr_text
from pystack_c.link import acd
from pystack_c.probe import Event, ListProbe, Probe
from pystack_c.services import serve
from pystack_c.sockets import udp
from pystack_c.tcp import sockopt, user
from tests import frames as f
from tests.sim import scenario
from tests.sim.sessions import Sessions
from tests.support.peer import Peer as UdpPeer

ECE, CWR, SYN, ACK = 0x40, 0x80, 0x02, 0x10
MSG_OOB = 1


def watch(net: Network, probe: Probe) -> None:
    """Give every host of the network the probe, which is told that a network begins."""
    begin = getattr(probe, "begin", None)
    if begin is not None:
        begin()
    for host in net.hosts.values():
        host.stack.probe = probe


def watched_lab(probe: Probe, *args: Any, **kwargs: Any) -> Lab:
    """A lab whose hosts have the probe."""
    lab = lab_net(*args, **kwargs)
    watch(lab.net, probe)
    return lab


def busy_network(probe: Probe) -> None:
    """A switched and routed network with losses: ARP, ICMP, UDP, fragments, forwarding, TCP."""
    net = Network(3)
    scenario.build(net)
    watch(net, probe)
    net.run(20 * S)


def sessions(probe: Probe) -> None:
    """TCP connections of all sorts over bad links."""
    for seed in range(2, 8):
        run = Sessions(seed, 4)
        watch(run.net, probe)
        run.run()


def reordering(probe: Probe) -> None:
    """A link that reorders, by RACK's lights."""
    lab = watched_lab(probe, 10 * MS, profile="linux", link={"rate": 20_000_000})
    lab.link.ab.hold(12, 20, 31, extra=4 * MS)
    listener = lab.listener()

    def take() -> Any:
        sock = yield listener.accept()
        yield sock.recv_exactly(200_000)

    def put() -> Any:
        sock = yield from lab.client()
        yield sock.sendall(pattern(200_000))

    lab.run(take(), put())


def scarce_memory(probe: Probe) -> None:
    """Unread and out-of-order data of two connections is more than all buffers may hold."""
    peer = Peer(tcp_rmem=400_000, tcp_wscale=3, tcp_mem_low=1000, tcp_mem_pressure=20_000, tcp_mem_high=30_000)
    peer.stack.probe = probe
    options = mss_option(1460) + b"\x01\x03\x03\x03"
    holes, unread = peer.established(options=options), peer.established(options=options)
    for number in range(1, 10):
        holes.rx(data=bytes(1000), seq=1000 * number)
    for _ in range(25):
        unread.rx(data=bytes(1000))
    unread.recv()


def tail_loss(probe: Probe) -> None:
    """The last two segments are lost: the probe finds out before the RTO."""
    lab = watched_lab(probe, 10 * MS, profile="linux")
    client, server = lab.connected()
    lab.link.ab.drop(2, 3)

    def put() -> Any:
        yield client.sendall(pattern(4000))
        yield sleep(2 * S)

    def take() -> Any:
        yield server.recv_exactly(4000)

    lab.run(put(), take())


def pacing(probe: Probe) -> None:
    """A socket with a limited rate."""
    lab = watched_lab(probe, 10 * MS, profile="linux")
    client, server = lab.connected()
    client.setsockopt(1, 47, 100_000)

    def put() -> Any:
        yield client.sendall(pattern(20_000))

    def take() -> Any:
        yield server.recv_exactly(10_000)

    lab.run(put(), take())
    client.abort()


def closed_window(probe: Probe) -> None:
    """A reader that pauses: zero window, probes, the window opens."""
    lab = watched_lab(probe, 10 * MS, profile="linux", tcp_rmem=4096, tcp_moderate_rcvbuf=False)
    client, server = lab.connected()

    def put() -> Any:
        yield client.sendall(pattern(20_000))

    def take() -> Any:
        yield sleep(3 * S)
        yield server.recv_exactly(20_000)

    lab.run(put(), take())


def keep_alive_and_wait(probe: Probe) -> None:
    """An idle connection with keep-alive, urgent data, and the waits at the end."""
    lab = watched_lab(probe, 10 * MS, profile="linux")
    client, server = lab.connected()
    client.setsockopt(1, 9, 1)
    client.setsockopt(6, 4, 1)
    lab.a.call(user.send, client.endpoint, b"!", MSG_OOB)
    lab.net.run(lab.net.now + 5 * S)
    client.close()
    lab.net.run(lab.net.now + 2 * S)
    lab.b.call(user.recv, server.endpoint, 100, 0)
    server.close()
    lab.net.run(lab.net.now + 200 * S)


def nobody_closes(probe: Probe) -> None:
    """FIN-WAIT-2 of an orphan."""
    lab = watched_lab(probe, 10 * MS, profile="linux")
    client, _ = lab.connected()
    client.close()
    lab.net.run(lab.net.now + 100 * S)


def small_path(probe: Probe) -> None:
    """A narrow link behind a router: path MTU discovery; ten minutes later the MTU is forgotten."""
    chain = RoutedChain([{"delay": MS}, {"delay": MS, "mtu": 1400}, {"delay": MS}], profile="linux")
    watch(chain.net, probe)
    listener = stream(chain.b)
    listener.bind("", 80)
    listener.listen()

    def take() -> Any:
        sock = yield listener.accept()
        yield sock.recv_exactly(20_000)

    def put() -> Any:
        sock = stream(chain.a)
        yield sock.connect(chain.addr, 80)
        yield sock.sendall(pattern(10_000))
        yield sleep(700 * S)
        yield sock.sendall(pattern(10_000))

    spawn(chain.net, take())
    spawn(chain.net, put())
    pinger = raw(chain.a, C.IPPROTO_ICMP)
    pinger.sendto(echo(1), chain.addr)
    chain.net.run(900 * S)


def source_route(probe: Probe) -> None:
    """A datagram over a router that it names."""
    chain = RoutedChain([{"delay": MS}, {"delay": MS}], accept_source_route=True)
    watch(chain.net, probe)
    receiver = datagram(chain.b)
    receiver.bind("", 53)
    sender = datagram(chain.a)
    sender.setsockopt(0, 4, b"\x83\x07\x04" + bytes((10, 0, 0, 2)))
    sender.sendto(b"hello", chain.addr, 53)
    chain.net.run(chain.net.now + S)


def refused(probe: Probe) -> None:
    """A datagram to an open port, one to a closed port, and a fragment that stays alone."""
    lab = watched_lab(probe, 10 * MS, profile="linux")
    sock = datagram(lab.a)
    sock.connect("10.0.0.2", 9)
    sock.sendto(b"hello")
    other = datagram(lab.b)
    other.bind("", 53)
    datagram(lab.a).sendto(b"hello", "10.0.0.2", 53)
    wire = lab.net.wire("w")
    lab.net.link(wire, lab.b, addrs=(None, "10.9.0.2/24"))
    lone = f.ipv4("10.9.0.1", "10.9.0.2", 17, bytes(800), fragment=0x2000)
    port = lab.b.port("eth1")
    lab.net.after(0, wire.send, f.ether(lone, dst=port.iface.mac))
    lab.net.run(lab.net.now + 60 * S)


def fast_open(probe: Probe) -> None:
    """Two connections with TCP Fast Open: the cookie, then the data in the SYN."""
    lab = watched_lab(probe, 10 * MS, profile="linux", client={"tcp_fastopen": 3}, server={"tcp_fastopen": 3})
    listener = lab.b.call(user.tcp_open, lab.b.stack)
    lab.b.call(user.bind, listener, 0, 80)
    lab.b.call(sockopt.setsockopt, listener, 6, 23, 5)
    lab.b.call(user.listen, listener, 5)
    for _ in range(2):
        sock = lab.a.call(user.tcp_open, lab.a.stack)
        lab.a.call(user.connect_fastopen, sock, b"q" * 100, 0x0A000002, 80)
        lab.net.run(lab.net.now + S)
        lab.a.call(user.abort, sock)
        lab.net.run(lab.net.now + S)


def marked(probe: Probe) -> None:
    """Congestion marks, seen and echoed."""
    peer = Peer(tcp_ecn=2)
    peer.stack.probe = probe
    peer.listener()
    (syn_ack,) = peer.segment(SYN | ECE | CWR, peer_irs(), options=mss_option(1000))
    conn = PeerConn(peer, None, 9, 80, (peer_irs() + 1) & 0xFFFFFFFF, 65535)
    conn.ack = syn_ack.end
    conn.rx()
    conn.tcb = next(t for t in peer.stack.tcp.all() if t.state == C.ESTABLISHED)
    for flags, tos in ((ACK, 3), (ACK | CWR, 2)):
        packet = segment(f.addr("10.0.0.2"), f.addr("10.0.0.1"), 9, 80, conn.seq, conn.ack, flags, data=b"x" * 10)
        peer.packet(with_tos(packet, tos))
        conn.seq += 10
    peer.call(user.send, conn.tcb, bytes(5000), 0)
    peer.take()
    peer.segment(ACK | ECE, conn.seq, (conn.ack + 1000) & 0xFFFFFFFF)


def peer_irs() -> int:
    """The other side's initial sequence number."""
    return 5000


def address_probe(probe: Probe) -> None:
    """Is an address free (RFC 5227)? One is, the other is not."""
    net = Network(1)
    a, b = net.host("a"), net.host("b")
    net.link(a, b, addrs=("10.0.0.1/24", "10.0.0.2/24"), delay=MS)
    watch(net, probe)
    for addr in ("10.0.0.7", "10.0.0.2"):
        a.call(acd.start, a.stack, a.port().iface, f.addr(addr))
    net.run(20 * S)


def groups(probe: Probe) -> None:
    """A host joins a group, a router asks for it, and a message with another TTL is dropped. A router of IGMPv2 asks, and the host leaves."""
    peer = UdpPeer()
    peer.stack.probe = probe
    ep = peer.call(udp.udp_open, peer.stack)
    group = addr_bytes(f.addr("239.1.2.3"))
    peer.call(udp.setsockopt, ep, 0, 35, group + addr_bytes(peer.addr))
    peer.run(2)
    query = bytes.fromhex("110aec7800000000027d0000")
    for ttl in (1, 2):
        peer.packet(f.ipv4("10.0.0.2", "224.0.0.1", 2, query, ttl=ttl), eth_dst=0x01005E000001)
        peer.run(2)
    query = bytes.fromhex("1164ee9b00000000")
    other = addr_bytes(f.addr("239.1.2.4"))
    peer.call(udp.setsockopt, ep, 0, 35, other + addr_bytes(peer.addr))
    peer.packet(f.ipv4("10.0.0.2", "224.0.0.1", 2, query, ttl=1), eth_dst=0x01005E000001)
    peer.call(udp.setsockopt, ep, 0, 36, other + addr_bytes(peer.addr))


def path_mtu_search(probe: Probe) -> None:
    """A path that drops what is longer than 1,400 bytes and says nothing, and a sender that finds out."""
    lab = watched_lab(probe, 10 * MS, client={"tcp_mtu_probing": 2, "tcp_init_ssthresh": 20 * 1460})
    lab.link.ab.set(mtu=1400)
    client, server = lab.connected()
    lab.upload(pattern(400_000), client, server)


def clamped(probe: Probe) -> None:
    """A router before a narrow link that lowers the MSS of SYNs."""
    chain = RoutedChain([{"delay": MS}, {"delay": MS, "mtu": 1400}, {"delay": MS}], ip_forward_mss=-1)
    watch(chain.net, probe)
    stream(chain.a).connect(chain.addr, 80).poll()
    chain.net.run(S)


def late_client(probe: Probe) -> None:
    """A service whose client begins a request and says no more, and two UDP services that are set upon each other."""
    net = Network(9)
    client, server = net.host("client"), net.host("server")
    net.link(client, server, delay=MS, addrs=("10.0.0.1/24", "10.0.0.2/24"))
    server.call(serve.stream, server.stack, "hello", 0, 80)
    for host in (client, server):
        host.call(serve.datagram, host.stack, "echo", 0, 2007)
    watch(net, probe)

    def program(request: bytes) -> Any:
        sock = stream(client)
        yield sock.connect("10.0.0.2", 80)
        yield sock.sendall(request)
        yield sock.recv(1000)
        sock.close()

    spawn(net, program(b"GET / HTTP"))
    spawn(net, program(b"GET / HTTP/1.0\r\n\r\n"))
    forger = datagram(client)
    forger.endpoint.lport = 2008
    forger.sendto(b"x", "10.0.0.2", 2007)
    net.run(60 * S)


def translated(probe: Probe) -> None:
    """A client behind an address translation: datagrams, an answer, a segment that begins no connection. The outer address goes away."""
    net = Network(1)
    pc, home, web = net.host("pc"), net.nat("home"), net.host("web")
    net.link(home, web, addrs=("192.0.2.1/24", "192.0.2.2/24"))
    net.link(pc, home, addrs=("10.0.0.2/24", "10.0.0.1/24"))
    pc.route("default", via="10.0.0.1")
    watch(net, probe)
    server = datagram(web)
    server.bind("0.0.0.0", 53)

    def serve() -> Any:
        got = yield server.recvfrom()
        server.sendto(b"answer", addr_text(got.src), got.sport)

    def ask() -> Any:
        client = datagram(pc)
        client.sendto(b"question", "192.0.2.2", 53)
        yield client.recvfrom()

    spawn(net, serve())
    spawn(net, ask())
    net.run(1 * S)
    stray = segment(f.addr("10.0.0.2"), f.addr("192.0.2.2"), 1, 80, 1, 1, SYN | ACK)
    mac = home.ports[1].iface.mac
    home.deliver(home.ports[1], f.ether(stray, 0x0800, 0x0200000000AA, mac))
    net.run(200 * S)
    spawn(net, ask())
    net.run(201 * S)
    home.stack.del_addr(home.ports[0].iface, f.addr("192.0.2.1"))


def filtered(probe: Probe) -> None:
    """A router with a packet filter: a rule traces and logs, another one asks a program, and the policy drops."""
    net = Network(1)
    pc, router, web = net.host("pc"), net.router("router"), net.host("web")
    net.link(pc, router, addrs=("10.0.0.2/24", "10.0.0.1/24"))
    net.link(router, web, addrs=("192.0.2.1/24", "192.0.2.2/24"))
    pc.route("default", via="10.0.0.1")
    web.route("default", via="192.0.2.1")
    watch(net, probe)
    where = {"family": "ip", "table": "filter"}
    base = {"type": "filter", "hook": "forward", "prio": 0, "policy": "drop"}
    trace = {"mangle": {"key": {"meta": {"key": "nftrace"}}, "value": 1}}
    router.nft(
        [
            {"table": {"family": "ip", "name": "filter"}},
            {"chain": {**where, "name": "forward", **base}},
            {"rule": {**where, "chain": "forward", "expr": [trace, {"log": {"prefix": "seen: "}}]}},
            {
                "rule": {
                    **where,
                    "chain": "forward",
                    "expr": [
                        {
                            "match": {
                                "op": "==",
                                "left": {"payload": {"protocol": "udp", "field": "dport"}},
                                "right": 53,
                            }
                        },
                        {"queue": {"num": 1}},
                    ],
                }
            },
        ]
    )
    router.nft_queue(1, lambda packet: True)
    client = datagram(pc)
    client.sendto(b"asked about", "192.0.2.2", 53)
    client.sendto(b"dropped", "192.0.2.2", 54)
    net.run(1 * S)


def multicast_router(probe: Probe) -> None:
    """A router asks for groups. A host joins one, a datagram is forwarded, the host leaves, and a router with a lower address takes over."""
    net = Network(1)
    a, r, b, other = net.host("a"), net.router("r"), net.host("b"), net.router("other")
    switch = net.switch("s")
    net.link(a, r, addrs=("10.0.0.2/24", "10.0.0.1/24"))
    for number, node in enumerate((other, r, b)):
        net.link(node, switch, addrs=(f"10.0.1.{number + 1}/24", None))
    a.route("default", via="10.0.0.1")
    watch(net, probe)
    r.igmp_proxy(["eth1"], "eth0")
    net.run(S)
    member = datagram(b)
    group = addr_bytes(f.addr("239.1.2.3")) + addr_bytes(f.addr("10.0.1.3"))
    member.setsockopt(0, 35, group)
    net.run(2 * S)
    source = datagram(a)
    source.setsockopt(0, 33, 8)
    source.sendto(b"data", "239.1.2.3", 9)
    net.run(3 * S)
    member.setsockopt(0, 36, group)
    net.run(10 * S)
    member.setsockopt(0, 35, group)
    other.igmp_proxy(["eth0"])
    net.run(20 * S)
    r.setup("set_iface", r.ports[1].iface, False)


def balanced(probe: Probe) -> None:
    """A load balancer with a service by translation, and one with direct return."""
    net = Network(1)
    client, lb, server = net.host("client"), net.balancer("lb"), net.host("server")
    net.link(client, lb, addrs=("192.0.2.1/24", "192.0.2.10/24"))
    net.link(lb, server, addrs=("10.0.0.1/24", "10.0.0.2/24"))
    server.route("default", via="10.0.0.1")
    watch(net, probe)
    for port, direct in ((53, False), (54, True)):
        lb.balance(f"192.0.2.10:{port}", [f"10.0.0.2:{port}"], proto="udp", direct=direct)
        datagram(client).sendto(b"question", "192.0.2.10", port)
    net.run(1 * S)


def redirected(probe: Probe) -> None:
    """A host believes the redirect of its first router, because the second one is on the same link."""
    net = Network(1)
    a, first, second = net.host("a", accept_redirects=True), net.router("r1"), net.router("r2")
    switch = net.switch("s")
    for n, host in enumerate((a, first, second), 1):
        net.link(host, switch, addrs=(f"10.0.0.{n}/24", None))
    a.route("default", via="10.0.0.2")
    first.route("10.9.0.0/16", via="10.0.0.3")
    net.introduce()
    watch(net, probe)
    sock = datagram(a)
    for _ in range(2):
        sock.sendto(b"x", "10.9.0.1", 9)
        net.run(net.now + 1 * S)


RUNS: tuple[Callable[[Probe], None], ...] = (
    busy_network,
    sessions,
    reordering,
    scarce_memory,
    tail_loss,
    pacing,
    closed_window,
    keep_alive_and_wait,
    nobody_closes,
    small_path,
    source_route,
    refused,
    fast_open,
    marked,
    address_probe,
    groups,
    path_mtu_search,
    clamped,
    late_client,
    translated,
    filtered,
    multicast_router,
    balanced,
    redirected,
)


def collect() -> list[Event]:
    """The events of all runs."""
    probe = ListProbe()
    for run in RUNS:
        run(probe)
    return probe.events
