"""Classic BPF: the kernel runs the same programs on the same packets (by a pair of UNIX sockets, so nothing leaves the process)."""

import ctypes
import errno
import random
import socket
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pystack.sockets import sockopt
from pystack_c.filter import cbpf

SO_ATTACH_FILTER, SO_DETACH_FILTER = 26, 27
PACKETS = (b"", b"\x45", b"the second packet", bytes(range(256)) * 8)


def program(*instructions):
    """The bytes of (code, jt, jf, k)."""
    return b"".join(cbpf.INSTRUCTION.pack(*one) for one in instructions)


def fprog(code):
    """(a struct sock_fprog for a program, the memory to which it points)"""
    memory = ctypes.create_string_buffer(code, max(1, len(code)))
    return struct.pack("@HP", len(code) // 8, ctypes.addressof(memory)), memory


class Kernel:
    """A pair of UNIX sockets of the kernel, one with a filter."""

    def __init__(self):
        self.here, self.there = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.there.setblocking(False)

    def attach(self, code):
        """0 or the errno."""
        pointer, memory = fprog(code)
        try:
            self.there.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, pointer)
        except OSError as error:
            return error.errno
        finally:
            del memory
        return 0

    def run(self, packet):
        """The number of bytes that arrive, or -1 if none do."""
        self.here.send(packet)
        try:
            return len(self.there.recv(1 << 16))
        except BlockingIOError:
            return -1

    def close(self):
        self.here.close()
        self.there.close()


@pytest.fixture(scope="module")
def kernel():
    made = Kernel()
    yield made
    made.close()


def ours(code, packet):
    kept = cbpf.keep(cbpf.Program(code), packet)
    return min(kept, len(packet)) if kept else -1


