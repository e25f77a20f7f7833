"""Makes the live bytes of a script's inbound packet."""

import struct

from pystack.pkt import model
from pystack.pkt.errors import ScriptError
from pystack.pkt.host import PktHost
from pystack.pkt.match import M32, Conn, shift_sack
from pystack.pkt.model import IcmpSpec, ScriptPacket, TcpOption, TcpSpec, UdpSpec
from pystack.pkt.settings import ScriptSettings
from pystack.pkt.wire import build_tcp, checksum, ip_packet, pattern, transport


def build(packet: ScriptPacket, conn: Conn, host: PktHost, settings: ScriptSettings, line: int) -> bytes:
    """Return the packet with live addresses, ports, numbers and checksums.

    ScriptError if it is larger than IPv4 allows.
    """
    src, dst = host.remote, host.local
    ports = (packet.sport or conn.rport, packet.dport or conn.lport)
    body = packet.body
    if isinstance(body, TcpSpec):
        segment = _tcp(body, conn, settings, ports, line)
        proto, at = 6, 16
    elif isinstance(body, UdpSpec):
        payload = pattern(0, body.length)
        segment = struct.pack(">HHHH", *ports, 8 + body.length, 0) + payload
        proto, at = 17, 6
    else:
        data = _icmp(body, conn, host)
        return ip_packet(src, dst, 1, data, packet.ip.tos, packet.ip.ttl or 255)
    if isinstance(body, TcpSpec) and body.udp is not None:
        # the datagram's checksum covers the segment
        segment = struct.pack(">HHHH", *body.udp, 8 + len(segment), 0) + segment
        proto, at = 17, 6
    segment = transport(src, dst, proto, segment, at)
    if len(segment) > 65515:
        raise ScriptError(line, "the packet is larger than IPv4 allows")
    return ip_packet(src, dst, proto, segment, packet.ip.tos, packet.ip.ttl or 255)


def _tcp(spec: TcpSpec, conn: Conn, settings: ScriptSettings, ports: tuple[int, int], line: int) -> bytes:
    syn = bool(spec.flags & model.SYN)
    seq = spec.seq if spec.seq_absolute else (spec.seq + conn.remote_offset(syn)) & M32
    offset = conn.local_offset(syn)
    ack = (spec.ack + offset) & M32 if spec.flags & model.ACK else spec.ack
    options = shift_sack(list(spec.options or []), offset)
    if spec.flags & model.ACK and not spec.ts_ecr_absolute:
        options = [_echo(o, conn, settings, line) if o.kind == 8 else o for o in options]
    payload = pattern(0 if syn else spec.seq - 1, spec.length)
    return build_tcp(spec, seq, ack, options, ports) + payload


def _echo(option: TcpOption, conn: Conn, settings: ScriptSettings, line: int) -> TcpOption:
    """Return the live timestamp for the script's echo: one that was sent, or (tcp_ts_ecr_scaled) one on the same clock."""
    echo = int.from_bytes(option.data[4:], "big")
    live = conn.timestamps.get(echo)
    if live is None and settings.ts_ecr_scaled and conn.first_ts is not None:
        live = (echo - conn.first_ts[0] + conn.first_ts[1]) & M32
    if live is None:
        raise ScriptError(line, f"TS ecr {echo}: no packet with that TS val was sent before")
    return TcpOption(8, option.data[:4] + struct.pack(">I", live))


def _icmp(spec: IcmpSpec, conn: Conn, host: PktHost) -> bytes:
    """Return the message, which quotes the IP header and 8 bytes of the packet that it is about."""
    rest = struct.pack(">HH", 0, spec.mtu) if spec.mtu >= 0 else struct.pack(">HH", spec.ident, 0)
    quote = b""
    if spec.proto == 6:
        seq = (spec.seq + conn.local_offset(False)) & M32
        inner = struct.pack(">HHI", conn.lport, conn.rport, seq)
        proto, length = 6, 20 + spec.length
        if spec.udp is not None:
            proto, length = 17, length + 8
            inner = struct.pack(">HHHH", *spec.udp, length, 0) + inner
        quote = _quoted_ip(host, proto, length) + inner
    elif spec.proto == 17:
        inner = struct.pack(">HHHH", conn.lport, conn.rport, 8 + spec.length, 0)
        quote = _quoted_ip(host, 17, 8 + spec.length) + inner
    else:
        quote = bytes(max(0, spec.length - 8))
    message = struct.pack(">BBH", spec.type, spec.code, 0) + rest + quote
    return message[:2] + struct.pack(">H", checksum(message)) + message[4:]


def _quoted_ip(host: PktHost, proto: int, length: int) -> bytes:
    return ip_packet(host.local, host.remote, proto, bytes(length))[:20]
