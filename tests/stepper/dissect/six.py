"""IPv6 packets to dissect: what real programs send in namespaces of the kernel, and what is built by hand."""

import contextlib
import os
import random
import shutil
import socket
import subprocess
import sys
from functools import cache

import pystack_c.const as C
from tests.stepper.dissect.corpus import Sample
from tests.support import build
from tests.support.patience import PATIENCE, until

A, B = (socket.inet_pton(socket.AF_INET6, f"2001:db8::{n}") for n in (1, 2))
LOCAL = socket.inet_pton(socket.AF_INET6, "fe80::1")
ALL_HOSTS, ALL_ROUTERS = (socket.inet_pton(socket.AF_INET6, f"ff02::{n}") for n in (1, 2))
SERVER = "2001:db8::2"
#: the group of neighbours that the client's address puts it into
GROUP = socket.inet_pton(socket.AF_INET6, "ff02::1:ff00:1")
#: program -> Debian's package
PROGRAMS = {
    "tcpdump": "tcpdump", "ip": "iproute2", "nsenter": "util-linux", "ping": "iputils-ping", "curl": "curl", "dig": "bind9-dnsutils",
    "dnsmasq": "dnsmasq-base", "nginx": "nginx-light", "openssl": "openssl",
}  # fmt: skip
NGINX = """
daemon off; worker_processes 1; error_log stderr; pid {folder}/pid;
events {{}}
http {{ access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fast;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{ listen [::]:80; listen [::]:443 ssl; ssl_certificate {folder}/cert; ssl_certificate_key {folder}/key;
    ssl_protocols TLSv1.2; location / {{ return 200 "{page}"; }} }} }}
"""


def missing():
    """Return why the programs cannot run here, or ""."""
    found = [f"{name} (package {package})" for name, package in PROGRAMS.items() if shutil.which(name) is None]
    if found or os.geteuid() or sys.platform != "linux":
        return f"needs {', '.join(found) or 'root on Linux, for namespaces'}"
    return ""


#: tcpdump's options. Its buffer has a slot of the largest size for each frame: with the usual size, it would be eight.
TCPDUMP = ["tcpdump", "-U", "--immediate-mode", "-B", "32768", "-Z", "root"]


def wait(what, seconds=PATIENCE):
    assert until(what, seconds)


@cache
def captured():
    """Return the captures at the client's link, and at all of its interfaces at once, and curl's keys.

    The client pings, asks for a name, and fetches a page with and without TLS. A ping is in fragments, and a port is closed.
    """
    import tempfile

    from pystack.kernel.netns import Namespace

    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as undo:
        a, b = (undo.enter_context(Namespace.new()) for _ in range(2))
        _link(a, b)
        captures = {name: f"{folder}/{name}.pcap" for name in ("c0", "any")}
        for name, path in captures.items():
            _start(undo, a, [*TCPDUMP, "-i", name, "-w", path])
        wait(lambda: all(os.path.exists(path) and os.path.getsize(path) for path in captures.values()))
        b.run("ip link set s0 up".split(), check=True, capture_output=True, timeout=30)
        wait(lambda: _has(captures["c0"], b"\4\0\0\0" + GROUP))  # the client's report of its groups
        _talk(undo, a, b, folder)
        wait(lambda: _has(captures["c0"], b"the last one"))
        undo.close()
        found = []
        for path in (*captures.values(), f"{folder}/log"):
            with open(path, "rb") as file:
                found.append(file.read())
        return tuple(found)


def _link(a, b):
    """Join both namespaces by a pair of devices, with addresses that are used at once."""
    commands = [
        (a, "ip link add c0 type veth peer name s0"), (a, f"ip link set s0 netns /proc/{os.getpid()}/fd/{b.fd}"),
        (a, "ip link set c0 up"),
        (a, "ip addr add 2001:db8::1/64 dev c0 nodad"), (b, f"ip addr add {SERVER}/64 dev s0 nodad"),
    ]  # fmt: skip
    for space, words in commands:
        space.run(words.split(), check=True, capture_output=True, timeout=30)


