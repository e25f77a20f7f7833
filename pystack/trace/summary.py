"""One line for each frame in the style of tcpdump: for the demo, for capture comments, for error messages.

The functions never raise for bad input. As in tcpdump, a truncated or wrong packet shows as "[|tcp]" or the like.
"""

import struct
from collections.abc import Callable

import pystack_c.const as C
from pystack.trace import headers
from pystack.trace.summary6 import ip6
from pystack_c.base.address import addr_text, v4

#: the bits 0x01 to 0x80 with tcpdump's letters
_FLAG_LETTERS = ((C.FIN, "F"), (C.SYN, "S"), (C.RST, "R"), (C.PSH, "P"), (C.URG, "U"), (C.CWR, "W"), (C.ECE, "E"))
#: the most connections whose first sequence numbers are remembered
_MAX_FLOWS = 4096

_UNREACHABLE = {
    0: "net {dst} unreachable",
    1: "host {dst} unreachable",
    2: "{dst} protocol {proto} unreachable",
    3: "{dst} {name} port {port} unreachable",
    4: "{dst} unreachable - need to frag (mtu {mtu})",
    5: "{dst} unreachable - source route failed",
    9: "net {dst} unreachable - admin prohibited",
    10: "host {dst} unreachable - admin prohibited",
    13: "host {dst} unreachable - admin prohibited filter",
}
_PROTO_NAMES = {C.IPPROTO_ICMP: "icmp", C.IPPROTO_TCP: "tcp", C.IPPROTO_UDP: "udp"}


def ip_text(bits: int) -> str:
    """The 32 bits of an address in a packet, in dotted decimal."""
    return addr_text(v4(bits))


def mac_text(mac: int) -> str:
    """Return a 48-bit address with colons."""
    return mac.to_bytes(6, "big").hex(":")


def tcp_flags_text(flags: int) -> str:
    """Return the control bits in tcpdump's notation: "S.", "P.", "." or "none"."""
    text = "".join(letter for bit, letter in _FLAG_LETTERS if flags & bit)
    if flags & C.ACK:
        text += "."
    return text or "none"


def tcp_options_text(data: bytes) -> str:
    """Return TCP options as text, separated by commas."""
    found = []
    at = 0
    while at < len(data):
        kind = data[at]
        if kind == 0:
            found.append("eol")
            break
        if kind == 1:
            found.append("nop")
            at += 1
            continue
        length = data[at + 1] if at + 1 < len(data) else 0
        if length < 2 or at + length > len(data):
            found.append(f"[bad opt {kind}]")
            break
        found.append(_tcp_option(kind, data[at + 2 : at + length]))
        at += length
    return ",".join(found)


def _tcp_option(kind: int, value: bytes) -> str:
    if kind == 2 and len(value) == 2:
        return f"mss {int.from_bytes(value, 'big')}"
    if kind == 3 and len(value) == 1:
        return f"wscale {value[0]}"
    if kind == 4 and not value:
        return "sackOK"
    if kind == 5 and value and len(value) % 8 == 0:
        blocks = list(struct.iter_unpack(">II", value))
        return f"sack {len(blocks)} " + "".join(f"{{{start}:{end}}}" for start, end in blocks)
    if kind == 8 and len(value) == 8:
        return "TS val {} ecr {}".format(*struct.unpack(">II", value))
    if kind == 34:
        return f"tfo cookie {value.hex()}" if value else "tfo cookiereq"
    return f"opt {kind}" + (f" {value.hex()}" if value else "")


