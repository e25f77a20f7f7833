"""The targets of the coverage-guided fuzzer: bytes in, an exception (or a sanitizer's report) where something is wrong.

What an input is refused by (OSError, TraceError, ScriptError ...) is no failure; anything else that comes out is. Each target
must do the same for the same bytes on each build: tests/fuzz/test_corpus.py runs the corpus on both.
"""

import importlib
import io
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.support import build, nametargets
from tests.support.costs import HOST, MS, PEER, Wire


class Bytes:
    """Takes values off the front of an input; zeros where it ends."""

    def __init__(self, data: bytes):
        self.data = data
        self.at = 0

    def __bool__(self) -> bool:
        return self.at < len(self.data)

    def number(self, size: int) -> int:
        """An unsigned number of so many bytes."""
        return int.from_bytes(self.some(size).ljust(size, b"\0"), "big")

    def some(self, size: int) -> bytes:
        """So many bytes, or fewer at the end."""
        piece = self.data[self.at : self.at + size]
        self.at += size
        return piece


def frame(data: bytes) -> None:
    """One frame into a fresh stack, as it is, and with its checksums put right."""
    from tests.support import invariants

    for one in (data, build.fixup(data) if len(data) > 34 else data):
        wire = Wire()
        wire.frame(one)
        invariants.check(wire.stack)


def sequence(data: bytes) -> None:
    """Frames, calls and time: the moves of one connection and of all that is around it."""
    import pystack_c.const as C
    from pystack_c.tcp import user
    from tests.support import invariants

    taken = Bytes(data)
    flags = taken.number(1)
    wire = Wire(
        tcp_congestion=("cubic", "reno", "bbr", "cubic")[flags & 3], tcp_ecn=flags >> 2 & 1, tcp_init_cwnd=10 + (flags >> 3 & 1) * 500,
        tcp_sack_whole=bool(flags & 16), tcp_timestamps=bool(flags & 32), tcp_rmem=3000 if flags & 64 else 1 << 18, tcp_wmem=1 << 18,
    )  # fmt: skip
    wire.connect((48, 536, 1460, 88)[flags & 3])
    tcb: Any = wire.tcb
    for _ in range(200):
        if not taken or tcb is None:
            break
        move = taken.number(1)
        if move < 110:
            seq = tcb.rcv_nxt + taken.number(2) - (0x4000 if move & 1 else 0)
            ack = tcb.snd_una + taken.number(2) - (0x4000 if move & 2 else 0)
            size = taken.number(1) * (1 if move & 4 else 8)
            bits = (C.ACK | taken.number(1)) & 0x1FF
            raw = taken.some(move >> 3 & 15) if move & 8 else b""
            wire.ip(6, build.tcp(PEER, 5, HOST, 80, bits, seq, ack, bytes(size), raw, taken.number(2), 0))
        elif move < 140:
            at = tcb.snd_una
            blocks = [(at + taken.number(2), at + taken.number(2)) for _ in range(1 + move % 3)]
            ack = at + (taken.number(1) * 8 if move & 1 else 0)
            wire.ip(6, build.tcp(PEER, 5, HOST, 80, C.ACK, tcb.rcv_nxt, ack, b"", build.opt_sack(*blocks)))
        elif move < 170:
            try:
                user.send(tcb, bytes(taken.number(2)), taken.number(1) & (C.MSG_OOB | 0x8000), wire.now)
            except OSError:
                pass
            wire.drain()
        elif move < 190:
            try:
                user.recv(tcb, taken.number(2) + 1, taken.number(1) & 3, wire.now)
            except OSError:
                pass
            wire.drain()
        elif move < 215:
            wire.elapse(taken.number(2) * MS)
        elif move < 225:
            quoted = build.ipv4(HOST, PEER, 6, struct.pack(">HHI", 80, 5, (tcb.snd_una + taken.number(1)) & 0xFFFFFFFF))
            wire.ip(1, build.icmp(3, taken.number(1) & 15, taken.number(2), quoted))
        elif move < 235:
            try:
                (user.shutdown(tcb, 1, wire.now) if move & 1 else user.close(tcb, wire.now))
            except OSError:
                pass
            wire.drain()
        else:
            wire.frame(
                build.fixup(build.ether(taken.some(taken.number(1)))) if move & 1 else taken.some(taken.number(1))
            )
        invariants.check(wire.stack)


