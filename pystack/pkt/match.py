"""Compares a packet that the stack sent with the one that the script expects."""

import struct
from dataclasses import dataclass, field, replace

from pystack.pkt import model
from pystack.pkt.errors import Difference
from pystack.pkt.model import IcmpSpec, ScriptPacket, TcpOption, TcpSpec, UdpSpec
from pystack.pkt.settings import ANY_ORDER, ScriptSettings
from pystack.pkt.text import flags_text, icmp_text, option_text, options_text
from pystack.pkt.wire import ScriptSegment, pattern

M32 = 0xFFFFFFFF

#: what is known about a connection from its system calls and packets
NEW, LISTENING, CONNECTING, SYN_SENT, SYN_ACKED, SYN_RECEIVED, SYNACK_SENT, SYNACK_ACKED = range(8)


@dataclass
class Conn:
    """One connection as the script sees it: the mapping between its numbers and the live ones."""

    proto: int = 6
    state: int = NEW
    #: the file descriptor in the script, or -1 if there is none
    fd: int = -1
    lport: int = 0
    rport: int = 0
    script_local_isn: int = 0
    live_local_isn: int = 0
    #: The numbers of the remote end are those of the script, because its packets are injected as written.
    remote_isn: int = 0
    timestamps: dict[int, int] = field(default_factory=dict)
    first_ts: "tuple[int, int] | None" = None

    def local_offset(self, syn: bool) -> int:
        """Return the live minus the script's sequence numbers of this host.

        SYNs are written with their ISN, all others relative to it.
        """
        return (self.live_local_isn - self.script_local_isn) & M32 if syn else self.live_local_isn

    def remote_offset(self, syn: bool) -> int:
        """Return the same difference for the remote end."""
        return 0 if syn else self.remote_isn


def shift_sack(options: list[TcpOption], offset: int) -> list[TcpOption]:
    """Return the options with their SACK blocks moved."""
    result = []
    for option in options:
        if option.kind == 5 and len(option.data) % 8 == 0:
            edges = struct.unpack(f">{len(option.data) // 4}I", option.data)
            option = TcpOption(5, b"".join(struct.pack(">I", (e + offset) & M32) for e in edges))
        result.append(option)
    return result


def to_script(seg: ScriptSegment, conn: Conn) -> ScriptSegment:
    """Return a live packet in the script's numbers."""
    if seg.proto != 6:
        return seg
    syn = bool(seg.flags & model.SYN)
    remote = conn.remote_offset(syn)
    ack = (seg.ack - remote) & M32 if seg.flags & model.ACK else seg.ack
    seq = (seg.seq - conn.local_offset(syn)) & M32
    return replace(seg, seq=seq, ack=ack, options=shift_sack(seg.options, -remote))


def map_timestamp(seg: ScriptSegment, spec: TcpSpec, conn: Conn) -> ScriptSegment:
    """Remember which live timestamp corresponds to the script's, and move the live one to the script's clock."""
    if spec.options is None:
        return seg
    wanted = next((o for o in spec.options if o.kind == 8), None)
    got = seg.option(8)
    if wanted is None or got is None or spec.ts_val_ignored or len(got.data) != 8:
        return seg
    script_val = int.from_bytes(wanted.data[:4], "big")
    live_val = int.from_bytes(got.data[:4], "big")
    conn.timestamps[script_val] = live_val
    if conn.first_ts is None:
        conn.first_ts = (script_val, live_val)
    moved = (conn.first_ts[0] + live_val - conn.first_ts[1]) & M32
    data = struct.pack(">I", moved) + got.data[4:]
    options = [TcpOption(8, data) if o.kind == 8 else o for o in seg.options]
    return replace(seg, options=options)


def merge(parts: list[ScriptSegment]) -> ScriptSegment:
    """Join several consecutive segments into the one that the script writes: the first's number, the last's flags."""
    first, last = parts[0], parts[-1]
    if len(parts) == 1:
        return first
    flags = (last.flags & ~model.CWR) | (first.flags & model.CWR)
    payload = b"".join(part.payload for part in parts)
    return replace(last, seq=first.seq, flags=flags, payload=payload, time=last.time)


def continues(before: ScriptSegment, seg: ScriptSegment, spec: TcpSpec, so_far: int) -> "list[Difference]":
    """Return why `seg` cannot be the rest of a packet that `before` began; empty if it can."""
    found = []
    check = model.SYN | model.RST | model.ACK | model.URG
    expected_seq = (before.seq + len(before.payload)) & M32
    if seg.seq != expected_seq:
        found.append(Difference("seq of the next piece", str(expected_seq), str(seg.seq)))
    if (seg.flags ^ before.flags) & check:
        found.append(Difference("flags of the next piece", flags_text(before.flags), flags_text(seg.flags)))
    if seg.ack != before.ack:
        found.append(Difference("ack of the next piece", str(before.ack), str(seg.ack)))
    missing = spec.length - so_far
    if len(seg.payload) < missing and len(seg.payload) != len(before.payload):
        found.append(Difference("payload of the next piece", str(len(before.payload)), str(len(seg.payload))))
    return found


