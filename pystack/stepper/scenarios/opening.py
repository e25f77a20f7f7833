"""Scenarios of connections that open and close, and of some that fail to."""

from collections.abc import Generator
from typing import Any

from pystack.addresses import parse_addr
from pystack.sim.network import MS, Network, S
from pystack.sim.programs import spawn, stream
from pystack.stepper.scenarios.base import B, connected, finish, listener, pair, pattern, scenario
from pystack_c.tcp import user

#: the MAC address of the router through which the flood arrives
GATEWAY = 0x0200000000FE


@scenario(
    "handshake",
    "Three segments open a connection",
    "Why three segments, and what does each of them say?",
    look='event.kind == "state" and state == ESTABLISHED and host == "a"',
    mechanism="handshake",
    tries=(
        ("drop=1", "the SYN was lost"),
        ("drop=2", "the SYN-ACK was lost"),
        ("drop=3", "the last ACK was lost"),
    ),
    pane="states",
)
def handshake(net: Network) -> None:
    """Host a connects to a listener on b. The SYN carries the initial sequence number of a. The SYN-ACK acknowledges it
    and carries that of b, and the ACK acknowledges that one. Host a is ESTABLISHED one round trip after its SYN, and b
    half a round trip later.
    """
    a, b, _ = pair(net, delay=10 * MS)
    connected(net, a, b)
    net.run(net.now + 50 * MS)


@scenario(
    "http-get",
    "A whole HTTP exchange, from SYN to the last ACK",
    "Why do four segments come at once, before any of them is acknowledged?",
    look='event.kind == "out" and event.fields.length > 1000 and host == "b"',
    mechanism="data",
    tries=(
        ("set=b:tcp_init_cwnd=1", "b might send only one segment at the beginning"),
        ("delay=100ms", "each way took 100 ms"),
    ),
    pane="sequence",
)
def http_get(net: Network) -> None:
    """Host a opens a connection and sends a request in one small segment. Host b answers with 5,000 bytes in four segments
    and closes. The exchange takes three round trips: one to open, one for request and answer, and one to close.
    """
    a, b, _ = pair(net, delay=10 * MS)
    waiting = listener(b)
    body = pattern(5000)

    def serve() -> Generator[Any, Any, None]:
        sock = yield waiting.accept()
        yield sock.recv(1024)
        head = f"HTTP/1.0 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        yield sock.sendall(head + body)
        sock.close()

    def get() -> Generator[Any, Any, None]:
        sock = stream(a)
        yield sock.connect(B, 80)
        yield sock.sendall(b"GET / HTTP/1.0\r\nHost: b\r\n\r\n")
        yield sock.recv_all()
        sock.close()

    finish(net, spawn(net, serve()), spawn(net, get()))
    net.run(net.now + 100 * MS)


@scenario(
    "simultaneous-open",
    "Both sides connect at once",
    "What happens if both hosts send a SYN and neither listens?",
    look='event.kind == "state" and state == SYN_RECEIVED',
    mechanism="simultaneous-open",
    pane="states",
)
def simultaneous_open(net: Network) -> None:
    """Hosts a and b connect to each other from and to port 5000 at the same time. Each receives a SYN in SYN-SENT, goes to
    SYN-RECEIVED and answers with a SYN-ACK. Both are ESTABLISHED after four segments, and there is one connection.
    """
    a, b, _ = pair(net, delay=10 * MS)

    def connect(host: Any, to: str) -> Generator[Any, Any, None]:
        sock = stream(host)
        sock.bind("", 5000)
        yield sock.connect(to, 5000)

    finish(net, spawn(net, connect(a, B)), spawn(net, connect(b, "10.0.0.1")))
    net.run(net.now + 50 * MS)


@scenario(
    "syn-flood",
    "More SYNs than the queue holds",
    "How can the listener serve an honest client without remembering every SYN?",
    look='event.kind == "out" and "cookie" in event.reason',
    mechanism="syn-cookie",
    tries=(("set=b:tcp_syncookies=0", "b did not send SYN cookies"),),
    pane="states",
)
def syn_flood(net: Network) -> None:
    """Forty SYNs arrive from forged addresses that will never answer. The listener on b holds eight half-open connections
    at most. When its queue is full, it answers with SYN cookies and keeps no state. The honest client c connects during
    the flood.
    """
    b = net.host("b", tcp_max_syn_backlog=8)
    c = net.host("c")
    switch, flood = net.switch("switch"), net.wire("flood")
    for node in (b, c, flood):
        net.link(node, switch, delay=5 * MS)
    b.addr(f"{B}/24")
    c.addr("10.0.0.3/24")
    net.introduce()
    b.route("default", via="10.0.0.254")
    b.neighbor("10.0.0.254", GATEWAY)
    waiting = listener(b)
    for number in range(40):
        source = f"192.0.2.{100 + number}"
        net.after(number * MS, flood.send, _syn(source, number, b.port().iface.mac))

    def connect() -> Generator[Any, Any, None]:
        sock = stream(c)
        yield sock.connect(B, 80)
        yield sock.sendall(b"hello")

    def accept() -> Generator[Any, Any, bytes]:
        sock = yield waiting.accept()
        return (yield sock.recv_exactly(5))

    net.run(net.now + 20 * MS)
    finish(net, spawn(net, connect()), spawn(net, accept()))
    net.run(net.now + 100 * MS)