def _start(undo, space, words, **options):
    process = space.popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options)
    undo.callback(process.wait, 30)
    undo.callback(process.terminate)


def _has(path, data):
    with open(path, "rb") as file:
        return data in file.read()


def _talk(undo, a, b, folder):
    from tests.stepper.dissect.wires import certificate

    certificate(folder)
    with open(f"{folder}/nginx", "w") as file:
        file.write(NGINX.format(folder=folder, page="x" * 3000))
    _start(undo, b, ["nginx", "-c", f"{folder}/nginx"])
    names = [
        "--no-resolv",
        "--no-hosts",
        "--address=/www.shop.test/2001:db8::80",
        f"--pid-file={folder}/dns",
        "--bind-interfaces",
    ]
    _start(undo, b, ["dnsmasq", "-k", "--conf-file=/dev/null", "--user=root", f"--listen-address={SERVER}", *names])

    def ask(*words, check=True, space=a):
        env = {**os.environ, "SSLKEYLOGFILE": f"{folder}/log"}
        return space.run(list(words), check=check, capture_output=True, timeout=60, env=env)

    page, name = (
        ("curl", "-6s", f"http://[{SERVER}]/"),
        ("dig", "-6", f"@{SERVER}", "www.shop.test", "AAAA", "+tries=1", "+time=20"),
    )
    # the server's host asks until there are answers: that is not in the capture
    wait(lambda: not ask(*page, check=False, space=b).returncode)
    wait(lambda: b"2001:db8::80" in ask(*name, check=False, space=b).stdout)
    ask(*page)
    assert b"2001:db8::80" in ask(*name).stdout
    ask("ping", "-6", "-c", "1", SERVER)
    ask("ping", "-6", "-c", "1", "-s", "3000", SERVER)
    ask("curl", "-6sk", f"https://[{SERVER}]/")
    ask("curl", "-6s", f"http://[{SERVER}]:81/", check=False)
    ask("dig", "-6", "-p", "54", f"@{SERVER}", "www.shop.test", "+tries=1", "+time=1", check=False)
    ask("ping", "-6", "-c", "1", "-p", b"the last one".hex(), SERVER)


@cache
def postgres():
    """Return a capture of a namespace's loopback interface, where psql asks PostgreSQL over ::1, first without TLS and then with it."""
    import pwd
    import tempfile

    from pystack.kernel.netns import Namespace
    from tests.stepper.dissect.wires import certificate, postgres_binaries

    binaries, user = postgres_binaries(), pwd.getpwnam("postgres")
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as undo:
        space = undo.enter_context(Namespace.new())
        certificate(folder)
        for name in ("", "/key", "/cert"):
            os.chown(folder + name, user.pw_uid, user.pw_gid)
        who = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
        made = [*who, f"{binaries}/initdb", "-D", f"{folder}/data", "-A", "trust", "-U", "postgres", "--no-sync"]
        subprocess.run(made, check=True, timeout=120, capture_output=True, cwd=folder)
        path = f"{folder}/lo.pcap"
        _start(
            undo,
            space,
            [*TCPDUMP, "-i", "lo", "-w", path, "tcp or udp or icmp6"],
        )
        wait(lambda: os.path.exists(path) and os.path.getsize(path))
        secure = ["-c", "ssl=on", "-c", f"ssl_cert_file={folder}/cert", "-c", f"ssl_key_file={folder}/key"]
        _start(
            undo,
            space,
            [*who, f"{binaries}/postgres", "-D", f"{folder}/data", "-h", "::1", "-k", "", "-F", *secure],
            cwd=folder,
        )

        def ask(mode):
            words = [
                "psql",
                f"host=::1 user=postgres sslmode={mode} gssencmode=disable",
                "-X",
                "-c",
                "SELECT 'over IPv6' AS word",
            ]
            return space.run(words, capture_output=True, timeout=30).returncode == 0

        wait(lambda: ask("disable"), 60)
        assert ask("require")
        space.run(
            ["ping", "-6", "-c", "1", "-p", b"the last one".hex(), "::1"], check=True, capture_output=True, timeout=30
        )
        wait(lambda: _has(path, b"the last one"))
        undo.close()
        with open(path, "rb") as file:
            return file.read()


