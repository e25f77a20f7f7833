"""Classic BPF: the programs of SO_ATTACH_FILTER and of capture filters (linux/filter.h, Linux Documentation/networking/filter.rst).

A program is checked once, with the rules of Linux's bpf_check_classic, and then runs without further checks: jumps only go
forward, so a run takes as many steps as there are instructions at most. It returns how many bytes of the packet to keep; 0 drops it.

Offsets count from the first byte that the owner of the program chose. Negative ones are Linux's: from the network header (SKF_NET_OFF),
from the link header (SKF_LL_OFF), and the ancillary data (SKF_AD_OFF), of which the stack has those in _ANCILLARY.
"""

import errno
import struct
from typing import Any

import pystack_c.const as C
from pystack_c.core import Core
from pystack_c.iface import Iface
from pystack_c.packet import Packet
from pystack_c.wire import ethernet

#: Linux's BPF_MAXINSNS
MOST = 4096
INSTRUCTION = struct.Struct("=HBBI")

# the classes of instructions (the low three bits of a code)
_LD, _LDX, _ST, _STX, _ALU, _JMP, _RET, _MISC = range(8)
_MEMORY = 16
_SKF_AD_OFF = -0x1000
_SKF_NET_OFF = -0x100000
_SKF_LL_OFF = -0x200000
# ancillary data, as offsets from SKF_AD_OFF
_PROTOCOL, _PKTTYPE, _IFINDEX, _MARK, _QUEUE, _HATYPE, _XOR_X, _VLAN_TAG, _VLAN_PRESENT, _RANDOM, _VLAN_TPID = (
    0, 4, 8, 20, 24, 28, 40, 44, 48, 56, 60,
)  # fmt: skip
#: those that the stack has. Missing are NLATTR, NLATTR_NEST, RXHASH, CPU and PAY_OFFSET: nothing here has such a value.
_ANCILLARY = (
    _PROTOCOL, _PKTTYPE, _IFINDEX, _MARK, _QUEUE, _HATYPE, _XOR_X, _VLAN_TAG, _VLAN_PRESENT, _RANDOM, _VLAN_TPID,
)  # fmt: skip
_LOADS = (0x20, 0x28, 0x30)
_CODES = (
    *(op | source for op in (0x04, 0x14, 0x24, 0x34, 0x44, 0x54, 0x64, 0x74, 0x94, 0xA4) for source in (0, 8)),
    0x84,
    *_LOADS, 0x80, 0x40, 0x48, 0x50, 0x00, 0x60, 0x81, 0xB1, 0x01, 0x61, 0x02, 0x03, 0x07, 0x87, 0x06, 0x16, 0x05,
    *(op | source for op in (0x15, 0x25, 0x35, 0x45) for source in (0, 8)),
)  # fmt: skip
#: the types of devices for SKF_AD_HATYPE (linux/if_arp.h)
_HATYPES = {C.LINK_ETHERNET: 1, C.LINK_IP: 0xFFFE, C.LINK_LOOPBACK: 772}


class Program:
    """A program that was checked. `code` is an array of struct sock_filter. Raises OSError (EINVAL) if it is not valid."""

    def __init__(self, code: bytes) -> None:
        check(code)
        self.code = bytes(code)
        self.mem = [0] * _MEMORY


def _bad(at: int, text: str) -> OSError:  # python
    return OSError(errno.EINVAL, f"BPF instruction {at}: {text}")


def check(code: bytes) -> None:  # python
    """Check a program as Linux does. Raises OSError (EINVAL), which says what is wrong and in which instruction."""
    count, rest = divmod(len(code), INSTRUCTION.size)
    if rest or not 0 < count <= MOST:
        raise OSError(errno.EINVAL, f"a BPF program has 1 to {MOST} instructions of 8 bytes, not {len(code)} bytes")
    program = list(INSTRUCTION.iter_unpack(code))
    for at, (op, jt, jf, k) in enumerate(program):
        if op not in _CODES:
            raise _bad(at, f"there is no code {op:#x}")
        if op in (0x34, 0x94) and k == 0:
            raise _bad(at, "it divides by 0")
        if op in (0x64, 0x74) and k >= 32:
            raise _bad(at, f"it shifts by {k} bits")
        if op in (0x60, 0x61, 0x02, 0x03) and k >= _MEMORY:
            raise _bad(at, f"there is no memory word {k}")
        if op == 0x05 and k >= count - at - 1:
            raise _bad(at, "it jumps behind the end")
        if op & 7 == _JMP and op != 0x05 and at + 1 + max(jt, jf) >= count:
            raise _bad(at, "it jumps behind the end")
        if op in _LOADS and k >= _SKF_AD_OFF + (1 << 32) and k - _SKF_AD_OFF - (1 << 32) not in _ANCILLARY:
            raise _bad(at, f"the stack has no ancillary data {k - _SKF_AD_OFF - (1 << 32)}")
    if program[count - 1][0] not in (0x06, 0x16):
        raise _bad(count - 1, "the last instruction does not return")
    _check_memory(program)


def _check_memory(program: list[Any]) -> None:  # python
    """Check that each memory word is stored before it is loaded, on every path."""
    valid = 0
    masks = [0xFFFF] * len(program)
    for at, (op, jt, jf, k) in enumerate(program):
        valid &= masks[at]
        if op in (0x02, 0x03):
            valid |= 1 << k
        elif op in (0x60, 0x61):
            if not valid & 1 << k:
                raise _bad(at, f"memory word {k} may not have a value")
        elif op == 0x05:
            masks[at + 1 + k] &= valid
            valid = 0xFFFF
        elif op & 7 == _JMP:
            masks[at + 1 + jt] &= valid
            masks[at + 1 + jf] &= valid
            valid = 0xFFFF


