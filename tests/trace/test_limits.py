"""Small files that would make much: each is refused with a message that says how to take it all the same."""

import io
import struct
import tracemalloc
import zlib

import pytest

from pystack.stepper import Timeline
from pystack.trace import cursor, limits, values
from pystack.trace import format as fmt
from pystack.trace.errors import TraceError
from pystack.trace.replay import Replay, replay


def record(kind: int, *fields: object) -> bytes:
    """One record; ints unsigned, times as differences."""
    out = bytearray((kind,))
    for code, field in zip(fmt.RECORDS[kind][1], fields, strict=True):
        if code == "n":
            values.put_number(out, field)
        elif code in "tz":
            values.put_signed(out, field)
        elif code == "v":
            values.put_value(out, field)
        else:
            values.put_bytes(out, field)
    return bytes(out)


def file(*records: bytes, chunk: int = 1 << 21) -> bytes:
    """A recording, as tightly packed as can be."""
    plain = b"".join(records)
    out = b"PYSTACKT\x01"
    for at in range(0, len(plain), chunk):
        data = zlib.compress(plain[at : at + chunk], 9)
        out += struct.pack(">II", len(data), zlib.crc32(data)) + data
    return out


HOST = record(fmt.HOST, b"h", b"1", {})
OPEN = record(fmt.FUNCTION, b"pystack_c.tcp.user:tcp_open")
BOMBS = {
    "hosts": (record(fmt.HOST, b"h", b"1", {}) * 20_000, "more than 1024 hosts"),
    "sockets": (HOST + OPEN + record(fmt.CALL, 0, 0, 0, 0, ()) * 100_000, "sockets and routes within"),
    "functions": (HOST + OPEN * 40_000, "sockets and routes within"),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_small_file_makes_no_gigabytes(name):
    records, text = BOMBS[name]
    data = file(records)
    assert len(data) < 4096
    tracemalloc.start()
    try:
        with pytest.raises(TraceError, match=text) as caught:
            replay(io.BytesIO(data), name="bomb")
        assert "--trusted" in str(caught.value) and "\n" not in str(caught.value)
        assert tracemalloc.get_traced_memory()[1] < 200 << 20
    finally:
        tracemalloc.stop()
    with pytest.raises(TraceError, match=text if name != "hosts" else "two hosts"):
        Timeline.of(data)


def test_a_trusted_one_is_taken():
    """Control: the same records are a recording."""
    end = record(fmt.END, 6_002)
    data = file(HOST + OPEN + record(fmt.CALL, 0, 0, 0, 0, ()) * 6_000, end)
    assert replay(io.BytesIO(data), trusted=True).calls == 6_000
    with pytest.raises(TraceError, match="--trusted"):
        replay(io.BytesIO(data))


def test_what_a_recording_may_set():
    for name, most in limits.SETTINGS.items():
        good, bad = ({name: size} for size in (most, most + 1))
        player = Replay(io.BytesIO(file(record(fmt.HOST, b"h", b"1", good), record(fmt.END, 1))))
        assert player.run().hosts == 1
        bomb = file(record(fmt.HOST, b"h", b"1", bad), record(fmt.END, 1))
        with pytest.raises(TraceError, match=f"it sets {name} to .*--trusted"):
            replay(io.BytesIO(bomb))
        assert replay(io.BytesIO(bomb), trusted=True).hosts == 1


def test_the_limit_is_of_all_records_together():
    """A file that expands to 48 MB in many chunks, against a limit of 1 MB."""
    data = file(record(fmt.DRAINED, 0, 0) * (16 << 20), record(fmt.END, 16 << 20))[: 9 + 40_000]
    reader = fmt.RecordReader(io.BytesIO(data), "x", limit=1 << 20)
    with pytest.raises(TraceError, match="expands to more than the limit of 1048576 bytes"):
        for _ in reader:
            pass
    assert reader.records <= (1 << 20) // 3 and reader.expanded <= (1 << 20) + fmt.PIECE


def test_a_record_of_many_pieces_is_read_in_linear_work(monkeypatch):
    """Bytes that are joined and looked at again: at most a few times those that there are."""
    seen = []

    class Counting(cursor.ValueCursor):
        def __init__(self, data, more=False):
            super().__init__(data, more)
            seen.append(len(data))

    monkeypatch.setattr(fmt, "ValueCursor", Counting)
    size = 8 << 20
    data = file(record(fmt.META, bytes(size)), record(fmt.END, 1), chunk=1 << 24)
    found = list(fmt.RecordReader(io.BytesIO(data), "x"))
    assert found[0].fields == (bytes(size),)
    assert sum(seen) < 4 * size
    assert len(seen) < 20


def test_memory_for_reading_is_of_one_piece():
    """64 MB of small records in one chunk of a few KB need no more than some pieces."""
    data = file(record(fmt.RECEIVE, 0, 0, 1, 0, 0, bytes(60_000)) * 300, record(fmt.END, 300), chunk=1 << 25)
    tracemalloc.start()
    try:
        assert sum(1 for _ in fmt.RecordReader(io.BytesIO(data), "x")) == 300
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


def test_a_number_that_the_core_cannot_hold_is_an_error_of_one_line():
    """Compiled, it was an OverflowError out of the core."""
    setup = record(fmt.SETUP, 0, 0, b"add_route", (-10, 0, 0, values.IfaceRef(1)))
    with pytest.raises(TraceError, match="x: "):
        replay(io.BytesIO(file(HOST + setup)), name="x")


def test_what_a_record_says_makes_no_line_of_an_error():
    forged = record(fmt.FUNCTION, b"pystack_\nx: the same to the byte")
    with pytest.raises(TraceError, match="not an application call") as caught:
        replay(io.BytesIO(file(HOST + forged)), name="x")
    assert "\n" not in str(caught.value) and "\\nx: the same" in str(caught.value)


def test_a_file_that_cannot_be_read_is_closed(tmp_path, recwarn):
    path = tmp_path / "x.pytrace"
    path.write_bytes(b"nothing")
    with pytest.raises(TraceError):
        replay(str(path))
    assert not [one for one in recwarn if one.category is ResourceWarning]
