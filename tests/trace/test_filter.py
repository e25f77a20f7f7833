"""Filters in tcpdump's language: tcpdump itself chooses the same frames, and so does the kernel on its sockets."""

import io
import random
import re
import shutil
import socket as std
import subprocess
import sys
import time

import pytest

from pystack import bpf, socket
from pystack.running import up
from pystack.trace import pcapng
from pystack.trace.annotate import FrameRecord, only
from pystack.trace.capture import PcapDevice
from pystack_c.const import LINK_ETHERNET, LINK_IP, LINK_LOOPBACK
from pystack_c.filter import cbpf
from tests import frames as f
from tests.phy.test_wrappers import Card

pytest.importorskip("cypcap")

ETHER = [
    f.ether(f.ipv4("10.0.0.1", "10.0.0.2", 6, f.tcp("10.0.0.1", 1234, "10.0.0.2", 80, 2, 1, 0))),
    f.ether(
        f.ipv4("10.0.0.2", "10.0.0.1", 6, f.tcp("10.0.0.2", 80, "10.0.0.1", 1234, 16, 1, 1, b"GET / HTTP/1.1\r\n"))
    ),
    f.ether(f.ipv4("10.0.0.1", "10.0.0.2", 17, f.udp("10.0.0.1", 53, "10.0.0.2", 5353, b"answer"))),
    f.ether(f.ipv4("10.9.0.1", "224.0.0.1", 17, f.udp("10.9.0.1", 9, "224.0.0.1", 9, bytes(600)))),
    f.ether(f.ipv4("10.0.0.1", "10.0.0.2", 1, b"\x08\0\xf7\xff\0\0\0\0")),
    bytes.fromhex("ffffffffffff0200000000010806000108000604000102000000000100000000000000000000" + "0a000001"),
    b"short",
]
EXPRESSIONS = (
    "",
    "tcp",
    "tcp port 80",
    "udp and not port 53",
    "host 10.0.0.2 and (icmp or arp)",
    "net 10.9.0.0/16",
    "tcp[tcpflags] & tcp-syn != 0",
    "tcp[((tcp[12] & 0xf0) >> 2):4] = 0x47455420",
    "greater 500",
    "ip multicast",
    "ether broadcast",
    "arp",
    "ip[8] = 64 and ip proto 17",
    "portrange 50-60",
    "ip6 or vlan",
)
#: expressions that need an Ethernet header
ON_ETHERNET = re.compile(r"^ether|^arp|vlan")


@pytest.mark.skipif(shutil.which("tcpdump") is None, reason="needs tcpdump")
@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_tcpdump_chooses_the_same(tmp_path, expression):
    path = tmp_path / "all.pcapng"
    with open(path, "wb") as file:
        writer = pcapng.PcapngWriter(file)
        number = writer.interface("eth0")
        for place, frame in enumerate(ETHER):
            writer.packet(number, place * 10**9, frame, pcapng.INBOUND)
    done = subprocess.run(
        ["tcpdump", "-nntt", "-r", str(path), expression], capture_output=True, text=True, timeout=30, check=True
    )
    theirs = [int(float(line.split()[0])) for line in done.stdout.splitlines() if line[0].isdigit()]
    matches = bpf.matcher(expression)
    assert [place for place, frame in enumerate(ETHER) if matches(frame, LINK_ETHERNET)] == theirs
    if ON_ETHERNET.search(expression):
        # Without an Ethernet header, nothing can match.
        assert not [frame for frame in ETHER if matches(frame[14:], LINK_IP)]
    else:
        assert [place for place, frame in enumerate(ETHER[:5]) if matches(frame[14:], LINK_IP)] == [
            n for n in theirs if n < 5
        ]


@pytest.mark.parametrize(
    "expression, text",
    [
        ("tcp prt 80", "syntax error"),
        ("port nosuchservice", "unknown port 'nosuchservice'"),
        ("host 1.2.3.400", "invalid IPv4 address"),
        ("tcp\0port", "NUL"),
        ("(" * 30 + "tcp", "syntax error"),
    ],
)
def test_errors_are_libpcaps_own(expression, text):
    with pytest.raises(bpf.FilterError, match=text):
        bpf.compile(expression)


