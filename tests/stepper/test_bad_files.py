"""Files that are no good: one line that says what is wrong and where, whatever the file is."""

import gzip
import io
import random
import re
import struct
import zlib

import pytest
from click.testing import CliRunner

from pystack.cli.main import cli
from pystack.sim.network import MS, Network, S
from pystack.stepper import Timeline, scenarios
from pystack.trace import format as fmt
from pystack.trace import values
from pystack.trace.errors import TraceError
from pystack.trace.recorder import Recorder
from pystack_c.config import Config


@pytest.fixture(scope="module")
def good() -> bytes:
    return scenarios.get("http-get").record()


def error_of(data: bytes, **options) -> str:
    with pytest.raises(TraceError) as caught:
        Timeline.of(data, "file.pytrace", **options)
    text = str(caught.value)
    assert "\n" not in text and text.startswith("file.pytrace: ")
    return text


def capture(pcapng: bool) -> bytes:
    if not pcapng:
        return struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)
    out = io.BytesIO()
    kept = {}
    out.close = lambda: kept.update(data=out.getvalue())
    with Network(1) as net:
        a, b = net.host("a"), net.host("b")
        net.link(a, b, addrs=("10.0.0.1/24", "10.0.0.2/24"), delay=MS)
        net.annotated_capture(out)
        net.run(S)
    return kept["data"]


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "it is empty"),
        (b"PYST", "truncated after 4 bytes"),
        (b"PYSTACKT", "truncated after 8 bytes"),
        (b"PYSTACKT\x09" + bytes(100), "format version 9, but this pystack reads version 1"),
        (b"PYSTACKT\x01", "truncated"),
        (b"GET / HTTP/1.0\r\n\r\n", "it is text, beginning 'GET / HTTP/1.0'"),
        ("für Elise\n".encode(), "it is text"),
        (b"\n\n\n", "it is blank text"),
        (gzip.compress(b"x", mtime=0), "compressed by gzip"),
        (b"\x7fELF" + bytes(60), "it is a program"),
        (bytes(64), "it begins with the bytes 00 00"),
        (b"PK\x03\x04" + bytes(20), "a zip archive"),
        (b"<!DOCTYPE html>", "an HTML page"),
    ],
    ids=range(13),
)
def test_foreign_files(data, says):
    assert says in error_of(data)


@pytest.mark.parametrize("pcapng", [False, True])
def test_a_capture_without_frames_is_told_from_a_recording(pcapng):
    assert "the capture contains no frames" in error_of(capture(pcapng))


def test_truncated_anywhere(good):
    for length in range(9, len(good), 97):
        assert re.search(r"truncated.*\(chunk at byte \d+, after record \d+\)", error_of(good[:length]))


def test_one_bit_anywhere(good):
    """Every flipped bit is told: the checksum finds it, or the head does."""
    rnd = random.Random(1)
    for _ in range(150):
        bit = rnd.randrange(len(good) * 8)
        bad = bytearray(good)
        bad[bit >> 3] ^= 0x80 >> (bit & 7)
        text = error_of(bytes(bad))
        assert re.search(r"corrupted|truncated|not a pystack recording|format version", text), text


def test_random_bytes():
    rnd = random.Random(2)
    for _ in range(200):
        error_of(rnd.randbytes(rnd.randrange(1, 400)))
        error_of(b"PYSTACKT\x01" + rnd.randbytes(rnd.randrange(1, 400)))


def chunk(data: bytes) -> bytes:
    packed = zlib.compress(data)
    return struct.pack(">II", len(packed), zlib.crc32(packed)) + packed


def plain(good: bytes) -> bytes:
    """The records of a recording, unpacked."""
    at, parts = 9, []
    while at < len(good):
        (length,) = struct.unpack_from(">I", good, at)
        parts.append(zlib.decompress(good[at + 8 : at + 8 + length]))
        at += 8 + length
    return b"".join(parts)


def test_forged_with_right_checksums(good):
    """Bytes changed inside, checksums and all: an error of one line, or a run that is a run (never another exception)."""
    records = plain(good)
    rnd = random.Random(3)
    errors = 0
    for _ in range(250):
        bad = bytearray(records)
        for _ in range(rnd.choice((1, 1, 1, 4))):
            bad[rnd.randrange(len(bad))] = rnd.randrange(256)
        try:
            Timeline.of(b"PYSTACKT\x01" + chunk(bytes(bad)), "file.pytrace")
        except TraceError as error:
            errors += 1
            assert "\n" not in str(error) and str(error).startswith("file.pytrace: ")
    assert errors > 200


def test_control_the_unchanged_records_are_fine(good):
    assert len(Timeline.of(b"PYSTACKT\x01" + chunk(plain(good))).events) == len(Timeline.of(good).events)


def test_a_recording_of_another_core_says_so(good):
    """One frame's byte is another: what a core that decides differently would have recorded."""
    records = plain(good)
    at = records.index(b"HTTP/1.0 200") if b"HTTP/1.0 200" in records else len(records) // 2
    bad = records[:at] + bytes((records[at] ^ 1,)) + records[at + 1 :]
    text = error_of(b"PYSTACKT\x01" + chunk(bad))
    assert re.search(r"differs at|cannot be replayed|corrupted", text)


def test_a_setting_that_this_core_does_not_have(good):
    records = plain(good).replace(b"tcp_delack_time", b"tcp_delack_tame")
    assert "it was made with another version of the core" in error_of(b"PYSTACKT\x01" + chunk(records))


def test_two_hosts_of_one_name():
    out = bytearray()
    for _ in range(2):
        out.append(fmt.HOST)
        values.put_bytes(out, b"a")
        values.put_bytes(out, b"1")
        values.put_value(out, {})
    assert "two hosts are named 'a'" in error_of(b"PYSTACKT\x01" + chunk(bytes(out)))


