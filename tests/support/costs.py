"""What the cost oracle measures: targets, each fed with a list of (unit, times), and the bounds of each.

A target's input is a list of runs: a unit (bytes) and how often it comes one after the other. Such an input can be made twice as
long without a change of its kind, and then it must not take more than about twice the work: see tools/cost.py. A
target for the core reads a unit as one move: a frame that depends on the state of the connection, a write, time.
"""

import io
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from random import Random
from types import SimpleNamespace
from typing import Any

import pystack_c.const as C
from pystack_c.config import Config
from pystack_c.stack import Stack
from pystack_c.tcp import user
from tests.support import build

Run = tuple[bytes, int]
Input = list[Run]
HOST, PEER = 0x0A000001, 0x0A000002
MS = 1_000_000
M32 = 0xFFFFFFFF


def expand(given: Input) -> Iterator[bytes]:
    """The units one after the other."""
    for unit, times in given:
        for _ in range(times):
            yield unit


def length(given: Input) -> int:
    """Bytes in all."""
    return sum(len(unit) * times for unit, times in given)


def units(given: Input) -> int:
    """Units in all."""
    return sum(times for _, times in given)


@dataclass
class Target:
    """One thing to feed. Work is at most `fixed` and so much a byte and a unit: in lines, and in nanoseconds."""

    name: str
    run: Callable[[Input], Any]
    #: units that are worth trying
    words: tuple[bytes, ...]
    #: inputs to begin with
    seeds: tuple[Input, ...] = ()
    #: a new unit
    make: Callable[[Random], bytes] | None = None
    #: lines at most: for an input of any length, a byte, a unit
    lines: tuple[int, int, int] = (5000, 50, 0)
    #: lines beyond that, which the calls of the application or the expiry of timers in the input may take
    calls: "Callable[[Input], int] | None" = None
    #: nanoseconds at most (a slow machine's; what is quadratic takes thousands of times as much)
    nanoseconds: tuple[int, int, int] = (50 * MS, 4000, 0)
    #: bytes in use at most: fixed, a byte of input, a unit
    memory: tuple[int, int, int] = (4 << 20, 40, 0)
    #: the longest input in bytes, and in units
    longest: int = 16_000
    most_units: int = 16_000
    #: it runs the core: where that is compiled, lines say nothing
    core: bool = False
    notes: str = field(default="", compare=False)


# -- text and files ------------------------------------------------------------------------------------------------------


class _Wire:
    """A connection whose bytes are all there: `pieces` as recv gives them."""

    def __init__(self, pieces: list[bytes]):
        self.pieces = pieces[::-1]
        self.sent = 0

    def recv(self, size: int) -> bytes:
        """The next piece."""
        if not self.pieces:
            return b""
        piece = self.pieces.pop()
        if len(piece) > size:
            self.pieces.append(piece[size:])
            piece = piece[:size]
        return piece

    def send(self, data: bytes) -> int:
        """Count."""
        self.sent += len(data)
        return len(data)

    def setblocking(self, _: bool) -> None:
        """Nothing."""

    def shutdown(self, _: int) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""

    def _open_description(self) -> Any:
        """The service looks at the endpoint, whose send buffer is always empty here, and at the stack's clock, which stands."""
        return _OPEN


_OPEN = SimpleNamespace(
    host=SimpleNamespace(clock=lambda: 0, stack=SimpleNamespace(config=Config(), tcp_pressure=False)),
    endpoint=SimpleNamespace(raddr=PEER, last_send=0, sendbuf=SimpleNamespace(head=0, tail=0)),
)


class _Poller:
    """A poller for one connection, which is always ready."""

    def register(self, sock: Any, data: Any) -> None:
        """Nothing."""

    def unregister(self, sock: Any) -> None:
        """Nothing."""

    def watch(self, sock: Any, events: int) -> None:
        """Nothing."""

    def again(self, sock: Any) -> None:
        """Nothing."""


