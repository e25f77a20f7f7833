"""One line for each IPv6 packet in the style of tcpdump. As in summary.py, no bytes make it raise an exception."""

from collections.abc import Callable

import pystack_c.const as C
from pystack.trace import headers
from pystack.trace.headers import address_text

#: prints what is above IP: (source, destination, bytes) -> text; and of TCP, with the number of bytes that were not captured
Upper = Callable[[str, str, bytes], str]
UpperTcp = Callable[[str, str, bytes, int], str]

_PROTOCOLS = {C.IPPROTO_TCP: "tcp", C.IPPROTO_UDP: "udp", headers.ICMPV6: "icmp6"}
_ERRORS = {
    1: ("unreachable route", "unreachable prohibited", "beyond scope", "unreachable address", "unreachable port",
        "source address failed policy", "reject route to destination"),
    3: ("time exceeded in-transit", "ip reassembly time exceeded"),
    4: ("parameter problem, erroneous", "parameter problem, next header", "parameter problem, option"),
}  # fmt: skip
_NAMES = {
    130: "multicast listener query", 131: "multicast listener report", 132: "multicast listener done",
    133: "router solicitation", 134: "router advertisement", 135: "neighbor solicitation", 136: "neighbor advertisement",
    137: "redirect", 143: "multicast listener report v2",
}  # fmt: skip


def ip6(packet: bytes, tcp: UpperTcp, udp: Upper) -> str:
    """Describe an IPv6 packet."""
    found = headers.ipv6(packet, 0)
    if found is None:
        if len(packet) < 40:
            return f"IP6 [|ip6] length {len(packet)}"
        return f"IP6 bad header: version {packet[0] >> 4}"
    source, target = address_text(found.source), address_text(found.target)
    data = packet[found.at : min(found.end, len(packet))]
    missing = max(found.end - len(packet), 0)
    suffix = f" [{missing} bytes missing]" if missing else ""
    if found.offset or found.more:
        suffix = f" (frag {found.ident:#x}:{len(data)}@{found.offset}{'+' if found.more else ''}){suffix}"
    if found.offset:
        return f"IP6 {source} > {target}: {_PROTOCOLS.get(found.proto, f'ip-proto-{found.proto}')}{suffix}"
    if found.proto == C.IPPROTO_TCP:
        return f"IP6 {tcp(source, target, data, missing)}{suffix}"
    if found.proto == C.IPPROTO_UDP:
        return f"IP6 {udp(source, target, data)}{suffix}"
    if found.proto == headers.ICMPV6:
        return f"IP6 {source} > {target}: ICMP6, {_icmp6(data)}, length {len(data)}{suffix}"
    name = {4: "IP in IP", 41: "IPv6 in IP", 47: "GRE"}.get(found.proto, f"ip-proto-{found.proto}")
    return f"IP6 {source} > {target}: {name}, length {len(data)}{suffix}"


def _icmp6(message: bytes) -> str:
    if len(message) < 8:
        return "[|icmp6]"
    kind, code = message[0], message[1]
    if kind in (128, 129):
        ident, seq = int.from_bytes(message[4:6], "big"), int.from_bytes(message[6:8], "big")
        return f"echo {'request' if kind == 128 else 'reply'}, id {ident}, seq {seq}"
    if kind == 2:
        return f"packet too big, mtu {int.from_bytes(message[4:8], 'big')}"
    if kind in _ERRORS:
        return _error(kind, code, message)
    name = _NAMES.get(kind, f"type-#{kind} code {code}")
    if kind in (135, 136) and len(message) >= 24:
        target = address_text(message[8:24])
        return f"{name}, who has {target}" if kind == 135 else f"{name}, tgt is {target}"
    if kind in (131, 132) and len(message) >= 24:
        return f"{name}, addr: {address_text(message[8:24])}"
    if kind == 143:
        return f"{name}, {int.from_bytes(message[6:8], 'big')} group record(s)"
    return name


def _error(kind: int, code: int, message: bytes) -> str:
    texts = _ERRORS[kind]
    text = texts[code] if code < len(texts) else f"type-#{kind} code {code}"
    quoted = headers.ipv6(message, 8)
    if kind != 1 or quoted is None:
        return text
    to = address_text(quoted.target)
    if code == 4 and quoted.proto in (C.IPPROTO_TCP, C.IPPROTO_UDP) and len(message) >= quoted.at + 4:
        port = int.from_bytes(message[quoted.at + 2 : quoted.at + 4], "big")
        return f"destination {text}, {to} {'tcp' if quoted.proto == C.IPPROTO_TCP else 'udp'} port {port}"
    return f"destination {text} {to}"