def codecs(data: bytes) -> None:
    """The parsers of the wire, on the same bytes between different neighbours: one answer."""
    from pystack_c.packet import Packet
    from pystack_c.wire import arp, ethernet, icmpv4, ipv4, tcp, udp

    parsers = (ethernet.parse, arp.parse, ipv4.parse, icmpv4.parse, udp.parse, tcp.parse_tcp)
    which, body = data[:1], data[1:]
    if not which:
        return
    parse = parsers[which[0] % len(parsers)]
    answers = []
    for before, after in ((b"", b""), (b"\xff" * 7, b"\xff" * 70), (b"\0" * 7, b"\0" * 70)):
        pkt = Packet()
        at = len(before)
        pkt.frame = before + body + after
        pkt.end = pkt.l4_end = at + len(body)
        pkt.l2_off = pkt.ip_off = pkt.l4_off = pkt.data_off = at
        pkt.src, pkt.dst = HOST, PEER
        pkt_code = parse(pkt)
        answers.append((pkt_code, pkt.data_off - at if pkt_code == 0 else 0, pkt.sack if pkt_code == 0 else None))
    if answers.count(answers[0]) != len(answers):
        raise AssertionError(f"what is around the packet changes the answer: {answers}")
    wrong = ipv4.check_options(body[:40])
    if wrong < 0:
        ipv4.options_list(body[:40])
        ipv4.copied_options(body[:40])


def fragments(data: bytes) -> None:
    """Pieces of datagrams, any."""
    from tests.support import invariants

    wire = Wire(ipfrag_high_thresh=20_000)
    taken = Bytes(data)
    for _ in range(100):
        if not taken:
            break
        move = taken.number(1)
        frag, size = taken.number(2), taken.number(1)
        raw = taken.some(move >> 3 & 12) if move & 4 else b""
        wire.ip(
            (17, 1, 6, 99)[move & 3],
            bytes(size * (8 if move & 8 else 1)),
            ident=move >> 6,
            frag=frag & 0x3FFF,
            options=raw,
        )
        if move & 0x30 == 0x30:
            wire.elapse(size * 1000 * MS)
        invariants.check(wire.stack)


def options(data: bytes) -> None:
    """IP and TCP options of SYNs, segments and echoes."""
    import pystack_c.const as C
    from tests.support import invariants

    wire = Wire(accept_source_route=bool(data[:1] and data[0] & 1), tcp_fastopen=3, tcp_ecn=5)
    wire.connect()
    taken = Bytes(data[1:])
    for n in range(40):
        if not taken:
            break
        move = taken.number(1)
        raw = taken.some(move >> 2 & 40)
        tcb: Any = wire.tcb
        if move & 3 == 0:
            wire.ip(1, build.icmp(8, 0, n, b"x"), options=raw)
        elif move & 3 == 1:
            wire.ip(6, build.tcp(PEER, 1000 + n, HOST, 80, C.SYN | (move & 0xC0), n, 0, b"", raw))
        else:
            wire.ip(
                6,
                build.tcp(PEER, 5, HOST, 80, C.ACK, tcb.rcv_nxt, tcb.snd_nxt, b"x" * (move >> 7), raw),
                options=raw if move & 1 else b"",
            )
        invariants.check(wire.stack)


def http(data: bytes) -> None:
    """Bytes of a connection to the HTTP service, in pieces of a size that the first byte says."""
    from tests.support import costs

    size = data[0] * 4 + 1 if data else 1
    pieces = [data[at : at + size] for at in range(1, len(data), size)]
    costs.http(list(pieces))
    costs.http_loop(list(pieces))


def trace(data: bytes) -> None:
    """A recording: as it is, or (the first byte is odd) as the records of one with right checksums."""
    from pystack.trace.errors import TraceError
    from pystack.trace.replay import Replay, ReplayMismatch
    from tests.support.costs import TRACE_HEAD

    body = data[1:]
    if data[:1] and data[0] & 1:
        chunk = zlib.compress(TRACE_HEAD + body, 1)
        body = b"PYSTACKT\1" + struct.pack(">II", len(chunk), zlib.crc32(chunk)) + chunk
    try:
        for _ in Replay(io.BytesIO(body), name="x").steps():
            pass
    except (TraceError, ReplayMismatch) as error:
        text = str(error)
        if isinstance(error, TraceError) and "\n" in text:
            raise AssertionError(f"an error of several lines: {text!r}") from error
    except (ArithmeticError, MemoryError):
        raise
    except Exception as error:
        # What a call that somebody forged raises in the core ends in Timeline's own error.
        if type(error).__module__ not in ("builtins", "struct"):
            raise


