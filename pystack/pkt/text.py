"""Packets in the script's own notation."""

import struct

from pystack.pkt import model
from pystack.pkt.model import IcmpSpec, ScriptPacket, TcpOption, TcpSpec, UdpSpec
from pystack.pkt.parse_packet import ECN, ICMP_TYPES, UNREACHABLE_CODES
from pystack.pkt.wire import ScriptSegment

_ECN_NAMES = {value: name for name, value in ECN.items()}
_ICMP_NAMES = {value: name for name, value in ICMP_TYPES.items()}


def flags_text(flags: int, ace: bool = False) -> str:
    """Return flags as letters: SYN and ACK are `S.`."""
    letters = [c for c in "SFRPUEWA" if flags & model.FLAG_LETTERS[c] and not (ace and c in "EWA")]
    if flags & model.ACK:
        letters.append(".")
    if ace:
        letters.append(str((flags >> 6 & 1) | (flags >> 7 & 1) << 1 | (flags >> 8 & 1) << 2))
    return "".join(letters) or "-"


def option_text(option: TcpOption) -> str:
    """Return one option as a script writes it."""
    kind, data = option.kind, option.data
    if kind < 2:
        return ("eol", "nop")[kind]
    if kind == 2 and len(data) == 2:
        return f"mss {int.from_bytes(data, 'big')}"
    if kind == 3 and len(data) == 1:
        return f"wscale {data[0]}"
    if kind == 4 and not data:
        return "sackOK"
    if kind == 5 and len(data) % 8 == 0:
        edges = struct.unpack(f">{len(data) // 4}I", data)
        return "sack " + " ".join(f"{edges[i]}:{edges[i + 1]}" for i in range(0, len(edges), 2))
    if kind == 8 and len(data) == 8:
        val, ecr = struct.unpack(">II", data)
        return f"TS val {val} ecr {ecr}"
    names = {34: "FO", 19: "md5", 172: "AccECN0", 174: "AccECN1"}
    if kind == 254 and data[:2] == b"\xf9\x89":
        return f"FOEXP {data[2:].hex()}".rstrip()
    return f"{names.get(kind, f'gen {kind}')} {data.hex()}".rstrip()


def options_text(options: "list[TcpOption] | None") -> str:
    """Return all options with their brackets, or ""."""
    if options is None:
        return " <...>"
    return " <" + ",".join(option_text(o) for o in options) + ">" if options else ""


def packet_text(packet: ScriptPacket) -> str:
    """Return a packet line without its time."""
    start = "<" if packet.inbound else ">"
    if packet.ip.check == model.TOS_ECN:
        start += f" [{_ECN_NAMES[packet.ip.tos]}]"
    elif packet.ip.check == model.TOS_ECT01:
        start += " [ect01]"
    elif packet.ip.check == model.TOS_ALL:
        start += f" [tos {packet.ip.tos:#04x}]"
    body = packet.body
    if isinstance(body, UdpSpec):
        return f"{start} udp ({body.length})"
    if isinstance(body, IcmpSpec):
        return f"{start} {icmp_text(body.type, body.code)}"
    return f"{start} {tcp_text(body)}"


def icmp_text(icmp_type: int, code: int) -> str:
    """Return type and code in words: icmp unreachable frag_needed."""
    name = _ICMP_NAMES.get(icmp_type, f"type_{icmp_type}")
    if icmp_type == 3 and code < len(UNREACHABLE_CODES):
        return f"icmp {name} {UNREACHABLE_CODES[code]}"
    return f"icmp {name}" + (f" code_{code}" if code else "")


def tcp_text(spec: TcpSpec) -> str:
    """Return the TCP part of a packet line."""
    end = (spec.seq + spec.length) & 0xFFFFFFFF
    text = f"{flags_text(spec.flags, spec.ace is not None)} {spec.seq}:{end}({spec.length})"
    if spec.flags & model.ACK:
        text += f" ack {spec.ack}"
    if spec.window >= 0:
        text += f" win {spec.window}"
    if spec.flags & model.URG:
        text += f" urg {spec.urg}"
    around = f"/udp({spec.udp[0]} > {spec.udp[1]})" if spec.udp is not None else ""
    return text + options_text(spec.options) + around


def segment_text(seg: ScriptSegment, ace: bool = False) -> str:
    """Return a packet of the stack, mapped to the script's numbers, as a packet line."""
    if seg.proto == 17:
        return f"> udp ({len(seg.payload)})"
    if seg.proto == 1:
        return f"> {icmp_text(*seg.icmp)}"
    ecn = f" [{_ECN_NAMES[seg.tos & 3]}]" if seg.tos & 3 else ""
    spec = TcpSpec(seg.flags, 0 if ace else None, seg.seq, len(seg.payload))
    spec.ack, spec.window, spec.urg, spec.options, spec.udp = seg.ack, seg.window, seg.urg, seg.options, seg.udp
    return f">{ecn} {tcp_text(spec)}"
