"""Filters in tcpdump's language (pcap-filter(7)): libpcap compiles them, for captures and for SO_ATTACH_FILTER.

    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    bpf.attach(sock, "src net 10.0.0.0/8 and udp[8] = 0x17")

libpcap comes with the package cypcap (`pip install pystack[filter]`), which is imported when the first filter is compiled.
The programs run in `pystack_c.filter.cbpf`, or in the kernel if the socket is the kernel's.
"""

import ctypes
import socket as _socket
import struct
from collections.abc import Callable
from importlib import import_module
from typing import Any

import pystack_c.const as C
from pystack_c.filter import cbpf

SO_ATTACH_FILTER, SO_DETACH_FILTER = 26, 27
#: the first byte that a program sees: of an Ethernet frame, of an IP packet, or of the transport header behind it
ETHERNET, IP, TRANSPORT = "ethernet", "ip", "transport"
# pcap/dlt.h
_DLT = {ETHERNET: 1, IP: 12, TRANSPORT: 12}
_SKF_NET_OFF = 0xFFF00000
_NETMASK_UNKNOWN = 0xFFFFFFFF
#: the most bytes that a program keeps
_SNAPLEN = 1 << 18
# the loads of a packet's bytes: LD and LDX with BPF_ABS, BPF_IND and BPF_MSH
_LOADS = (0x20, 0x28, 0x30, 0x40, 0x48, 0x50, 0xB1)


class CompilerMissing(ImportError):
    """cypcap is not installed."""


class FilterError(ValueError):
    """libpcap does not understand the expression. The text is libpcap's own."""


def compile(expression: str, start: str = ETHERNET) -> bytes:
    """Return the program of an expression, as an array of struct sock_filter.

    `start` says what the program will see first. TRANSPORT is for UDP and ping sockets: the program then finds the IP header by
    SKF_NET_OFF. (`len` is the length of what the program sees, so it does not include that header.)
    """
    try:
        pcap = import_module("cypcap")
    except ImportError:
        raise CompilerMissing("a filter needs libpcap's compiler: pip install 'pystack[filter]'") from None
    if "\0" in expression:
        raise FilterError("a filter cannot contain the character NUL")
    try:
        with pcap.open_dead(_DLT[start], _SNAPLEN) as handle:
            instructions = list(handle.compile(expression, True, _NETMASK_UNKNOWN))
    except pcap.Error as error:
        raise FilterError(error.args[1] if len(error.args) > 1 else str(error)) from None
    if start == TRANSPORT:
        instructions = [(op, jt, jf, k + _SKF_NET_OFF if op in _LOADS else k) for op, jt, jf, k in instructions]
    return b"".join(cbpf.INSTRUCTION.pack(*one) for one in instructions)


def matcher(expression: str) -> Callable[[bytes, int], bool]:
    """Return a function that decides about a frame and its kind of link (LINK_ETHERNET, LINK_IP or LINK_LOOPBACK).

    An expression that is possible only with Ethernet, such as `arp`, matches no packet on the other kinds.
    """
    ethernet = cbpf.Program(compile(expression, ETHERNET))
    bare: cbpf.Program | None = None
    try:
        bare = cbpf.Program(compile(expression, IP))
    except FilterError:
        pass

    def matches(frame: bytes, kind: int) -> bool:
        program = ethernet if kind == C.LINK_ETHERNET else bare
        return program is not None and cbpf.keep(program, frame) != 0

    return matches


def attach(sock: Any, expression: str) -> None:
    """Make a UDP, raw, ping or AF_PACKET socket, of a stack or of the kernel, receive only what matches. Raises FilterError, and OSError as setsockopt(2) does."""
    if sock.family == getattr(_socket, "AF_PACKET", None):
        start = ETHERNET if sock.type == _socket.SOCK_RAW else IP
    else:
        start = IP if sock.type == _socket.SOCK_RAW else TRANSPORT
    code = compile(expression, start)
    memory = ctypes.create_string_buffer(code, len(code))
    pointer = struct.pack("@HP", len(code) // cbpf.INSTRUCTION.size, ctypes.addressof(memory))
    sock.setsockopt(_socket.SOL_SOCKET, SO_ATTACH_FILTER, pointer)


def detach(sock: Any) -> None:
    """Remove the filter. Raises OSError (ENOENT) if there is none."""
    sock.setsockopt(_socket.SOL_SOCKET, SO_DETACH_FILTER, 0)