def http(pieces: list[bytes]) -> int:
    """The bytes of a connection to the HTTP service, without the service's loop. Bytes answered."""
    from pystack.services.exchange import OVER, Exchange
    from pystack.services.http import parse_head

    parse_head.cache_clear()
    exchange = Exchange()
    answered = 0
    for piece in (*pieces, b""):
        exchange.receive(piece)
        while exchange.pending():
            answered += len(exchange.take())
        if exchange.state == OVER:
            break
    return answered


def http_loop(pieces: list[bytes]) -> int:
    """The same through the service's loop, which also keeps the connection's deadlines."""
    from pystack.services.http import parse_head
    from pystack.services.httploop import HttpService

    parse_head.cache_clear()
    wire = _Wire(pieces)
    loop: Any = HttpService("http", wire, ("", 80))
    poller = _Poller()
    loop._admit(poller, wire)
    conn = loop._conns[wire]
    while not conn.closed:
        loop._ready(poller, conn)
    return wire.sent


def _segments(data: bytes, size: int = 65536) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


def trace(given: Input) -> Any:
    """Records behind a host's, packed into a recording, and replayed."""
    from pystack.trace import format as fmt
    from pystack.trace.replay import Replay, ReplayMismatch

    plain = TRACE_HEAD + b"".join(expand(given))
    data = b"PYSTACKT\1"
    for at in range(0, len(plain), 1 << 20):
        chunk = zlib.compress(plain[at : at + (1 << 20)], 1)
        data += struct.pack(">II", len(chunk), zlib.crc32(chunk)) + chunk
    player = None
    try:
        player = Replay(io.BytesIO(data), name="x")
        player.run()
    except (fmt.TraceError, ReplayMismatch):
        pass
    return player


def _record(kind: int, body: bytes) -> bytes:
    return bytes((kind,)) + body


TRACE_HEAD = (
    b"\x02\x01h\x011\x09\x00"  # a host
    b"\x04\x00\x00\x09add_iface\x07\x04\x05\x04eth0\x03\x02\x03\x04\x03\xb8\x17"
    b"\x03\x1bpystack_c.tcp.user:tcp_open\x03\x18pystack_c.tcp.user:close"
)


def pkt(given: Input) -> Any:
    """A script, parsed and run."""
    from pystack.pkt.cursor import TokenCursor
    from pystack.pkt.errors import ScriptError, Unsupported
    from pystack.pkt.lexer import Lexer
    from pystack.pkt.parser import Parser, Script
    from pystack.pkt.report import run_script
    from pystack.pkt.settings import ScriptSettings

    text = b"".join(expand(given)).decode("latin-1")
    try:
        script = Parser(Script("x", text), TokenCursor(Lexer(text, {}).tokens())).script()
    except (ScriptError, Unsupported):
        return None
    return run_script(script, ScriptSettings()).verdict


def code(given: Input) -> Any:
    """The code of a script."""
    from pystack.pkt.code import run_code
    from pystack.pkt.errors import Failure, ScriptError, Unsupported

    names: dict[str, Any] = {}
    try:
        run_code(b"".join(expand(given)).decode("latin-1"), 1, {"tcpi_rtt": 1}, names, [])
    except (ScriptError, Unsupported, Failure):
        pass
    return names


class _Scope:
    """Values for expressions."""

    def __getattr__(self, name: str) -> Any:
        return lambda *args: 7


def expression(given: Input) -> Any:
    """An expression of the stepper: compiled, and its value ten times."""
    from pystack.stepper.expr import Expression, ExpressionError

    scope: Any = _Scope()
    value = None
    try:
        made = Expression(b"".join(expand(given)).decode("latin-1"), ["a", "b"])
        for _ in range(10):
            value = made.value(scope)
    except (ExpressionError, ArithmeticError, ValueError, LookupError, AttributeError):
        pass
    return value


def nft(given: Input) -> Any:
    """Rules in nft's language: read, and printed again."""
    from pystack import nft as language
    from pystack.nft.source import parser

    parser()
    try:
        commands = language.parse(b"".join(expand(given)).decode("latin-1"))["nftables"]
    except language.NftError as error:
        return str(error)
    return language.text({"nftables": [one["add"] for one in commands if "add" in one and "element" not in one["add"]]})


# -- the core ------------------------------------------------------------------------------------------------------------