def _syn(source: str, number: int, mac: int) -> bytes:
    """Return a SYN with correct checksums, as an attacker writes it."""
    import struct

    from pystack.phy.segmenter import ones_sum
    from pystack_c.base.address import v4_bits

    src, dst = v4_bits(parse_addr(source)), v4_bits(parse_addr(B))
    tcp = struct.pack(">HHIIBBHHH", 1024 + number, 80, 1000 * number, 0, 0x50, 2, 64000, 0, 0)
    pseudo = struct.pack(">IIBBH", src, dst, 0, 6, len(tcp))
    tcp = tcp[:16] + (ones_sum(pseudo + tcp) ^ 0xFFFF).to_bytes(2, "big") + tcp[18:]
    ip = struct.pack(">BBHHHBBHII", 0x45, 0, 20 + len(tcp), number, 0, 64, 6, 0, src, dst)
    ip = ip[:10] + (ones_sum(ip) ^ 0xFFFF).to_bytes(2, "big") + ip[12:]
    return mac.to_bytes(6, "big") + GATEWAY.to_bytes(6, "big") + b"\x08\x00" + ip + tcp


@scenario(
    "reset",
    "Two ways to get a RST",
    "Why was my connection refused, and why was it reset?",
    look=(
        'event.kind == "state" and event.fields.old == "SYN-SENT" and event.fields.new == "CLOSED"',
        'event.kind == "state" and "reset" in event.reason',
    ),
    mechanism="reset",
    pane="states",
)
def reset(net: Network) -> None:
    """Host a connects to port 81 of b, but no socket listens there. Host b answers with a RST, and connect() fails with
    ECONNREFUSED. Then a connects to port 80. Host b accepts the connection and aborts it. The RST takes a from
    ESTABLISHED to CLOSED, and recv() fails with ECONNRESET.
    """
    a, b, _ = pair(net, delay=10 * MS)
    waiting = listener(b)

    def serve() -> Generator[Any, Any, None]:
        sock = yield waiting.accept()
        sock.abort()

    def ask() -> Generator[Any, Any, int]:
        refused = stream(a)
        try:
            yield refused.connect(B, 81)
        except ConnectionRefusedError:
            refused.close()
        sock = stream(a)
        yield sock.connect(B, 80)
        try:
            yield sock.recv()
        except ConnectionResetError as error:
            return error.errno or 0
        return 0

    finish(net, spawn(net, serve()), spawn(net, ask()))
    net.run(net.now + 50 * MS)


@scenario(
    "time-wait",
    "The side that closes first must wait",
    "Why does the connection not go away when both sides have closed?",
    look='event.kind == "state" and state == TIME_WAIT',
    mechanism="time-wait",
    tries=(("deliver=7", "the last ACK arrived"),),
    pane="states",
)
def time_wait(net: Network) -> None:
    """Host a closes first. It goes through FIN-WAIT-1 and FIN-WAIT-2, and the FIN of b takes it to TIME-WAIT. The last ACK
    is lost, so b retransmits its FIN. Host a can answer only because it still remembers the connection. After 60 s it
    deletes the connection.
    """
    a, b, link = pair(net, delay=10 * MS)
    client, server = connected(net, a, b)

    def leave() -> Generator[Any, Any, None]:
        client.shutdown()
        yield client.recv_all()
        client.close()

    def follow() -> Generator[Any, Any, None]:
        yield server.recv_all()
        link.ab.drop(1)
        server.close()

    finish(net, spawn(net, leave()), spawn(net, follow()))
    net.run(net.now + 70 * S)


@scenario(
    "tfo",
    "Fast Open: data in the SYN",
    "How can the server have the request before the handshake is complete?",
    look='event.kind == "out" and event.fields.length > 0 and event.fields.flags % 4 >= 2',
    mechanism="fast-open",
    tries=(("set=b:tcp_fastopen=0", "b did not support Fast Open"),),
    pane="sequence",
)
def tfo(net: Network) -> None:
    """The first connection asks for a cookie in its SYN and sends its request after the handshake. The second one sends
    the cookie and the request in the SYN, so the application on b has the request one round trip earlier.
    """
    a, b, _ = pair(net, a={"tcp_fastopen": 3}, b={"tcp_fastopen": 3}, delay=10 * MS)
    waiting = listener_fastopen(b)

    def serve() -> Generator[Any, Any, None]:
        for _ in range(2):
            sock = yield waiting.accept()
            yield sock.recv_exactly(100)
            yield sock.sendall(bytes(100))
            yield sock.recv_all()
            sock.close()

    def ask() -> Generator[Any, Any, None]:
        for _ in range(2):
            sock = stream(a)
            taken = a.call(user.connect_fastopen, sock.endpoint, bytes(100), parse_addr(B), 80)
            if not taken:
                yield sock.sendall(bytes(100))
            yield sock.recv_exactly(100)
            sock.close()

    finish(net, spawn(net, serve()), spawn(net, ask()))
    net.run(net.now + 50 * MS)


def listener_fastopen(host: Any) -> Any:
    """Return a listening socket with TCP_FASTOPEN."""
    sock = stream(host)
    sock.bind("", 80)
    sock.setsockopt(6, 23, 5)
    sock.listen(5)
    return sock
