"""The Internet checksum against a plain reference (RFC 1071)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pystack_c.wire import checksum
from tests import frames as f

words = st.integers(0, 0xFFFF)


def reference(data: bytes, acc: int = 0) -> int:
    """Word by word, end-around carry at each step."""
    total = acc
    for at in range(0, len(data), 2):
        total += (data[at] << 8) + (data[at + 1] if at + 1 < len(data) else 0)
        total = (total & 0xFFFF) + (total >> 16)
    return total


@given(st.binary(max_size=200), st.data(), words)
def test_any_part_of_any_bytes(data, draw, acc):
    off = draw.draw(st.integers(0, len(data)))
    end = draw.draw(st.integers(off, len(data)))
    want = reference(data[off:end], acc)
    assert checksum.sum_bytes(data, off, end, acc) == want
    assert checksum.sum_scratch(bytearray(data), off, end, acc) == want
    assert checksum.sum_any(memoryview(data)[off:end], acc) == want
    assert checksum.sum_any(bytearray(data[off:end]), acc) == want
    assert checksum.checksum(data, off, end, acc) == want ^ 0xFFFF


@given(st.integers(0, 70000), st.integers(0, 255))
def test_long_runs_of_one_byte(length, byte):
    data = bytes([byte]) * length
    assert checksum.sum_any(data, 0) == reference(data)


@pytest.mark.parametrize(
    "word", [b"\xff" * 8, b"\xff" * 7 + b"\0", b"\0" * 7 + b"\xff", b"\x80" + b"\0" * 7, b"\xfe\xff" * 4]
)
def test_words_that_carry(word):
    # Sums of 64-bit words, whose carries are counted: where each of them, or every other one, carries.
    for other in (word, bytes(8), bytes(255 - byte for byte in word)):
        for words in (8, 9, 11, 100, 187, 8191):
            data = (word + other) * (words // 2) + word * (words & 1) + b"\x12\x34\x56"
            assert checksum.sum_any(data, 7) == reference(data, 7)


@given(st.binary(max_size=64), st.binary(max_size=64))
def test_pieces_chain_even_at_odd_offsets(a, b):
    first = checksum.sum_any(a, 0)
    second = checksum.sum_any(b, 0)
    if len(a) & 1:
        second = checksum.swap(second)
    assert checksum.add(first, second) % 0xFFFF == reference(a + b) % 0xFFFF


@given(st.integers(0, 0xFFFFFFFF), st.integers(0, 0xFFFFFFFF), st.integers(0, 255), words)
def test_pseudo_header(src, dst, proto, length):
    data = src.to_bytes(4, "big") + dst.to_bytes(4, "big") + bytes((0, proto)) + length.to_bytes(2, "big")
    assert checksum.pseudo_sum(src, dst, proto, length) == reference(data)


@given(st.binary(min_size=20, max_size=20), words)
def test_incremental_update_agrees_with_a_full_sum(header, new):
    """RFC 1624: HC' = ~(~HC + ~m + m')."""
    header = b"\x45" + header[1:]  # an IPv4 header is never all zero
    old = int.from_bytes(header[8:10], "big")
    body = header[:10] + b"\0\0" + header[12:]
    before = reference(body) ^ 0xFFFF
    after = reference(body[:8] + new.to_bytes(2, "big") + body[10:]) ^ 0xFFFF
    assert checksum.update(before, old, new) == after


def test_the_classic_example():
    """The header that every textbook sums up."""
    header = bytes.fromhex("45000073000040004011b861c0a80001c0a800c7")
    assert checksum.checksum(header, 0, 20, 0) == 0
    assert checksum.checksum(header[:10] + b"\0\0" + header[12:], 0, 20, 0) == 0xB861
    assert f.ones(header) == 0xFFFF