class Wire:
    """A stack with a listener and an accepted connection, and the moves that units stand for."""

    def __init__(self, **config: Any):
        settings = {
            "tcp_init_cwnd": 65535, "tcp_wmem": 64 << 20, "tcp_wmem_max": 64 << 20, "tcp_rmem": 8 << 20, "tcp_sack_whole": False,
            **config,
        }  # fmt: skip
        known = Config().as_dict()
        self.stack = Stack(1, Config().update({k: v for k, v in settings.items() if k in known}), "host")
        self.now = 1_000_000_000
        self.stack.now = self.now
        self.iface = self.stack.add_iface("eth0", C.LINK_ETHERNET, build.MAC_HOST, 1500, False, 0)
        self.stack.add_addr(self.iface, HOST, 24)
        self.stack.add_neighbor(self.iface, PEER, build.MAC_PEER)
        self.count = 0
        self.sent = 0
        self.listener = user.tcp_open(self.stack, self.now)
        user.bind(self.listener, 0, 80, self.now)
        user.listen(self.listener, 100, self.now)
        self.tcb: Any = None

    def connect(self, mss: int = 48) -> None:
        """A peer with SACK, timestamps off, a large window and a small MSS."""
        options = build.opt_mss(mss) + build.opt_wscale(14) + build.OPT_SACK_OK
        self.ip(6, build.tcp(PEER, 5, HOST, 80, C.SYN, 0, 0, b"", options))
        half = [tcb for tcb in self.stack.tcp.all() if tcb.state == C.SYN_RECEIVED][0]
        self.ip(6, build.tcp(PEER, 5, HOST, 80, C.ACK, 1, half.snd_nxt))
        self.tcb = user.accept(self.listener, self.now)

    def frame(self, frame: bytes) -> None:
        """A frame comes in; what the stack says is counted."""
        self.count += 1
        self.now += 10_000
        deadline = self.stack.poll_timeout()
        if deadline is not None and deadline <= self.now:
            self.stack.handle_timeout(self.now)
            self.drain()
        self.stack.receive(self.iface, frame, self.now)
        self.drain()

    def ip(self, proto: int, body: bytes, src: int = PEER, **fields: Any) -> None:
        """A packet of the peer."""
        self.frame(build.ether(build.ipv4(src, HOST, proto, body, **fields)))

    def drain(self) -> None:
        """Take what there is."""
        while self.stack.poll_transmit(self.now) is not None:
            self.sent += 1
        while self.stack.poll_event() is not None:
            pass

    def elapse(self, ns: int) -> None:
        """Time passes, with at most some timers."""
        end = self.now + ns
        for _ in range(50):
            deadline = self.stack.poll_timeout()
            if deadline is None or deadline > end:
                break
            self.now = max(self.now, deadline)
            self.stack.handle_timeout(self.now)
            self.drain()
        self.now = max(self.now, end)


def _safe(call: Callable[..., Any], *args: Any) -> Any:
    try:
        return call(*args)
    except OSError:
        return None


def writes(given: Input) -> int:
    """Return the lines for the segments that the writes of a `tcp` input fill: 900 to send each, and 900 for each of two retransmissions.

    The stack's own SACK blocks may leave 12 of the 48 bytes of a segment to the data. At most two retransmissions of
    each segment are usual where a round trip takes no longer than a frame: the proportional rate reduction lets one
    leave, and then RACK's reordering timer expires before the next ACK and finds that one lost, too (RFC 8985 6.2
    step 5, where cwnd allows a new flight, as on Linux).
    """
    moves = [(*unit.ljust(2, b"\0")[:2], times) for unit, times in given]
    return sum(3 * 900 * 4 * (size % 4 + 1) * times for move, size, times in moves if move % 6 == 0)


