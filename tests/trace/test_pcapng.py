"""pcapng: what we write, we and tshark read; broken files give one line that says where."""

import io
import shutil
import struct
import subprocess

import pytest

from pystack.trace import pcapng
from pystack.trace.errors import TraceError

ARP = bytes.fromhex("ffffffffffff02000000000108060001080006040001020000000001 0a000001000000000000 0a000002")

PING = bytes.fromhex("020000000002 020000000001 0800 45000014000040004001 26e7 0a000001 0a000002")


def capture(**kwargs) -> bytes:
    out = io.BytesIO()
    writer = pcapng.PcapngWriter(out, **kwargs)
    eth0 = writer.interface("eth0", description="the first")
    tun0 = writer.interface("tun0", pcapng.LINKTYPE_RAW)
    writer.packet(eth0, 1_000_000_001, ARP, pcapng.OUTBOUND, ["who-has", "zweite Zeile: ü"])
    writer.secrets(b"CLIENT_RANDOM 00 11\n")
    writer.packet(tun0, 5_000_000_000_123_456_789, b"E" + bytes(19), pcapng.INBOUND)
    writer.packet(eth0, 0, ARP + b"x")
    return out.getvalue()


def frames_of(data: bytes) -> list:
    return list(pcapng.PcapngReader(io.BytesIO(data), "x.pcapng"))


def test_round_trip():
    reader = pcapng.PcapngReader(io.BytesIO(capture(comment="hello")), "x.pcapng")
    first, second, third = list(reader)
    assert (first.number, first.time, first.data, first.direction) == (1, 1_000_000_001, ARP, pcapng.OUTBOUND)
    assert first.comments == ["who-has", "zweite Zeile: ü"]
    assert first.interface.name == "eth0" and first.interface.units == 10**9
    assert (second.time, second.interface.linktype, second.direction) == (5_000_000_000_123_456_789, 101, 1)
    assert third.data == ARP + b"x" and third.comments == []
    assert reader.secrets == [b"CLIENT_RANDOM 00 11\n"]


def test_names_of_addresses(tmp_path):
    path, names = tmp_path / "x.pcapng", {"10.0.0.1": "Zoë", "2001:db8::1": "six"}
    writer = pcapng.PcapngWriter.open(str(path))
    writer.names({})
    writer.names(names)
    writer.packet(writer.interface("eth0"), 0, PING)
    writer.close()
    reader = pcapng.PcapngReader(io.BytesIO(path.read_bytes()))
    assert len(list(reader)) == 1 and reader.names == names
    if shutil.which("tshark"):
        command = ["tshark", "-r", str(path), "-N", "n", "-T", "fields", "-e", "ip.src_host", "-e", "ip.dst_host"]
        out = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
        assert out == "Zoë\t10.0.0.2\n"


def test_big_endian_file_is_read():
    def block(kind, body):
        return struct.pack(">II", kind, 12 + len(body)) + body + struct.pack(">I", 12 + len(body))

    data = block(pcapng.SHB, struct.pack(">IHHq", pcapng.BYTE_ORDER_MAGIC, 1, 0, -1))
    data += block(pcapng.IDB, struct.pack(">HHI", 1, 0, 0))
    data += block(0x0BAD, b"none")
    data += block(pcapng.EPB, struct.pack(">IIIII", 0, 0, 1_500_000, 4, 4) + b"abcd")
    (frame,) = frames_of(data)
    assert frame.time == 1_500_000_000 and frame.data == b"abcd"  # microseconds by default


def test_truncated_at_every_byte_is_one_line_or_a_shorter_capture():
    data = capture()
    whole = len(frames_of(data))
    for cut in range(1, len(data)):
        try:
            got = len(frames_of(data[:cut]))
        except TraceError as error:
            assert "\n" not in str(error) and "x.pcapng" in str(error) and "at byte" in str(error)
        else:
            assert got < whole  # cut exactly between two blocks


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"\xd4\xc3\xb2\xa1" + bytes(20), "not a pcapng file"),
        (b"GIF89a..", "not a pcapng file"),
        (struct.pack("<III", pcapng.SHB, 28, 7), "byte-order"),
        (capture()[:40] + struct.pack("<II", 6, 13), "impossible length 13"),
    ],
)
def test_foreign_and_broken_files(data, text):
    if text.startswith("impossible"):
        shb = struct.unpack_from("<I", data, 4)[0]
        data = capture()[:shb] + data[-8:]
    with pytest.raises(TraceError, match=text):
        frames_of(data)


def test_flush_writes_each_packet_at_once():
    class Pipe(io.BytesIO):
        flushed = 0

        def flush(self):
            self.flushed = self.tell()

    pipe = Pipe()
    writer = pcapng.PcapngWriter(pipe, flush=True)
    writer.packet(writer.interface("eth0"), 0, ARP)
    assert pipe.flushed == len(pipe.getvalue()) > 0
    pipe = Pipe()
    pipe.seekable = lambda: False  # as a real one: found out by itself
    writer = pcapng.PcapngWriter(pipe)
    writer.packet(writer.interface("eth0"), 0, ARP)
    assert pipe.flushed == len(pipe.getvalue()) > 0
    quiet = Pipe()
    writer = pcapng.PcapngWriter(quiet)
    writer.packet(writer.interface("eth0"), 0, ARP)
    assert quiet.flushed == 0


@pytest.mark.skipif(shutil.which("tshark") is None, reason="needs tshark")
def test_tshark_reads_it(tmp_path):
    path = tmp_path / "x.pcapng"
    path.write_bytes(capture())
    fields = ["number", "time_epoch", "interface_name", "comment", "packet_flags_direction"]
    command = ["tshark", "-r", str(path), "-T", "fields"]
    for field in fields:
        command += ["-e", f"frame.{field}"]
    out = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout.splitlines()
    rows = [line.split("\t") for line in out]
    assert len(rows) == 3
    assert rows[0][2] == "eth0" and "who-has" in rows[0][3] and "zweite Zeile: ü" in rows[0][3]
    assert rows[0][1].endswith("000000001") or rows[0][1].endswith("000000001Z")
    assert rows[0][4] in ("2", "0x00000002") and rows[1][4] in ("1", "0x00000001")
    path.write_bytes(capture()[:-7])
    cut = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert cut.returncode != 0  # the control: tshark does notice a broken file


@pytest.mark.skipif(shutil.which("capinfos") is None, reason="needs capinfos")
def test_capinfos_reads_it(tmp_path):
    path = tmp_path / "x.pcapng"
    path.write_bytes(capture())
    command = ["capinfos", "-M", "-c", "-I", str(path)]
    out = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    assert "Number of packets:   3" in out
    assert "nanoseconds" in out
    assert "Number of packets = 2" in out and "Number of packets = 1" in out  # by interface


@pytest.mark.skipif(shutil.which("tshark") is None, reason="needs tshark")
def test_a_live_reader_sees_each_packet_as_it_is_written():
    with subprocess.Popen(
        ["tshark", "-l", "-i", "-", "-T", "fields", "-e", "frame.comment"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=False,
    ) as reader:
        writer = pcapng.PcapngWriter(reader.stdin)
        number = writer.interface("eth0")
        for count in range(3):
            writer.packet(number, count, ARP, comments=[f"packet {count}"])
            assert reader.stdout.readline() == b"packet %d\n" % count
        writer.close()
