"""Predicates over frames, for rules such as "drop data segment 20".

They match Ethernet frames with IPv4, and nothing else.
"""

from collections.abc import Callable

import pystack_c.const as C

Match = Callable[[bytes], bool]


def is_ip(frame: bytes) -> bool:
    """Return True for an IPv4 packet."""
    return frame[12:14] == b"\x08\x00" and len(frame) >= 34


def is_arp(frame: bytes) -> bool:
    """Return True for an ARP packet."""
    return frame[12:14] == b"\x08\x06"


def is_udp(frame: bytes) -> bool:
    """Return True for a UDP datagram or a fragment of one."""
    return is_ip(frame) and frame[23] == C.IPPROTO_UDP


def is_icmp(frame: bytes) -> bool:
    """Return True for an ICMP message or a fragment of one."""
    return is_ip(frame) and frame[23] == C.IPPROTO_ICMP


def tcp_offset(frame: bytes) -> int:
    """Return the offset of the TCP header, or 0 if the frame is not a whole TCP segment."""
    if not is_ip(frame) or frame[23] != C.IPPROTO_TCP or int.from_bytes(frame[20:22], "big") & 0x3FFF:
        return 0
    at = 14 + (frame[14] & 15) * 4
    return at if len(frame) >= at + 20 else 0


def tcp_flags(frame: bytes) -> int:
    """Return the control bits of a TCP segment, or 0."""
    at = tcp_offset(frame)
    return frame[at + 13] if at else 0


def tcp_length(frame: bytes) -> int:
    """Return the payload length in bytes of a TCP segment, or -1 if the frame is not one."""
    at = tcp_offset(frame)
    if not at:
        return -1
    return 14 + int.from_bytes(frame[16:18], "big") - at - (frame[at + 12] >> 4) * 4


def is_tcp(frame: bytes) -> bool:
    """Return True for a TCP segment."""
    return tcp_offset(frame) > 0


def is_data(frame: bytes) -> bool:
    """Return True for a TCP segment with payload."""
    return tcp_length(frame) > 0


def is_pure_ack(frame: bytes) -> bool:
    """Return True for a TCP segment that carries only an acknowledgement."""
    return tcp_length(frame) == 0 and tcp_flags(frame) & (C.SYN | C.FIN | C.RST | C.ACK) == C.ACK


def is_syn(frame: bytes) -> bool:
    """Return True for a SYN, with or without ACK."""
    return bool(tcp_flags(frame) & C.SYN)


def is_fin(frame: bytes) -> bool:
    """Return True for a FIN."""
    return bool(tcp_flags(frame) & C.FIN)


def is_rst(frame: bytes) -> bool:
    """Return True for a reset."""
    return bool(tcp_flags(frame) & C.RST)
