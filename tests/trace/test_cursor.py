"""The reader of numbers and values: numbers of all lengths, their bounds, and where the cursor is after too little data."""

import pytest

from pystack.trace import values
from pystack.trace.cursor import BadData, ShortData, ValueCursor

#: numbers around each length of their encoding
NUMBERS = sorted({n for bits in range(65) for n in ((1 << bits) - 1, 1 << bits, (1 << bits) + 1) if n < 1 << 64})


def encoded(put, value):
    out = bytearray()
    put(out, value)
    return bytes(out)


def test_numbers_of_all_lengths():
    data = b"".join(encoded(values.put_number, number) for number in NUMBERS)
    cursor = ValueCursor(data)
    assert [cursor.number() for _ in NUMBERS] == NUMBERS
    assert cursor.at == len(data)


def test_signed_numbers_of_all_lengths():
    numbers = [sign * (number >> 1) for number in NUMBERS for sign in (1, -1)]
    cursor = ValueCursor(b"".join(encoded(values.put_signed, number) for number in numbers))
    assert [cursor.signed() for _ in numbers] == numbers


@pytest.mark.parametrize("bits", [1, 55, 56, 57, 63, 64, 65, 200, 510])
def test_numbers_in_values(bits):
    for number in (1 << bits, (1 << bits) - 1, -(1 << bits) + 1):
        assert ValueCursor(encoded(values.put_value, number)).value() == number


def test_the_first_number_that_is_too_long():
    with pytest.raises(BadData, match="more than 64 bits"):
        ValueCursor(encoded(values.put_number, 1 << 64)).number()
    with pytest.raises(BadData, match="without an end"):
        ValueCursor(b"\x80" * 10 + b"\x01").number()
    with pytest.raises(BadData, match="more than 512 bits"):
        ValueCursor(encoded(values.put_value, 1 << 511)).value()


def test_zeros_in_front_count():
    """A number may be longer than it need be, up to its most bits."""
    assert ValueCursor(b"\x85" + b"\x80" * 8 + b"\x00").number() == 5
    assert ValueCursor(b"\x80\x00").number() == 0


@pytest.mark.parametrize("more, error", [(True, ShortData), (False, BadData)])
def test_data_that_ends_too_early(more, error):
    whole = encoded(values.put_value, ("text", 1 << 40, b"bytes", 2.5, {"a": [1, None, True]}))
    assert ValueCursor(whole).value() == ("text", 1 << 40, b"bytes", 2.5, {"a": [1, None, True]})
    for size in range(len(whole)):
        with pytest.raises(BadData) as caught:
            ValueCursor(whole[:size], more).value()
        assert caught.type is error


def test_fields_and_times():
    out = bytearray()
    for number in (3, 300):
        values.put_number(out, number)
    values.put_signed(out, -7)
    values.put_bytes(out, b"frame")
    values.put_bytes(out, "Grüße".encode())
    values.put_signed(out, -(1 << 63))
    values.put_value(out, [1.5])
    cursor = ValueCursor(bytes(out))
    assert cursor.fields("nntbszv", 1000) == [3, 300, 993, b"frame", "Grüße", -(1 << 63), [1.5]]
    assert cursor.time == 993 and cursor.at == len(out)
    for time, step in ((1 << 62, 1 << 62), (-(1 << 62), -(1 << 62) - 1)):
        with pytest.raises(BadData, match="a time of more than 64 bits"):
            ValueCursor(encoded(values.put_signed, step)).fields("t", time)
    with pytest.raises(BadData, match="at most 131072"):
        ValueCursor(encoded(values.put_bytes, bytes((1 << 17) + 1))).fields("b", 0)