def same(kernel, code):
    """Both accept the program and do the same with all packets, or both refuse it. Returns whether they accept it."""
    theirs = kernel.attach(code)
    try:
        cbpf.check(code)
        mine = 0
    except OSError as error:
        mine = error.errno
    shown = list(cbpf.INSTRUCTION.iter_unpack(code[: len(code) // 8 * 8]))
    assert mine == theirs, shown
    if theirs == 0:
        for packet in PACKETS:
            assert ours(code, packet) == kernel.run(packet), (shown, packet)
    return theirs == 0


RET_A = (0x16, 0, 0, 0)


def numbers(draw):
    return draw(
        st.one_of(
            st.integers(0, 40),
            st.sampled_from((255, 256, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)),
            st.integers(0, 0xFFFFFFFF),
        )
    )


@st.composite
def programs(draw):
    """Mostly valid programs, of all instructions that need no network header."""
    length = draw(st.integers(1, 14))
    out = []
    if draw(st.booleans()):
        out += [(0x02, 0, 0, word) for word in range(16)]
    for at in range(length):
        code = draw(st.sampled_from(CODES))
        jt = jf = 0
        k = numbers(draw)
        if code & 7 == 5:
            most = length - at - 1 + draw(st.sampled_from((0, 0, 0, 0, 0, 0, 2)))
            if code == 0x05:
                k = draw(st.integers(0, max(0, most)))
            else:
                jt, jf = draw(st.integers(0, max(0, most))), draw(st.integers(0, max(0, most)))
        elif code in (0x60, 0x61, 0x02, 0x03):
            k = draw(st.sampled_from((*range(16), *range(16), 16)))
        elif code in (0x64, 0x74):
            k = draw(st.sampled_from((0, 1, 7, 16, 31, 31, 32)))
        elif code in (0x20, 0x28, 0x30, 0x40, 0x48, 0x50, 0xB1) and draw(st.integers(0, 3)):
            k = draw(st.integers(0, 20))
        elif code in (0x20, 0x28, 0x30) and k >= 0xFFFFF000:
            k = draw(
                st.sampled_from((0xFFFFF000 + 40, 0xFFFFF000 + 3, 0xFFFFF000 + 64))
            )  # ALU_XOR_X, and what does not exist
        elif code & 0x1F in (0x04, 0x0C) and draw(st.booleans()):
            k = draw(st.integers(0, 9))
        out.append((code, jt, jf, k))
    # what is returned shows as many bits of A as a length can
    shift = draw(st.sampled_from((0, 0, 4, 11, 21)))
    return program(
        *out,
        (0x74, 0, 0, shift),
        (0x54, 0, 0, 0x7FF),
        RET_A if draw(st.integers(0, 9)) else (0x06, 0, 0, numbers(draw)),
    )


CODES = (*cbpf._CODES, *(code for code in cbpf._CODES if code & 7 not in (5, 6)), 0x0E, 0x1C, 0xFF, 0x24)


@settings(max_examples=1500)
@given(code=programs())
def test_the_kernel_does_the_same(kernel, code):
    same(kernel, code)


def test_many_random_programs(kernel):
    """As above, faster and without shrinking, and it knows how many of them ran."""
    rng = random.Random(7)
    ran = 0
    for _ in range(6000):
        out = [(0x02, 0, 0, word) for word in range(16)] if rng.random() < 0.7 else []
        length = rng.randint(1, 12)
        for at in range(length):
            code = rng.choice(CODES)
            k = rng.choice((rng.randrange(16), rng.randrange(30), rng.getrandbits(32)))
            jt, jf = rng.randint(0, length - at), rng.randint(0, length - at)
            if code in (0x20, 0x28, 0x30) and k >= 0xFFFFF000:
                k = 0xFFFFF000 + 40
            if code in (0x60, 0x61, 0x02, 0x03):
                k %= 16
            elif code in (0x64, 0x74):
                k %= 32
            elif code == 0x05:
                k = rng.randint(0, length - at)
            out.append((code, jt, jf, k))
        ran += same(kernel, program(*out, (0x54, 0, 0, 0x7FF), RET_A))
    assert ran > 2500


@pytest.mark.parametrize(
    "code",
    [
        b"",
        program(RET_A)[:7],
        program(*[(0x00, 0, 0, 0)] * 4095, RET_A),
        program(*[(0x00, 0, 0, 0)] * 4096, RET_A),
        program((0x05, 0, 0, 0)),
        program((0x05, 0, 0, 0xFFFFFFFF), RET_A),
        program((0x15, 0, 1, 0), RET_A),
        program((0x15, 1, 0, 0), RET_A),
        program((0x15, 0, 0, 0), RET_A),
        program((0x0E, 0, 0, 0)),
        program((0x34, 0, 0, 0), RET_A),
        program((0x94, 0, 0, 0), RET_A),
        program((0x3C, 0, 0, 0), RET_A),
        program((0x64, 0, 0, 32), RET_A),
        program((0x61, 0, 0, 3), RET_A),
        program((0x15, 0, 1, 7), (0x02, 0, 0, 3), (0x60, 0, 0, 3), RET_A),
        program((0x15, 1, 0, 7), (0x02, 0, 0, 3), (0x60, 0, 0, 3), RET_A),
        program((0x15, 0, 1, 7), (0x02, 0, 0, 3), (0x02, 0, 0, 3), (0x60, 0, 0, 3), RET_A),
        program((0x20, 0, 0, 0xFFFFF001), RET_A),
        program((0x20, 0, 0, 0xFFFFFFFF), RET_A),
        program((0x40, 0, 0, 0xFFFFFFFF), RET_A),
        program((0xB1, 0, 0, 0xFFFFFFFF), RET_A),
    ],
    ids=lambda code: code[:24].hex(),
)
def test_what_is_checked(kernel, code):
    if len(code) % 8 == 0:
        same(kernel, code)
    else:
        with pytest.raises(OSError, match="7 bytes"):
            cbpf.check(code)


@pytest.mark.parametrize("which", [12, 16, 32, 36, 52])
def test_ancillary_data_that_the_stack_lacks_is_refused(which):
    with pytest.raises(OSError, match=f"ancillary data {which}") as caught:
        cbpf.check(program((0x20, 0, 0, 0xFFFFF000 + which), RET_A))
    assert caught.value.errno == errno.EINVAL


def test_a_wrong_address_is_efault():
    code = program(RET_A)
    pointer, memory = fprog(code)
    assert sockopt._instructions(pointer) == code
    for wrong, expected in (
        (struct.pack("@HP", 1, 8), errno.EFAULT),
        (struct.pack("@HP", 1, (1 << 64) - 8), errno.EFAULT),
        (struct.pack("@HP", 1, 0), errno.EINVAL),
        (pointer[:-1], errno.EINVAL),
        (5, errno.EINVAL),
    ):
        with pytest.raises(OSError) as caught:
            sockopt._instructions(wrong)
        assert caught.value.errno == expected
    assert len(memory) == 8