def ping(kind=128, data=b"ping data", ident=7):
    return build.upper6(A, B, 58, bytes((kind, 0, 0, 0, 0, ident, 0, 1)) + data)


def message(source, target, body, hops=255, before=b"", first=None):
    """Return a frame with an ICMPv6 message whose checksum is right."""
    return build.ether(
        build.ipv6(source, target, 58, build.upper6(source, target, 58, body), before, hops, first=first), 0x86DD
    )


def options(*parts, after=58):
    """Return an extension header with options, padded to a multiple of 8 bytes."""
    body = b"".join(parts)
    short = -(len(body) + 2) % 8
    body += b"\0" * short if short < 2 else bytes((1, short - 2)) + bytes(short - 2)
    return bytes((after, (len(body) + 2) // 8 - 1)) + body


PREFIX = bytes((3, 4, 64, 0xC0)) + (3600).to_bytes(4, "big") + b"\xff\xff\xff\xff" + bytes(4) + A[:8] + bytes(8)
MAC = bytes((1, 1, 2, 0, 0, 0, 0, 9))
TARGET_MAC = bytes((2, 1, 2, 0, 0, 0, 0, 9))
MTU = bytes((5, 1, 0, 0)) + (1400).to_bytes(4, "big")
DNS = bytes((25, 3, 0, 0)) + (600).to_bytes(4, "big") + B
ALERT, JUMBO, EXPERIMENT, UNKNOWN = b"\5\2\0\0", b"\xc2\4\0\1\0\0", b"\x3e\4abcd", b"\x3c\4abcd"
FRAGMENT = b"\x3a\0\0\1\x12\x34\x56\x78"


def neighbours():
    """Yield messages of neighbour discovery and of multicast listeners."""
    yield "router solicitation", message(LOCAL, ALL_ROUTERS, b"\x85\0\0\0" + bytes(4) + MAC)
    head = b"\x86\0\0\0\x40\xc8\x07\x08" + (30_000).to_bytes(4, "big") + (1000).to_bytes(4, "big")
    yield "router advertisement", message(LOCAL, ALL_HOSTS, head + MAC + MTU + PREFIX + DNS)
    group = socket.inet_pton(socket.AF_INET6, "ff02::1:ff00:2")
    yield "neighbour solicitation", message(A, group, b"\x87\0\0\0" + bytes(4) + B + MAC)
    yield "duplicate address detection", message(bytes(16), group, b"\x87\0\0\0" + bytes(4) + B)
    yield "neighbour solicitation of one host", message(A, B, b"\x87\0\0\0" + bytes(4) + B + MAC)
    yield "neighbour advertisement", message(B, A, b"\x88\0\0\0\x60\0\0\0" + B + TARGET_MAC)
    yield "neighbour advertisement, not asked", message(B, ALL_HOSTS, b"\x88\0\0\0\xa0\0\0\0" + A)
    yield "redirect", message(LOCAL, A, b"\x89\0\0\0" + bytes(4) + LOCAL + B + TARGET_MAC)
    for kind in (131, 132):
        yield (
            f"listener {kind}",
            message(LOCAL, group, bytes((kind, 0, 0, 0, 0, 9, 0, 0)) + group, 1, options(ALERT), 0),
        )
    records = bytes((4, 0, 0, 0)) + group + bytes((3, 0, 0, 0)) + ALL_ROUTERS
    yield "report", message(LOCAL, ALL_ROUTERS, b"\x8f\0\0\0\0\0\0\2" + records, 1, options(ALERT), 0)


def errors():
    quote = build.ipv6(A, B, 6, build.upper6(A, B, 6, build.tcp(1, 4000, 2, 80, 2, 1, 0)))
    datagram = build.ipv6(A, B, 17, build.upper6(A, B, 17, build.udp(1, 4000, 2, 53, b"what")))
    for kind, code, rest in ((1, 0, 0), (1, 4, 0), (2, 0, 1300), (3, 0, 0), (3, 1, 0), (4, 1, 40)):
        body = bytes((kind, code, 0, 0)) + rest.to_bytes(4, "big")
        yield f"error {kind}/{code}", message(B, A, body + (datagram if code == 4 else quote), 64)


def headers():
    """Yield packets with extension headers, tags and other links."""
    segment = build.upper6(A, B, 6, build.tcp(1, 4000, 2, 80, 0x18, 5, 6, b"data"))
    frames = {
        "hop by hop": build.ipv6(A, B, 58, ping(), options(ALERT, UNKNOWN), first=0),
        "destination options": build.ipv6(A, B, 6, segment, options(UNKNOWN, EXPERIMENT, after=6), first=60),
        "both": build.ipv6(A, B, 6, segment, options(ALERT, after=60) + options(UNKNOWN, after=6), first=0),
        "routing, arrived": build.ipv6(A, B, 6, segment, bytes((6, 2, 0, 0)) + bytes(4) + A, first=43),
        "first fragment": build.ipv6(A, B, 58, ping(), FRAGMENT, first=44),
        "last fragment": build.ipv6(A, B, 58, b"x" * 24, b"\x3a\0\x01\x68\x12\x34\x56\x78", first=44),
        "tcp": build.ipv6(A, B, 6, segment, label=0x12345, tos=0xB9),
        "udp": build.ipv6(A, B, 17, build.upper6(A, B, 17, build.udp(1, 5, 2, 6, b"data"))),
        "wrong checksum": build.ipv6(A, B, 6, segment[:16] + b"\x12\x34" + segment[18:]),
        "a protocol not known": build.ipv6(A, B, 253, b"payload"),
        "no next header": build.ipv6(A, B, 59, b""),
    }  # fmt: skip
    for name, packet in frames.items():
        yield Sample(
            name, build.ether(packet, 0x86DD), whole=not ("routing" in name or "first" in name or "options" in name)
        )
    yield Sample("bare", frames["tcp"], C.LINK_IP)
    yield Sample("of a provider", build.ether(b"\x70\x07\x81\0\x30\x08\x86\xdd" + frames["udp"], 0x88A8))
    yield Sample("in a VLAN", build.ether(b"\x60\x07\x86\xdd" + frames["tcp"], 0x8100))
    packet = build.ipv4(0x0A000001, 0x0A000002, 17, build.udp(0x0A000001, 5, 0x0A000002, 6, b"data"))
    yield Sample("IPv4 in two VLANs", build.ether(b"\x20\x09\x81\0\x30\x0a\x08\0" + packet, 0x8100))


def at_random(count=30, seed=3):
    """Every field of the headers a random number."""
    rng = random.Random(seed)
    for n in range(count):
        src, dst = b"\x20\1" + rng.randbytes(14), b"\x20\1" + rng.randbytes(14)
        around = {"hops": rng.getrandbits(8), "label": rng.getrandbits(20), "tos": rng.getrandbits(8)}
        segment = build.tcp(
            1, rng.getrandbits(16), 2, rng.getrandbits(16), rng.getrandbits(9), rng.getrandbits(32), rng.getrandbits(32)
        )
        yield Sample(
            f"random tcp {n}",
            build.ether(build.ipv6(src, dst, 6, build.upper6(src, dst, 6, segment), **around), 0x86DD),
        )
        place = (1 + rng.getrandbits(12)) << 3 | rng.getrandbits(3)
        piece = bytes((17, rng.getrandbits(8))) + place.to_bytes(2, "big") + rng.randbytes(4)
        yield Sample(
            f"random fragment {n}", build.ether(build.ipv6(src, dst, 17, b"x" * 24, piece, first=44, **around), 0x86DD)
        )
        flags = rng.randbytes(4)
        body = b"\x88\0\0\0" + flags + dst + b"\2\1" + rng.randbytes(6)
        yield Sample(f"random advertisement {n}", message(src, dst, body))


@cache
def samples():
    named = [Sample(name, frame) for name, frame in (*neighbours(), *errors())]
    return (*named, *headers(), *at_random())
