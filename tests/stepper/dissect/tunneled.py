"""A tunnel of VXLAN of the kernel, and DHCPv6 between dnsmasq and dhclient, captured in namespaces. And tunnels of all kinds, made by hand."""

import contextlib
import os
import socket
import struct
import tempfile
from functools import cache

from tests.stepper.dissect import six
from tests.stepper.dissect.corpus import Sample
from tests.support import build

B6 = "2001:db8::2"


@cache
def captured():
    """Return a capture of the link below the tunnel: pings in it, and DHCPv6."""
    from pystack.kernel.netns import Namespace

    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as undo:
        a, b = (undo.enter_context(Namespace.new()) for _ in range(2))
        six._link(a, b)
        for space, device, number in ((a, "c0", 1), (b, "s0", 2)):
            ends = f"local 10.9.0.{number} remote 10.9.0.{3 - number}"
            for words in (
                f"ip link set {device} up",
                f"ip addr add 10.9.0.{number}/24 dev {device}",
                f"ip link add vx type vxlan id 42 dstport 4789 {ends}",
                "ip link set vx up",
                f"ip addr add 10.5.0.{number}/24 dev vx",
                f"ip addr add fd05::{number}/64 dev vx nodad",
            ):
                space.run(words.split(), check=True, capture_output=True, timeout=30)
        path = f"{folder}/link.pcap"
        six._start(undo, a, ["tcpdump", "-i", "c0", "-U", "--immediate-mode", "-Z", "root", "-w", path])
        six.wait(lambda: os.path.exists(path) and os.path.getsize(path))
        for there in ("10.5.0.2", "fd05::2"):
            a.run(["ping", "-c", "1", "-W", "5", there], check=True, capture_output=True, timeout=60)
        _addresses(undo, a, b, folder)
        a.run(["ping", "-6", "-c", "1", "-p", b"the last one".hex(), B6], check=True, capture_output=True, timeout=60)
        six.wait(lambda: six._has(path, b"the last one"))
        undo.close()
        with open(path, "rb") as file:
            return file.read()


def _addresses(undo, a, b, folder):
    """The client asks for an address and for settings, renews nothing, and gives the address back."""
    serve = ["dnsmasq", "-k", "--conf-file=/dev/null", "--user=root", "--port=0", "--interface=s0", "--bind-interfaces"]
    serve += ["--dhcp-range=2001:db8::100,2001:db8::200,64,1h", "--dhcp-option=option6:dns-server,[2001:db8::53]"]
    serve += [f"--dhcp-leasefile={folder}/leases", f"--pid-file={folder}/dnsmasq", "--dhcp-authoritative"]
    six._start(undo, b, serve)
    six.wait(lambda: os.path.exists(f"{folder}/dnsmasq"))
    common = [
        "dhclient",
        "-6",
        "-v",
        "-sf",
        "/bin/true",
        "-lf",
        f"{folder}/lease",
        "-pf",
        f"{folder}/pid",
        "-cf",
        "/dev/null",
    ]
    show = "ip -6 -o addr show dev c0 scope link".split()
    six.wait(
        lambda: b"fe80" in (said := a.run(show, capture_output=True, timeout=30).stdout) and b"tentative" not in said
    )
    for options in (["-1"], ["-r"], ["-S", "-1"], ["-x"]):
        done = a.run([*common, *options, "c0"], capture_output=True, timeout=60)
        assert not done.returncode, done.stderr


# -- by hand -----------------------------------------------------------------------------------------------------------

A4, B4, C4, D4 = 0x0A090001, 0x0A090002, 0x0A010001, 0x0A010002
A16, B16, C16, D16 = (socket.inet_pton(socket.AF_INET6, f"2001:db8::{n}") for n in (1, 2, 3, 4))


def gre(inner, ethertype, key=None, sequence=None, checked=False):
    """A header of GRE and what it carries."""
    flags = (0x8000 if checked else 0) | (0x2000 if key is not None else 0) | (0x1000 if sequence is not None else 0)
    rest = (b"" if key is None else struct.pack(">I", key)) + (b"" if sequence is None else struct.pack(">I", sequence))
    head = struct.pack(">HH", flags, ethertype)
    if not checked:
        return head + rest + inner
    return head + build.inverted(head + bytes(4) + rest + inner).to_bytes(2, "big") + b"\0\0" + rest + inner


def vxlan(frame, number=42):
    """A header of VXLAN and a frame."""
    return struct.pack(">IHBB", 0x08000000, number >> 8, number & 255, 0) + frame