def tcp(given: Input, **config: Any) -> Wire:
    """A connection: units of eight bytes (move, a, b, c, d, e, f, g)."""
    wire = Wire(**config)
    wire.connect()
    tcb = wire.tcb
    for n, unit in enumerate(expand(given)):
        move, a, b, c, d, e, f, g = unit.ljust(8, b"\0")[:8]
        if tcb.state in (C.CLOSED, C.TIME_WAIT):
            break
        if move % 6 == 0:
            _safe(user.send, tcb, bytes(48 * (a % 4 + 1)), 0, wire.now)
            wire.drain()
        elif move % 6 in (1, 2):
            flight = (tcb.snd_nxt - tcb.snd_una) & M32
            ack = (tcb.snd_una + (min(flight, 48 * (a & 3)) if move % 6 == 1 else 0)) & M32
            blocks = []
            for i in range(b & 3):
                start = (
                    (c * 48 + (n * (d % 4 + 1) * (i + 1)) + e) % (flight + 1) if f & 1 else max(0, flight - c - (n * d))
                )
                blocks.append((tcb.snd_una + start, tcb.snd_una + start + (e + 1 if f & 2 else 48 * (e & 7) + 1)))
            options = build.opt_sack(*blocks) if blocks else b""
            wire.ip(6, build.tcp(PEER, 5, HOST, 80, C.ACK, tcb.rcv_nxt, ack, b"", options, 65535 - g))
        elif move % 6 == 3:
            seq = (tcb.rcv_nxt + c + (n * (d + 1) if f & 1 else max(0, 60_000 - n * (d + 1)) if f & 2 else 0)) & M32
            flags = C.ACK | (C.URG if f & 4 else 0)
            wire.ip(
                6,
                build.tcp(
                    PEER, 5, HOST, 80, flags, seq, tcb.snd_nxt, bytes(e & 15 or 1), b"", 65535, g if f & 4 else 0
                ),
            )
        elif move % 6 == 4:
            wire.elapse(a * MS)
        else:
            _safe(user.recv, tcb, 1 << 16 if a & 1 else b + 1, 0, wire.now)
            wire.drain()
    return wire


def fragments(given: Input) -> Wire:
    """Pieces of datagrams: (ident, offset, step, size, more, protocol)."""
    wire = Wire()
    for n, unit in enumerate(expand(given)):
        ident, offset, step, size, flags, proto = unit.ljust(6, b"\0")[:6]
        at = (offset * 4 + n * (step % 5) if flags & 2 else max(0, 8000 - offset - n * (step % 5))) & 0x1FFF
        ident = ident + n * (flags >> 3 & 3)
        wire.ip(
            (17, 1, 6, 99)[proto & 3],
            bytes((size & 7) * 8 or 8),
            ident=ident & 0xFFFF,
            frag=at | (0x2000 if flags & 1 else 0),
        )
    return wire


def handshakes(given: Input) -> int:
    """Return the lines for the SYN-ACKs that a `neighbours` input lets the stack retransmit: 900 for each.

    There are at most `tcp_synack_retries` (5) for each SYN, and 50 timers for each unit in which time passes.
    """
    moves = [(unit[0] % 4 if unit else 0, times) for unit, times in given]
    return 900 * min(
        5 * sum(times for move, times in moves if move == 1), 50 * sum(times for move, times in moves if move == 3)
    )


def neighbours(given: Input) -> Wire:
    """ARP of many, and SYNs and echoes from many that nobody knows: (move, address, step, ...)."""
    wire = Wire()
    for n, unit in enumerate(expand(given)):
        move, a, step, b = unit.ljust(4, b"\0")[:4]
        addr = 0x0A000003 + (a + n * (step & 3)) % 250
        mac = 0x020000010000 + addr
        if move % 4 == 0:
            wire.frame(build.arp(1 + (b & 1), mac + (b >> 4), addr, 0, HOST))
        elif move % 4 == 1:
            wire.ip(6, build.tcp(addr, 1024 + b, HOST, 80, C.SYN, n, 0), addr)
        elif move % 4 == 2:
            wire.ip(1, build.icmp(8, 0, n, bytes(b)), addr)
        else:
            wire.elapse(b * MS)
    return wire


def options(given: Input) -> Wire:
    """IP and TCP options: a unit is the options of one packet, its first byte says of which."""
    wire = Wire()
    wire.connect()
    tcb = wire.tcb
    for n, unit in enumerate(expand(given)):
        raw = unit[1:41]
        if unit[:1] and unit[0] & 1:
            wire.ip(1, build.icmp(8, 0, n, b"x"), options=raw)
        elif unit[:1] and unit[0] & 2:
            wire.ip(6, build.tcp(PEER, 1000 + n, HOST, 80, C.SYN, n, 0, b"", raw))
        else:
            wire.ip(6, build.tcp(PEER, 5, HOST, 80, C.ACK, tcb.rcv_nxt, tcb.snd_nxt, b"", raw))
    return wire