def test_no_host_at_all():
    out = bytearray((fmt.END,))
    values.put_number(out, 0)
    assert "contains no host" in error_of(b"PYSTACKT\x01" + chunk(bytes(out)))


def noted(*notes):
    """A recording of one host that contains these notes: (kind, number, parent)."""
    out = Kept()
    recorder = Recorder(out)
    host = recorder.host("a", 1, Config())
    for kind, number, parent in notes:
        host.note(0, kind, "", "", "", NOTED[kind] | {"number": number, "parent": parent})
    recorder.close()
    return out.kept


NOTED = {
    "program": {"why": "sleep", "began": 0, "woken": -1, "after": 0},
    "wire": {
        "link": "a-b/ab", "length": 60, "crc": 0, "sent": 0, "begin": 9, "end": 9, "delay": 0, "to": 0, "arrivals": [9],
    },
}  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "what"), [("program", "step"), ("wire", "passage")], ids=["programs", "frames on links"]
)
def test_notes_that_would_lead_in_circles(kind, what):
    assert Timeline.of(noted((kind, 1, 0), (kind, 2, 1))).hosts == ["a"]  # control
    assert f"the {what} 1 has the parent 1, which did not come before it" in error_of(noted((kind, 1, 1)))
    assert f"the {what} 2 has the parent -1" in error_of(noted((kind, 1, 0), (kind, 2, -1)))
    assert f"the {what} 3 is noted where 2 follows" in error_of(noted((kind, 1, 0), (kind, 3, 1)))


def test_a_passage_is_noted_once_and_a_step_for_each_host():
    assert "the passage 1 is noted where 2 follows" in error_of(noted(("wire", 1, 0), ("wire", 1, 0)))
    assert Timeline.of(noted(("program", 1, 0), ("program", 1, 0))).hosts == ["a"]


# -- what a crash leaves ---------------------------------------------------------------------------------------------


class Kept(io.BytesIO):
    kept = b""

    def close(self) -> None:
        self.kept = self.getvalue()


def flushed() -> bytes:
    """A recording whose writer was killed: chunks, and no end."""
    out = Kept()
    net = Network(1)
    recorder = net.record(out)
    a, b = net.host("a"), net.host("b")
    net.link(a, b, addrs=("10.0.0.1/24", "10.0.0.2/24"), delay=MS)
    for number in range(5):
        scenarios.link.datagram(a).sendto(b"hello", "10.0.0.2", 9)
        net.run((number + 1) * 100 * MS)
        recorder.flush()
    return out.getvalue()


def test_a_recording_that_was_cut_off_loads_as_far_as_it_goes():
    data = flushed()
    assert "the recording has no end" in error_of(data)
    whole = Timeline.of(data, partial=True)
    assert not whole.complete and len(whole.frames) >= 10
    half = Timeline.of(data[: len(data) - 30], partial=True)
    assert 0 < len(half.frames) < len(whole.frames)
    assert [str(entry) for entry in half.events] == [str(entry) for entry in whole.events[: len(half.events)]]


def test_a_crash_of_the_core_is_the_last_event(monkeypatch):
    """The core raises while a frame is received: the live run stopped there, and the replay shows where."""
    from pystack_c.stack import Stack

    class Broken(Stack):
        received = 0

        def receive(self, iface, frame, now, offset=0, flags=0, gso_size=0):
            self.received += 1
            Stack.receive(self, iface, frame, now, offset, flags, gso_size)
            if self.name == "b" and self.received == 4:
                raise ZeroDivisionError("integer division or modulo by zero")

    data = scenarios.get("http-get").record()
    monkeypatch.setattr("pystack_c.stack.Stack", Broken)
    assert "ZeroDivisionError" in error_of(data)
    timeline = Timeline.of(data, partial=True)
    last = timeline.events[-1]
    assert last.kind == "crash" and last.host == "b" and "ZeroDivisionError" in last.reason
    assert "receive" in last.fields["traceback"] and not timeline.complete
    assert timeline.state(last.index)
    monkeypatch.undo()
    whole = Timeline.of(data)
    assert [str(one) for one in timeline.events[:-1]] == [str(one) for one in whole.events[: last.index]]
    assert len(whole.events) > len(timeline.events)


# -- the command -----------------------------------------------------------------------------------------------------


def test_the_command_says_it_in_one_line(tmp_path, good):
    cases = {
        "cut.pytrace": (good[:-40], "truncated"),
        "page.pytrace": (b"hello\n", "it is text"),
        "empty.pytrace": (b"", "it is empty"),
    }
    for name, (data, says) in cases.items():
        path = tmp_path / name
        path.write_bytes(data)
        result = CliRunner().invoke(cli, ["step", str(path), "--text"])
        assert result.exit_code == 1 and says in result.output and len(result.output.splitlines()) == 1
        assert ("--partial accepts the part" in result.output) == (name == "cut.pytrace")
    assert CliRunner().invoke(cli, ["step", str(tmp_path / "none"), "--text"]).exit_code == 2
    assert CliRunner().invoke(cli, ["step", str(tmp_path), "--text"]).exit_code == 1


def test_the_command_takes_a_good_one(tmp_path, good):
    path = tmp_path / "good.pytrace"
    path.write_bytes(good)
    result = CliRunner().invoke(cli, ["step", str(path), "--text"])
    assert result.exit_code == 0 and "Flags [S.]" in result.output
    assert "the same forwards, backwards" in CliRunner().invoke(cli, ["step", str(path), "--verify"]).output