def inside():
    """Packets and frames that are carried: (ethertype, bytes)."""
    ping = build.ipv4(C4, D4, 1, build.icmp(8, 0, 0x00010002, b"ping" * 4))
    syn = build.ipv4(C4, D4, 6, build.tcp(C4, 4000, D4, 80, 2, 5, 0))
    ping6 = build.ipv6(C16, D16, 58, build.upper6(C16, D16, 58, b"\x80\0\0\0\0\1\0\2" + b"ping" * 4))
    who = build.ether(build.arp(1, 0x020000000003, C4, 0, D4)[14:], 0x0806)
    return [
        (0x0800, ping),
        (0x0800, syn),
        (0x86DD, ping6),
        (0x6558, build.ether(ping)),
        (0x6558, who),
        (0x6558, build.ether(ping6, 0x86DD)),
    ]


def nested(depth):
    """A ping in so many tunnels of GRE, one inside the other."""
    found = inside()[0][1]
    for _ in range(depth):
        found = build.ipv4(A4, B4, 47, gre(found, 0x0800))
    return found


def by_hand():
    """Each kind of tunnel with each thing that it can carry."""
    found = []

    def add(name, proto, payload):
        found.append(Sample(f"{name} over IPv4", build.ether(build.ipv4(A4, B4, proto, payload))))
        upper = build.upper6(A16, B16, proto, payload) if proto == 17 else payload
        found.append(Sample(f"{name} over IPv6", build.ether(build.ipv6(A16, B16, proto, upper), 0x86DD)))

    for number, (ethertype, inner) in enumerate(inside()):
        if ethertype != 0x6558:
            add(f"ip in ip {number}", 4 if ethertype == 0x0800 else 41, inner)
        for options in (
            {},
            {"key": 77},
            {"key": 5, "sequence": 9},
            {"checked": True},
            {"key": 1, "sequence": 2, "checked": True},
        ):
            add(f"gre {options} {number}", 47, gre(inner, ethertype, **options))
        if ethertype == 0x6558:
            add(f"vxlan {number}", 17, build.udp(A4, 40000, B4, 4789, vxlan(inner), checksum=0))
    add("gre of something", 47, gre(b"who knows", 0x1234))
    found.append(Sample("three tunnels", build.ether(nested(3))))
    return found


def messages():
    """mDNS, LLMNR and a relayed message of DHCPv6 with all options that have fields."""
    name = b"\x07printer\x05local\0"
    question = struct.pack(">HHHHHH", 0, 0, 2, 0, 0, 0) + name + b"\0\x01\x80\x01" + name + b"\0\x1c\0\1"
    record = name + b"\0\x01\x80\x01" + struct.pack(">IH", 120, 4) + bytes((10, 1, 0, 7))
    told = struct.pack(">HHHHHH", 0, 0x8400, 0, 2, 0, 0) + record + record[:-1] + b"\x08"
    host = b"\x04wpad\0"
    asks = struct.pack(">HHHHHH", 0x1234, 0, 1, 0, 0, 0) + host + b"\0\x01\0\1"
    says = (
        struct.pack(">HHHHHH", 0x1234, 0x8500, 1, 1, 0, 0)
        + host
        + b"\0\x01\0\1"
        + host
        + b"\0\x01\0\1"
        + struct.pack(">IH", 30, 4)
        + b"\n\1\0\7"
    )

    def option(kind, data):
        return struct.pack(">HH", kind, len(data)) + data

    address = option(5, D16 + struct.pack(">II", 1000, 0xFFFFFFFF)) + option(13, b"\0\0fine")
    prefix = option(26, struct.pack(">IIB", 1000, 2000, 56) + D16)
    reply = (
        bytes((7, 1, 2, 3)) + option(1, b"\0\3\0\1" + bytes(6)) + option(3, struct.pack(">III", 7, 500, 800) + address)
    )
    reply += (
        option(25, struct.pack(">III", 8, 500, 800) + prefix)
        + option(23, C16 + D16)
        + option(6, b"\0\x17\0\x18")
        + option(7, b"\xff")
    )
    reply += option(8, b"\0\x64") + option(14, b"")
    relayed = bytes((13, 1)) + C16 + D16 + option(9, reply) + option(18, b"eth0")

    def sample(what, port, data, there=B4):
        return Sample(what, build.ether(build.ipv4(A4, there, 17, build.udp(A4, port, there, port, data))))

    six = build.upper6(A16, B16, 17, struct.pack(">HHHH", 547, 547, 8 + len(relayed), 0) + relayed)
    bare = build.upper6(A16, B16, 17, struct.pack(">HHHH", 547, 546, 8 + len(reply), 0) + reply)
    return [
        sample("mdns question", 5353, question, 0xE00000FB), sample("mdns answer", 5353, told, 0xE00000FB),
        sample("llmnr question", 5355, asks, 0xE00000FC), sample("llmnr answer", 5355, says),
        Sample("relayed", build.ether(build.ipv6(A16, B16, 17, six), 0x86DD)),
        Sample("reply", build.ether(build.ipv6(A16, B16, 17, bare), 0x86DD)),
    ]  # fmt: skip