def hello(given: Input) -> Wire:
    """The responder inside the core: what comes is a stream of requests."""
    from pystack_c.services import serve

    wire = Wire()
    _safe(user.close, wire.listener, wire.now)
    _safe(serve.stream, wire.stack, "hello", HOST, 80, wire.now)
    wire.ip(6, build.tcp(PEER, 5, HOST, 80, C.SYN, 0, 0, b"", build.opt_mss(1460)))
    half = [tcb for tcb in wire.stack.tcp.all() if tcb.state == C.SYN_RECEIVED]
    if not half:
        return wire
    tcb = half[0]
    wire.ip(6, build.tcp(PEER, 5, HOST, 80, C.ACK, 1, tcb.snd_nxt))
    for unit in expand(given):
        if tcb.state != C.ESTABLISHED:
            break
        wire.ip(6, build.tcp(PEER, 5, HOST, 80, C.ACK, tcb.rcv_nxt, tcb.snd_nxt, unit[:1400]))
    return wire


def _octets(low: int, high: int) -> Callable[[Random], bytes]:
    def make(rng: Random) -> bytes:
        return bytes(rng.choice((0, 1, 2, 3, 5, rng.randrange(256))) for _ in range(rng.randint(low, high)))

    return make


HTTP = (
    b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\n", b"x:", b" ", b"\t",
    b"\1", b"\r\n", b"a: b\r\n", b"a", b":", b"\r\n\r\n", b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\na\r\n",
    b"0\r\n\r\n", b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5000\r\n\r\n", b";", b"0", b"\n", b"\xff", b",", b"Connection: close,",
)  # fmt: skip
TRACE = (
    _record(1, b"\x09\x00"), _record(2, b"\x01h\x011\x09\x00"), _record(3, b"\x1bpystack_c.tcp.user:tcp_open"),
    _record(4, b"\x00\x00\x09add_route\x07\x04\x03\x00\x03\x00\x03\x00\x0b\x07\x01\x03\x02"), _record(5, b"\x00\x02\x01\x00\x00\x00"),
    _record(5, b"\x00\x02\x02\x00\x00\x2a" + b"\xff" * 6 + bytes(6) + b"\x08\x06" + bytes(28)), _record(6, b"\x00\x02"),
    _record(7, b"\x00\x02\x00\x00\x07\x00"), _record(7, b"\x00\x02\x01\x01\x07\x00"), _record(8, b"\x00\x0a\x03\x02"),
    _record(11, b"\x00\x00"), _record(12, b"\x00\x00"), _record(13, b"\x03"), _record(1, b"\x07\x02"), b"\x07\x01", b"\x00", b"\xff", b"\x80",
)  # fmt: skip
PKT = (
    b"0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n+0 bind(3, ..., ...) = 0\n+0 listen(3, 1) = 0\n", b"+0 < S 0:0(0) win 32792 <mss 1000>\n",
    b"+0 > S. 0:0(0) ack 1 <...>\n", b"+.1 < . 1:1(0) ack 1 win 32792\n", b"+0 accept(3, ..., ...) = 4\n", b"+0 write(4, ..., 1000) = 1000\n",
    b"+0 > P. 1:1001(1000) ack 1\n", b"* > . 1:1(0)\n", b"+1 `sysctl -w net.ipv4.tcp_sack=0`\n", b"+0 %{ assert tcpi_rtt > 0 }%\n", b"`", b'"', b"/*", b"*/",
    b"//", b"#ifdef X\n", b"#endif\n", b"#define A 1\n", b"1:", b"a:", b"::", b"[", b"]", b"{", b"(", b"f(", b")", b"|", b",", b" ", b"\n", b"\\", b"$(", b"#",
    b"A=$A$A;", b"if :; then ", b"fi;", b"echo a | ", b"%{", b"}%", b"+1", b"1.", b"~", b"<sack ", b"1:2 ", b"nop,",
)  # fmt: skip
CODE = (
    b"x = 9\n", b"x = x ** x\n", b"x = x * x\n", b"x = [x, x]\n", b"x = 'a' * 100\n", b"x += x\n", b"print(x)\n", b"assert tcpi_rtt\n", b"(", b")", b"[", b"]",
    b"9", b"**", b"*", b"+", b"1", b"<<", b"not ", b"-", b"x", b"'", b",", b" if x else ", b" and ", b"f'{x}'", b"x = str(x)\n", b"sum([x])", b"{1:",
)  # fmt: skip
EXPR = (
    b"tcb.cwnd", b"event.kind", b'"a"', b"1", b"(", b")", b"[", b"]", b" + ", b" * ", b" == ", b" in ", b" and ", b" or ", b"not ", b"-", b",",
    b"max(", b"len(", b"a.rto", b" if ", b" else ", b" < ", b"9" * 30, b"event.fields.x", b".", b" ",
)  # fmt: skip