def run(program: Program, core: Core | None, iface: Iface | None, pkt: Packet, start: int, end: int) -> int:
    """Run a program on pkt.frame[start:end]. Returns the number of bytes to keep, which may be more than there are."""
    p = program.code
    a = 0
    x = 0
    pc = 0
    while True:
        op = p[pc]
        high = p[pc + 6] | (p[pc + 7] << 8)
        k = high * 65536 + (p[pc + 4] | (p[pc + 5] << 8))
        kind = op & 7
        value = x if op & 8 else k
        if kind == 5:
            if op == 0x05:
                pc += 8 * k
            elif _holds(op & 0xF0, a, value):
                pc += 8 * p[pc + 2]
            else:
                pc += 8 * p[pc + 3]
        elif kind == 4:
            found = _calculate(op & 0xF0, a, value)
            if found < 0:
                return 0
            a = found
        elif kind == 6:
            return a if op & 0x18 else k
        elif kind == 7:
            if op & 0x80:
                a = x
            else:
                x = a
        elif kind == 2:
            program.mem[k] = a
        elif kind == 3:
            program.mem[k] = x
        else:
            found = _load(program, core, iface, pkt, op, k, a, x, start, end)
            if found < 0:
                return 0
            if kind == 0:
                a = found
            else:
                x = found
        pc += 8


def _holds(op: int, a: int, value: int) -> bool:
    """Return the result of a comparison."""
    if op == 0x10:
        return a == value
    if op == 0x20:
        return a > value
    if op == 0x30:
        return a >= value
    return a & value != 0


def _calculate(op: int, a: int, value: int) -> int:
    """Return the result of an operation on 32 bits, or -1 for a division by zero, which ends the program."""
    if op == 0x00:
        return (a + value) & C.M32
    if op == 0x10:
        return (a + (value ^ C.M32) + 1) & C.M32
    if op == 0x20:
        return (a * value) & C.M32
    if op == 0x40:
        return a | value
    if op == 0x50:
        return a & value
    if op == 0x60:
        return (a << (value & 31)) & C.M32
    if op == 0x70:
        return a >> (value & 31)
    if op == 0x80:
        return ((a ^ C.M32) + 1) & C.M32
    if op == 0xA0:
        return a ^ value
    if value == 0:
        return -1
    if op == 0x30:
        return a // value
    return a % value


def _load(
    program: Program,
    core: Core | None,
    iface: Iface | None,
    pkt: Packet,
    op: int,
    k: int,
    a: int,
    x: int,
    start: int,
    end: int,
) -> int:
    """Return what a load instruction reads, or -1 if the packet does not have it, which ends the program."""
    mode = op & 0xE0
    if mode == 0x00:
        return k
    if mode == 0x60:
        return program.mem[k]
    if mode == 0x80:
        return end - start
    offset = k
    if mode == 0x40:
        offset = (x + k) & C.M32
    if offset >> 31 != 0:
        offset = offset - C.M32 - 1
    if mode == 0x20 and offset >= -0x1000 and offset < 0:
        return _ancillary(core, iface, pkt, offset + 0x1000, a, x)
    size = 4
    if op & 0x18 == 0x08:
        size = 2
    elif op & 0x18 == 0x10:
        size = 1
    if offset >= 0:
        offset += start
    elif offset >= -0x100000:
        offset += 0x100000 + pkt.ip_off
    elif offset >= -0x200000 and pkt.ip_off >= pkt.l2_off + C.ETH_HLEN:
        offset += 0x200000 + pkt.l2_off
    else:
        return -1
    if offset + size > end:
        return -1
    p = pkt.frame
    if mode == 0xA0:
        return 4 * (p[offset] & 15)
    found = 0
    while size > 0:
        found = found * 256 + p[offset]
        offset += 1
        size -= 1
    return found


def _ancillary(core: Core | None, iface: Iface | None, pkt: Packet, which: int, a: int, x: int) -> int:
    """Return ancillary data about a packet. What the stack's packets never have, such as a mark, is 0, as it is on Linux."""
    if which == 40:
        return a ^ x
    if which == 0:
        return C.ETH_P_IP if pkt.proto >= 0 else pkt.eth_type
    if which == 56:
        return 0 if core is None else core.rng.u32()
    if iface is None:
        return 0
    if which == 4:
        if pkt.proto < 0:
            # a packet socket's frame, whose IP header was not parsed (sockets/packets.py)
            return pkt.dst_kind
        if not pkt.l2_group or iface.kind != C.LINK_ETHERNET:
            return 0
        return 1 if pkt.eth_dst == ethernet.BROADCAST else 2
    if which == 8:
        return iface.index
    if which == 28:
        return _HATYPES[iface.kind]  # type: ignore[no-any-return]
    return 0


def keep(program: Program, frame: bytes, offset: int = 0) -> int:
    """Run a program on a frame outside of a stack, such as one for a capture. Returns the number of bytes to keep."""
    pkt = Packet()
    pkt.frame = frame
    pkt.ip_off = pkt.l2_off = offset
    return run(program, None, None, pkt, offset, len(frame))
