"""The summaries say what tcpdump says, and never raise."""

import io
import random
import re
import shutil
import struct
import subprocess

import pytest

import pystack_c.const as C
from pystack.trace import pcapng
from pystack.trace.summary import Summarizer
from tests import frames as f

A, B = "10.0.0.1", "10.0.0.2"
SYN_OPTIONS = bytes.fromhex("020405b4 0402 080a 00000064 00000000 01 030307")
SACK_OPTIONS = bytes.fromhex("0101 0512 000003e9 000005dd 000007d1 00000bb9 0000")


def tcp(*args, **kwargs) -> bytes:
    return f.ether(f.ipv4(args[0], args[2], 6, f.tcp(*args, **kwargs)))


def udp(payload: bytes) -> bytes:
    return f.ether(f.ipv4(A, B, 17, f.udp(A, 5000, B, 7, payload)))


def icmp(kind: int, code: int, rest: bytes = bytes(4), payload: bytes = b"") -> bytes:
    return f.ether(f.ipv4(B, A, 1, f.icmp(kind, code, rest, payload)))


OFFENDER = f.ipv4(A, B, 17, f.udp(A, 5000, B, 7, b"xy"))
FRAMES = {
    "arp request": f.ether(f.arp(1, f.MAC_A, A, 0, B), 0x0806),
    "arp reply": f.ether(f.arp(2, f.MAC_B, B, f.MAC_A, A), 0x0806),
    "arp announcement": f.ether(f.arp(1, f.MAC_A, A, 0, A), 0x0806),
    "arp probe": f.ether(f.arp(1, f.MAC_A, "0.0.0.0", 0, B), 0x0806),
    "syn": tcp(A, 4000, B, 7777, C.SYN, 1000, 0, options=SYN_OPTIONS),
    "syn-ack": tcp(B, 7777, A, 4000, C.SYN | C.ACK, 5000, 1001, options=b"\x02\x04\x05\xb4"),
    "ack": tcp(A, 4000, B, 7777, C.ACK, 1001, 5001),
    "data": tcp(A, 4000, B, 7777, C.ACK | C.PSH, 1001, 5001, b"x" * 100),
    "sack": tcp(B, 7777, A, 4000, C.ACK, 5001, 1001, options=SACK_OPTIONS[:20]),
    "fin": tcp(A, 4000, B, 7777, C.ACK | C.FIN, 1101, 5001),
    "rst": tcp(B, 7777, A, 4000, C.RST | C.ACK, 5001, 1102),
    "udp": udp(b"hello"),
    "echo": icmp(8, 0, struct.pack(">HH", 77, 3), bytes(56)),
    "echo reply": icmp(0, 0, struct.pack(">HH", 77, 3), bytes(56)),
    "port unreachable": icmp(3, 3, bytes(4), OFFENDER),
    "need to frag": icmp(3, 4, struct.pack(">HH", 0, 1400), OFFENDER),
    "host unreachable": icmp(3, 1, bytes(4), OFFENDER),
    "time exceeded": icmp(11, 0, bytes(4), OFFENDER),
    "reassembly": icmp(11, 1, bytes(4), OFFENDER),
}


def test_lines():
    lines = dict(zip(FRAMES, map(Summarizer().line, FRAMES.values()), strict=True))
    assert lines["arp request"] == "ARP, Request who-has 10.0.0.2 tell 10.0.0.1, length 28"
    assert lines["arp reply"] == "ARP, Reply 10.0.0.2 is-at 02:00:00:00:00:02, length 28"
    assert lines["syn"] == (
        "IP 10.0.0.1.4000 > 10.0.0.2.7777: Flags [S], seq 1000, win 1000, "
        "options [mss 1460,sackOK,TS val 100 ecr 0,nop,wscale 7], length 0"
    )
    assert lines["data"] == "IP 10.0.0.1.4000 > 10.0.0.2.7777: Flags [P.], seq 1:101, ack 1, win 1000, length 100"
    assert lines["fin"].endswith("Flags [F.], seq 101, ack 1, win 1000, length 0")
    assert lines["udp"] == "IP 10.0.0.1.5000 > 10.0.0.2.7: UDP, length 5"
    assert "10.0.0.2 udp port 7 unreachable" in lines["port unreachable"]
    first = f.ether(f.ipv4(A, B, 17, bytes(1480), fragment=0x2000))
    later = f.ether(f.ipv4(A, B, 17, bytes(100), fragment=185))
    assert Summarizer().line(first).endswith("(frag 7:1480@0+)")
    assert Summarizer().line(later) == "IP 10.0.0.1 > 10.0.0.2: udp (frag 7:100@1480)"
    # `tcpdump -s 64` keeps ten of these hundred bytes
    cut = FRAMES["data"][:64]
    assert Summarizer().line(cut) == (
        "IP 10.0.0.1.4000 > 10.0.0.2.7777: Flags [P.], seq 1:101, ack 1, win 1000, length 100 [90 bytes missing]"
    )
    segment = FRAMES["data"][34:]
    ends = b"".join(b"\xfe\x80" + bytes(13) + bytes([last]) for last in (1, 2))
    six = f.ether(bytes.fromhex("60000000") + struct.pack(">HBB", len(segment), 6, 64) + ends + segment, 0x86DD)
    line = "IP6 fe80::1.4000 > fe80::2.7777: Flags [P.], seq 1:101, ack 1, win 1000, length 100"
    assert Summarizer().line(six) == line and Summarizer().line(six[:84]) == f"{line} [90 bytes missing]"
    tun = Summarizer(C.LINK_IP)
    assert tun.line(OFFENDER) == "IP 10.0.0.1.5000 > 10.0.0.2.7: UDP, length 2"


@pytest.mark.skipif(shutil.which("tcpdump") is None, reason="needs tcpdump")
def test_tcpdump_says_the_same(tmp_path):
    out = io.BytesIO()
    writer = pcapng.PcapngWriter(out)
    writer.interface("eth0")
    for number, frame in enumerate(FRAMES.values()):
        writer.packet(0, number * 10**9, frame)
    path = tmp_path / "x.pcapng"
    path.write_bytes(out.getvalue())
    run = subprocess.run(
        ["tcpdump", "-nn", "-t", "-r", str(path)], capture_output=True, text=True, timeout=30, check=True
    )
    summarizer = Summarizer()
    for name, frame, theirs in zip(FRAMES, FRAMES.values(), run.stdout.splitlines(), strict=True):
        ours = summarizer.line(frame)
        if name == "sack":
            # tcpdump counts SACK edges from the connection's start, we print them as they are
            ours, theirs = (re.sub(r"sack 2 [^]]*", "sack", line) for line in (ours, theirs))
        if name in ("arp announcement", "arp probe"):
            continue  # we name them (RFC 5227); tcpdump calls every request a request
        assert ours == theirs, name


def test_never_raises():
    rng = random.Random(1)
    summarizer = Summarizer()
    for frame in FRAMES.values():
        for cut in range(len(frame)):
            assert "\n" not in summarizer.line(frame[:cut])
        for _ in range(200):
            bad = bytearray(frame)
            for _ in range(rng.randint(1, 6)):
                bad[rng.randrange(len(bad))] = rng.randrange(256)
            assert summarizer.line(bytes(bad))
    assert len(summarizer.base) <= 4096