def test_without_the_compiler_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "cypcap", None)
    with pytest.raises(bpf.CompilerMissing, match=r"pip install 'pystack\[filter\]'"):
        bpf.compile("tcp")


def test_every_program_of_the_compiler_is_accepted():
    for expression in EXPRESSIONS:
        cbpf.Program(bpf.compile(expression))
        if not ON_ETHERNET.search(expression):
            for start in (bpf.IP, bpf.TRANSPORT):
                cbpf.Program(bpf.compile(expression, start))


def chosen(make):
    """What arrives at UDP and raw sockets with filters, of datagrams from two ports and of two lengths."""
    seen = []
    for kind, proto in ((std.SOCK_DGRAM, 0), (std.SOCK_RAW, 17)):
        for expression in (
            "udp src port {}",
            "not port {}",
            "udp[8] = 65",
            "ip[8] = 3",
            "src host 127.0.0.1 and dst net 127.0.0.0/8",
            "tcp",
        ):
            sock, first, second = make(kind, proto), make(std.SOCK_DGRAM), make(std.SOCK_DGRAM)
            for one in (sock, first, second):
                one.bind(("127.0.0.1", 0))
                one.settimeout(0.05)
            target = make(std.SOCK_DGRAM)
            target.bind(("127.0.0.1", 0))
            to = sock.getsockname() if kind == std.SOCK_DGRAM else target.getsockname()
            bpf.attach(sock, expression.format(first.getsockname()[1]))
            second.setsockopt(0, 2, 3)
            for sender, data in ((first, b"A"), (first, b"B"), (second, b"A"), (second, b"B")):
                sender.sendto(data, to)
            if kind == std.SOCK_DGRAM:
                time.sleep(0.01)
                bpf.detach(sock)
                first.sendto(b"end", to)
            got = []
            try:
                while True:
                    got.append(sock.recv(100)[-1:])
            except TimeoutError:
                pass
            seen.append(got)
            for one in (sock, first, second, target):
                one.close()
    return seen


def test_sockets_of_the_kernel_and_of_the_stack_get_the_same():
    with up(tap=None, name="local") as running:
        ours = chosen(lambda kind, proto=0: running.socket(socket.AF_INET, kind, proto))
    try:
        theirs = chosen(lambda kind, proto=0: std.socket(std.AF_INET, kind, proto))
    except PermissionError:
        pytest.skip("needs the right to open raw sockets")
    assert ours == theirs
    assert ours[0] == [b"A", b"B", b"d"] and ours[5] == [b"d"]


def test_captures_leave_out_what_does_not_match():
    card = Card()
    try:
        out = io.BytesIO()
        device = PcapDevice(card, pcapng.PcapngWriter(out), matches=bpf.matcher("udp"))
        for frame in ETHER[:5]:
            card.far.send(frame)
            assert device.recv() is not None
        assert [one.data for one in pcapng.PcapngReader(io.BytesIO(out.getvalue()))] == ETHER[2:4]
    finally:
        card.close()
    kept = []
    sink = only(bpf.matcher("udp port 9"), kept.append, {"eth0": LINK_ETHERNET, "tun0": LINK_IP})
    records = [FrameRecord(0, "h", "eth0", "in", frame, 0, "") for frame in (*ETHER, b"")]
    records += [FrameRecord(0, "h", name, "in", ETHER[3][14:], 0, "") for name in ("tun0", "lo")]
    for record in records:
        sink(record)
    assert kept == [records[3], *records[-2:]]
    assert bpf.matcher("udp")(ETHER[3][14:], LINK_LOOPBACK)


def test_damaged_frames_end_no_filter():
    rng = random.Random(3)
    programs = [cbpf.Program(bpf.compile(expression)) for expression in EXPRESSIONS]
    for _ in range(300):
        frame = bytearray(rng.choice(ETHER))
        for _ in range(rng.randint(0, 4)):
            frame[rng.randrange(len(frame))] = rng.getrandbits(8)
        for program in programs:
            assert cbpf.keep(program, bytes(frame[: rng.randint(0, len(frame))])) >= 0