def script(data: bytes) -> None:
    """A pkt script: parsed and run; the answer is a verdict whatever it holds."""
    from pystack.pkt.errors import ScriptError, Unsupported
    from pystack.pkt.parser import parse
    from pystack.pkt.report import diagnosis, run_script
    from pystack.pkt.settings import ScriptSettings

    try:
        made = parse(data.decode("utf-8", "replace").replace("#include", "#Include"))
    except (ScriptError, Unsupported):
        return
    diagnosis(run_script(made, ScriptSettings()))


def expression(data: bytes) -> None:
    """The stepper's expressions, and the code of scripts."""
    from tests.support import costs

    text = [(data[1:].decode("utf-8", "replace").encode("latin-1", "replace"), 1)]
    (costs.code if data[:1] and data[0] & 1 else costs.expression)(text)


def nft(data: bytes) -> None:
    """Rules in nft's language. What was read is printed, and the text is read again."""
    from pystack import nft as language

    known = {"nftables": [{"set": {"family": "ip", "table": "t", "name": "s", "type": "ipv4_addr"}}]}
    try:
        commands = language.parse(data.decode("utf-8", "replace"), known=known)["nftables"]
    except language.RulesetError as error:
        assert str(error)
        return
    added = [one["add"] for one in commands if "add" in one and "element" not in one["add"]]
    language.text({"nftables": added}, handles=True)


def messages(data: bytes) -> None:
    """Both sides of a TCP stream, for the dissection of messages: the pieces make no difference, and the places are inside."""
    from pystack.stepper.dissect.messages import CHOICES, TalkReader

    chosen = ("", *CHOICES)[data[0] % (len(CHOICES) + 1)] if data else ""
    pieces, at = [], 1
    while at < len(data):
        size = data[at] >> 1
        pieces.append((data[at] & 1, data[at + 1 : at + 1 + size]))
        at += 1 + size
    names = ("CLIENT_HANDSHAKE_TRAFFIC_SECRET", "SERVER_HANDSHAKE_TRAFFIC_SECRET", "CLIENT_EARLY_TRAFFIC_SECRET")
    keys = {bytes(32): {**dict.fromkeys(names, b"s" * 32), "CLIENT_RANDOM": b"m" * 48}}
    known = []
    for single in (False, True):
        talk = TalkReader((40_000, 5432), chosen, keys)
        found = []
        for way, piece in pieces:
            for part in [piece[n : n + 1] for n in range(len(piece))] if single else [piece]:
                found += talk.take(way, part)
        for message in found:
            width = max(message.end - message.start, 1) * 8
            for node in (node for top in message.nodes for node in top.walk()):
                assert 0 <= node.offset_bits <= node.offset_bits + node.width_bits <= width and "\n" not in node.text
        known.append([[(one.line, one.start, one.end) for one in found if one.way == way] for way in (0, 1)])
    assert known[0] == known[1]


@dataclass
class Target:
    """A function of bytes; `python`: packages whose Python is instrumented as well."""

    run: Callable[[bytes], None]
    python: "tuple[str, ...] | None" = None

    def prepare(self) -> None:
        """Import what is instrumented."""
        for name in self.python or ():
            importlib.import_module(name)


TARGETS: dict[str, Target] = {
    "frame": Target(frame),
    "sequence": Target(sequence),
    "codecs": Target(codecs),
    "fragments": Target(fragments),
    "options": Target(options),
    "http": Target(http, ("pystack.services.http", "pystack.services.httploop")),
    "trace": Target(trace, ("pystack.trace.format", "pystack.trace.replay")),
    "script": Target(script, ("pystack.pkt.lexer", "pystack.pkt.parser", "pystack.pkt.parse_expr", "pystack.pkt.parse_packet", "pystack.pkt.shell")),
    "dhcp": Target(nametargets.dhcp, ("pystack.dhcp.message", "pystack.dhcp.client", "pystack.dhcp.server", "pystack.dhcp.relay")),
    "names": Target(nametargets.names, ("pystack.dns.authority", "pystack.dns.recursion", "pystack.dns.memory")),
    "expression": Target(expression, ("pystack.pkt.code", "pystack.stepper.expr")),
    "messages": Target(messages, ("pystack.stepper.dissect.messages.talk", "pystack.stepper.dissect.messages.tls", "pystack.stepper.dissect.messages.ciphers")),
    "nft": Target(nft, ("pystack.nft.blocks", "pystack.nft.commands", "pystack.nft.expressions", "pystack.nft.listing", "pystack.nft.matches", "pystack.nft.words")),
}  # fmt: skip