NFT = (
    b"table ip t {\n", b"}\n", b"chain c {\n", b"type filter hook input priority 0; policy drop;\n", b"tcp dport 22 accept\n", b"ip saddr { ",
    b"10.0.0.1, ", b"10.0.0.0/8, ", b"1-5, ", b"} ", b"accept\n", b"define a = { 1, 2 }\n", b"define b = { $a, $a }\n", b"redefine a = { $b, $b }\n", b"tcp dport $a ",
    b"set s {\n", b"type ipv4_addr;\n", b"flags interval;\n", b"elements = { ", b"map m { type inet_service : verdict; elements = { ", b"22 : accept, ",
    b"add rule ip t c ", b"add element ip t s { 10.0.0.1 }\n", b"ct state new ", b"icmp id 5 ", b"meta mark set meta mark ", b"| 1 ", b"( ", b") ", b"$a", b". ",
    b"counter ", b"meta l4proto tcp ", b"\n", b";", b"#", b'"', b"\\\n", b"include \"x\"\n", b"9" * 30, b"x" * 30, b"ip daddr 10.0.0.1 ", b"flush ruleset\n", b"tcp flags syn,",
    b"jhash ip saddr . ", b"limit rate 5/second ", b"log prefix \"a\" ", b"vmap { ", b"dnat to 10.0.0.1:80 ", b"list ruleset\n", b"comment \"x\"\n", b"\xff",
)  # fmt: skip