def compare(
    packet: ScriptPacket, seg: ScriptSegment, settings: ScriptSettings, conn: Conn, tolerance: float
) -> list[Difference]:
    """Return every field of a packet (already in the script's numbers) that differs from the script."""
    found: list[Difference] = []
    if seg.problem:
        found.append(Difference("packet", "a valid packet", seg.problem))
    _compare_ip(packet, seg, found)
    body = packet.body
    if isinstance(body, TcpSpec):
        _compare_tcp(body, seg, settings, found)
        if body.options is not None:
            _compare_options(body, seg, settings, tolerance, found)
        _compare_payload(body, seg, found)
    elif isinstance(body, UdpSpec):
        if len(seg.payload) != body.length:
            found.append(Difference("udp length", str(body.length), str(len(seg.payload))))
        elif seg.payload != pattern(0, body.length):
            found.append(Difference("payload", "the bytes written", "different bytes"))
    elif isinstance(body, IcmpSpec) and (body.type, body.code) != seg.icmp:
        found.append(Difference("icmp", icmp_text(body.type, body.code), icmp_text(*seg.icmp)))
    return found


def _compare_ip(packet: ScriptPacket, seg: ScriptSegment, found: list[Difference]) -> None:
    ip = packet.ip
    if ip.check == model.TOS_ECN and seg.tos & 3 != ip.tos:
        found.append(Difference("ecn", str(ip.tos), str(seg.tos & 3)))
    elif ip.check == model.TOS_ECT01 and seg.tos & 3 not in (1, 2):
        found.append(Difference("ecn", "ect0 or ect1", str(seg.tos & 3)))
    elif ip.check == model.TOS_ALL and seg.tos != ip.tos:
        found.append(Difference("tos", f"{ip.tos:#04x}", f"{seg.tos:#04x}"))
    if ip.ttl and seg.ttl != ip.ttl:
        found.append(Difference("ttl", str(ip.ttl), str(seg.ttl)))
    for name, wanted, got in (("source port", packet.sport, seg.sport), ("destination port", packet.dport, seg.dport)):
        if wanted and wanted != got:
            found.append(Difference(name, str(wanted), str(got)))


def _compare_tcp(spec: TcpSpec, seg: ScriptSegment, settings: ScriptSettings, found: list[Difference]) -> None:
    mask = 0x1FF if settings.push else 0x1FF & ~model.PSH
    ace = spec.ace is not None
    if (spec.flags ^ seg.flags) & mask:
        found.append(Difference("flags", flags_text(spec.flags, ace), flags_text(seg.flags, ace)))
    if not spec.seq_ignored and spec.seq != seg.seq:
        found.append(Difference("seq", str(spec.seq), str(seg.seq)))
    if len(seg.payload) != spec.length:
        found.append(Difference("payload length", str(spec.length), str(len(seg.payload))))
    if spec.flags & model.ACK and spec.ack != seg.ack:
        found.append(Difference("ack", str(spec.ack), str(seg.ack)))
    if spec.window >= 0 and spec.window != seg.window:
        found.append(Difference("win", str(spec.window), str(seg.window)))
    if spec.udp != seg.udp:
        ports = [f"udp({way[0]} > {way[1]})" if way else "no udp" for way in (spec.udp, seg.udp)]
        found.append(Difference("encapsulation", *ports))
    if spec.urg != seg.urg and (spec.flags | seg.flags) & model.URG:
        found.append(Difference("urg", str(spec.urg), str(seg.urg)))


def _compare_options(
    spec: TcpSpec, seg: ScriptSegment, settings: ScriptSettings, tolerance: float, found: list[Difference]
) -> None:
    """Compare the kinds in their order (or in any order, without padding), then each value. The TS echo is not
    compared.
    """
    wanted, got = list(spec.options or []), list(seg.options)
    if settings.options == ANY_ORDER:
        wanted = sorted((o for o in wanted if o.kind > 1), key=lambda o: o.kind)
        got = sorted((o for o in got if o.kind > 1), key=lambda o: o.kind)
    if [o.kind for o in wanted] != [o.kind for o in got]:
        found.append(Difference("options", options_text(spec.options) or "none", options_text(seg.options) or "none"))
        return
    for want, have in zip(wanted, got, strict=True):
        if want.kind == 8:
            _compare_timestamp(want, have, spec, settings, tolerance, found)
        elif want.data != have.data:
            name = option_text(want).split(" ")[0]
            found.append(Difference(f"option {name}", option_text(want), option_text(have)))


def _compare_timestamp(
    want: TcpOption, have: TcpOption, spec: TcpSpec, settings: ScriptSettings, tolerance: float, found: list[Difference]
) -> None:
    if not settings.ts_tick_usecs or spec.ts_val_ignored:
        return
    wanted, got = int.from_bytes(want.data[:4], "big"), int.from_bytes(have.data[:4], "big")
    apart = (got - wanted) & M32
    if min(apart, M32 + 1 - apart) * settings.ts_tick_usecs > tolerance:
        found.append(Difference("option TS val", str(wanted), str(got)))


def _compare_payload(spec: TcpSpec, seg: ScriptSegment, found: list[Difference]) -> None:
    """Compare the bytes with the pattern, from the place in the stream that the sequence number gives."""
    if len(seg.payload) != spec.length or not spec.length or seg.flags & model.RST:
        return
    start = seg.seq - 1 + (1 if seg.flags & model.SYN else 0)
    expected = pattern(start, spec.length)
    if seg.payload != expected:
        at = next(i for i in range(spec.length) if seg.payload[i] != expected[i])
        found.append(Difference(f"payload byte {at}", str(expected[at]), str(seg.payload[at])))