class Summarizer:
    """Describes frames. It remembers each TCP connection's first sequence numbers, to print relative ones."""

    def __init__(self, kind: int = C.LINK_ETHERNET, relative: bool = True):
        self.kind = kind
        self.relative = relative
        self.base: dict[tuple[str, int, str, int], int] = {}

    def line(self, frame: bytes, kind: int | None = None) -> str:
        """Return the frame as one line. `kind` is a const.LINK_*."""
        kind = self.kind if kind is None else kind
        if kind != C.LINK_ETHERNET:
            return self.ip(frame)
        if len(frame) < C.ETH_HLEN:
            return f"[|ether] length {len(frame)}"
        ethertype = int.from_bytes(frame[12:14], "big")
        if ethertype == C.ETH_P_IP:
            return self.ip(frame[14:])
        if ethertype == C.ETH_P_ARP:
            return arp(frame[14:])
        inner, at = headers.payload_of(frame)
        if inner in (headers.IPV4, headers.IPV6):
            return self.ip(frame[at:])
        if inner == C.ETH_P_ARP:
            return arp(frame[at:])
        source, target = mac_text(int.from_bytes(frame[6:12], "big")), mac_text(int.from_bytes(frame[:6], "big"))
        return f"{source} > {target}, ethertype {ethertype:#06x}, length {len(frame)}"

    def ip(self, packet: bytes) -> str:
        """Describe an IP packet."""
        if packet[:1] and packet[0] >> 4 == 6:
            return ip6(packet, self.tcp, udp)
        if len(packet) < 20:
            return f"IP [|ip] length {len(packet)}"
        hlen = (packet[0] & 15) * 4
        total, ident, fragment = struct.unpack_from(">HHH", packet, 2)
        if packet[0] >> 4 != 4 or hlen < 20 or total < hlen:
            return f"IP bad header: version {packet[0] >> 4}, hlen {hlen}, length {total}"
        sender, receiver = struct.unpack_from(">II", packet, 12)
        src, dst = ip_text(sender), ip_text(receiver)
        offset, more = (fragment & 0x1FFF) * 8, fragment & 0x2000
        payload = packet[hlen:total]
        proto = packet[9]
        suffix = f" (frag {ident}:{total - hlen}@{offset}{'+' if more else ''})" if offset or more else ""
        missing = max(total - len(packet), 0)
        if missing:
            suffix += f" [{missing} bytes missing]"
        if offset:
            return f"IP {src} > {dst}: {_PROTO_NAMES.get(proto, f'ip-proto-{proto}')}{suffix}"
        if proto == C.IPPROTO_TCP:
            return f"IP {self.tcp(src, dst, payload, missing)}{suffix}"
        upper: dict[int, Callable[[str, str, bytes], str]] = {
            C.IPPROTO_UDP: udp,
            C.IPPROTO_ICMP: icmp,
            47: gre,
        }
        print_upper = upper.get(proto)
        if print_upper is not None:
            return f"IP {print_upper(src, dst, payload)}{suffix}"
        name = {4: "IP in IP", 41: "IPv6 in IP"}.get(proto, f"ip-proto-{proto}")
        return f"IP {src} > {dst}: {name}, length {len(payload)}{suffix}"

    def tcp(self, src: str, dst: str, segment: bytes, missing: int = 0) -> str:
        """Describe a TCP segment, of whose data the last `missing` bytes were not captured.

        Sequence numbers count from the connection's first ones, if those are known.
        """
        if len(segment) < 20:
            return f"{src} > {dst}: [|tcp]"
        sport, dport, seq, ack, offset, flags, window, _, urgent = struct.unpack_from(">HHIIBBHHH", segment)
        hlen = (offset >> 4) * 4
        ends = f"{src}.{sport} > {dst}.{dport}: Flags [{tcp_flags_text(flags)}]"
        if hlen < 20 or hlen > len(segment):
            return f"{ends}, bad hdr length {hlen}"
        length = len(segment) - hlen + missing
        first, second = self._bases(src, sport, dst, dport, seq, ack, flags)
        parts = [ends]
        start = (seq - first) & 0xFFFFFFFF
        if length:
            parts.append(f"seq {start}:{(start + length) & 0xFFFFFFFF}")
        elif flags & (C.SYN | C.FIN | C.RST):
            parts.append(f"seq {seq if flags & C.SYN else start}")
        if flags & C.ACK:
            parts.append(f"ack {ack if flags & C.SYN else (ack - second) & 0xFFFFFFFF}")
        parts.append(f"win {window}")
        if flags & C.URG:
            parts.append(f"urg {urgent}")
        if hlen > 20:
            parts.append(f"options [{tcp_options_text(segment[20:hlen])}]")
        parts.append(f"length {length}")
        return ", ".join(parts)

    def _bases(self, src: str, sport: int, dst: str, dport: int, seq: int, ack: int, flags: int) -> tuple[int, int]:
        """Return the first sequence number of this direction and of the other one (0 if numbers stay absolute)."""
        if not self.relative:
            return 0, 0
        here, there = (src, sport, dst, dport), (dst, dport, src, sport)
        if flags & C.SYN:
            self.base.pop(here, None)
            if not flags & C.ACK:
                self.base.pop(there, None)
        for key, value in ((here, seq if flags & C.SYN or not flags & C.ACK else (seq - 1)), (there, ack - 1)):
            if key not in self.base and (key is here or flags & C.ACK):
                if len(self.base) >= _MAX_FLOWS:
                    self.base.pop(next(iter(self.base)))
                self.base[key] = value & 0xFFFFFFFF
        return self.base.get(here, 0), self.base.get(there, 0)