TARGETS: dict[str, Target] = {
    target.name: target
    for target in (
        Target("http", lambda given: http(_segments(b"".join(expand(given)))), HTTP, longest=64_000, lines=(5000, 30, 0),
               seeds=([(HTTP[2], 1), (b"x:", 1), (b" ", 300), (b"\1", 1), (b"\r\n\r\n", 1)], [(HTTP[1], 50)])),
        Target("http trickle", lambda given: http(list(expand(given))), HTTP, longest=32_000, lines=(5000, 60, 60),
               seeds=([(HTTP[12], 1), (b"1\r\na\r\n", 200), (b"0\r\n\r\n", 1)],)),
        Target("http loop", lambda given: http_loop(_segments(b"".join(expand(given)))), HTTP, longest=64_000, lines=(5000, 30, 0),
               memory=(4 << 20, 200, 0), seeds=([(HTTP[1], 50)], [(HTTP[0], 50)])),
        Target("trace", trace, TRACE, make=_octets(1, 12), longest=100_000, lines=(30_000, 300, 0), memory=(48 << 20, 400, 0),
               seeds=tuple([(word, 40)] for word in TRACE[:12]), nanoseconds=(200 * MS, 20_000, 0)),
        Target("pkt", pkt, PKT, longest=8000, lines=(120_000, 900, 0), memory=(8 << 20, 2000, 0), nanoseconds=(300 * MS, 60_000, 0),
               seeds=([(word, 1) for word in PKT[:7]], [(b"/*", 500)], [(b"1:", 500)], [(b"a:", 500)], [(b'"\\', 500)])),
        Target("code", code, CODE, longest=4000, lines=(60_000, 1500, 0), memory=(8 << 20, 2000, 0), nanoseconds=(200 * MS, 60_000, 0),
               seeds=([(CODE[0], 1), (b"x = x * x\n", 40)], [(CODE[0], 1), (b"x = [x, x]\n", 40)], [(b"x = 9", 1), (b"**9", 9)])),
        Target("expression", expression, EXPR, longest=1000, lines=(20_000, 400, 0), nanoseconds=(100 * MS, 50_000, 0)),
        Target("nft", nft, NFT, longest=16_000, lines=(60_000, 1500, 0), memory=(8 << 20, 3000, 0), nanoseconds=(300 * MS, 100_000, 0),
               seeds=([(b"add rule ip t c ", 1), (b"counter ", 100)], [(b"define a = { 1, 2 }\n", 1), (b"redefine a = { $a, $a }\n", 40)],
                      [(b"table ip t {\nset s {\ntype ipv4_addr;\nelements = { ", 1), (b"10.0.0.1, ", 900), (b"} }\n}\n", 1)],
                      [(b"table ip t {\nchain c {\n", 1), (b"tcp dport 22 accept\n", 200), (b"}\n}\n", 1)], [(b"add rule ip t c ip saddr ", 1), (b"( ", 200)],
                      [(b"add rule ip t c meta mark set meta mark ", 1), (b"| 1 ", 60)])),
        Target("tcp", tcp, (), make=_octets(8, 8), most_units=600, longest=1 << 20, core=True, lines=(330_000, 0, 1600),
               calls=writes, nanoseconds=(300 * MS, 0, 150_000), memory=(4 << 20, 0, 1500),
               seeds=(
                   [(b"\0\x1f\0\0\0\0\0\0", 20), (b"\2\0\3\1\2\0\2\0", 100)],
                   [(b"\0\x1f\0\0\0\0\0\0", 20), (b"\2\0\1\1\0\0\3\0", 100)],
                   [(b"\0\x1f\0\0\0\0\0\0", 20), (b"\2\0\3\0\x30\0\1\0", 100)],
                   [(b"\0\0\0\0\0\0\0\0", 100), (b"\1\1\1\4\0\1\1\0", 100)],
                   [(b"\3\0\0\3\1\1\1\0", 100)], [(b"\3\0\0\3\1\1\2\0", 100)], [(b"\3\0\0\0\0\3\4\2", 100), (b"\5\0\1\0\0\0\0\0", 100)],
               )),
        Target("fragments", fragments, (), make=_octets(6, 6), most_units=600, longest=1 << 20, core=True, lines=(100_000, 0, 1500),
               nanoseconds=(200 * MS, 0, 150_000), memory=(4 << 20, 0, 2000),
               seeds=([(b"\0\0\2\1\3\0", 100)], [(b"\0\0\2\1\1\0", 100)], [(b"\0\0\0\1\x0b\0", 100)])),
        Target("neighbours", neighbours, (), make=_octets(4, 4), most_units=600, longest=1 << 20, core=True, lines=(100_000, 0, 2500),
               calls=handshakes, nanoseconds=(200 * MS, 0, 250_000), memory=(4 << 20, 0, 5000),
               seeds=([(b"\0\0\1\0", 100)], [(b"\1\0\1\0", 100)], [(b"\2\0\1\0", 100)])),
        Target("options", options, (), make=_octets(1, 41), most_units=600, longest=1 << 20, core=True, lines=(100_000, 0, 2500),
               nanoseconds=(200 * MS, 0, 250_000), memory=(4 << 20, 0, 5000),
               seeds=([(b"\1" + b"\1" * 40, 50)], [(b"\1\7\x27\4" + bytes(36), 50)], [(b"\2" + b"\1" * 40, 50)])),
        Target("hello", hello, HTTP, most_units=600, longest=1 << 20, core=True, lines=(100_000, 10, 2500),
               nanoseconds=(200 * MS, 1000, 250_000), memory=(4 << 20, 10, 5000), seeds=([(HTTP[1], 50)], [(b"G", 100)], [(b"\r\n", 100)])),
    )
}  # fmt: skip