def arp(packet: bytes) -> str:
    """Describe an ARP packet for IPv4 over Ethernet (RFC 826)."""
    if len(packet) < 28:
        return f"ARP, [|arp] length {len(packet)}"
    hardware, proto, hlen, plen, op = struct.unpack_from(">HHBBH", packet)
    if (hardware, proto, hlen, plen) != (1, C.ETH_P_IP, 6, 4):
        return f"ARP, hardware {hardware}, protocol {proto:#06x}, length {len(packet)}"
    sha, spa = int.from_bytes(packet[8:14], "big"), int.from_bytes(packet[14:18], "big")
    tpa = int.from_bytes(packet[24:28], "big")
    if op == 1:
        if spa == 0:
            return f"ARP, Probe who-has {ip_text(tpa)}, length {len(packet)}"
        if spa == tpa:
            return f"ARP, Announcement {ip_text(spa)}, length {len(packet)}"
        return f"ARP, Request who-has {ip_text(tpa)} tell {ip_text(spa)}, length {len(packet)}"
    if op == 2:
        return f"ARP, Reply {ip_text(spa)} is-at {mac_text(sha)}, length {len(packet)}"
    return f"ARP, op {op}, length {len(packet)}"


def udp(src: str, dst: str, packet: bytes) -> str:
    """Describe a UDP datagram, or its first fragment."""
    if len(packet) < 8:
        return f"{src} > {dst}: [|udp]"
    sport, dport, length = struct.unpack_from(">HHH", packet)
    text = f"UDP, length {length - 8}" if length >= 8 else f"UDP, bad length {length}"
    return f"{src}.{sport} > {dst}.{dport}: {text}"


def gre(src: str, dst: str, packet: bytes) -> str:
    """Describe a packet of GRE, without what it carries."""
    if len(packet) < 4:
        return f"{src} > {dst}: [|gre]"
    return f"{src} > {dst}: GREv{packet[1] & 7}, proto {int.from_bytes(packet[2:4], 'big'):#06x}, length {len(packet)}"


def icmp(src: str, dst: str, packet: bytes) -> str:
    """Describe an ICMP message."""
    ends = f"{src} > {dst}: ICMP"
    if len(packet) < 8:
        return f"{ends} [|icmp]"
    kind, code = packet[0], packet[1]
    if kind in (C.ICMP_ECHO, C.ICMP_ECHO_REPLY):
        ident, seq = struct.unpack_from(">HH", packet, 4)
        name = "request" if kind == C.ICMP_ECHO else "reply"
        return f"{ends} echo {name}, id {ident}, seq {seq}, length {len(packet)}"
    return f"{ends} {_icmp_error(kind, code, packet)}, length {len(packet)}"


def _icmp_error(kind: int, code: int, packet: bytes) -> str:
    if kind == C.ICMP_UNREACHABLE and len(packet) >= 28:
        inner = packet[8:]
        hlen = (inner[0] & 15) * 4
        proto = inner[9]
        port = int.from_bytes(inner[hlen + 2 : hlen + 4], "big") if len(inner) >= hlen + 4 else 0
        values = {
            "dst": ip_text(int.from_bytes(inner[16:20], "big")),
            "proto": proto,
            "name": _PROTO_NAMES.get(proto, f"ip-proto-{proto}"),
            "port": port,
            "mtu": int.from_bytes(packet[6:8], "big"),
        }
        return _UNREACHABLE.get(code, "{dst} unreachable, code " + str(code)).format(**values)
    if kind == C.ICMP_TIME_EXCEEDED:
        return "ip reassembly time exceeded" if code == 1 else "time exceeded in-transit"
    if kind == C.ICMP_PARAMETER_PROBLEM:
        return f"parameter problem - octet {packet[4]}"
    if kind == C.ICMP_REDIRECT:
        return f"redirect to {ip_text(int.from_bytes(packet[4:8], 'big'))}"
    return f"type-#{kind} code {code}"
