"""The resolver of a live stack beside glibc's: the same files, the same real DNS server, the same calls, the same results."""

import ast
import asyncio
import contextlib
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

import pystack
from pystack import aio, dns
from pystack import socket as ours
from pystack.kernel.netns import Namespace, configure
from pystack.phy.tap import TapDevice
from pystack.running import up
from tests.kernel.conftest import KERNEL, make
from tests.support import names
from tests.support.patience import PATIENCE

ROOT = Path(__file__).resolve().parents[2]
SEARCH = ("deep.example", "example")
DNSMASQ = shutil.which("dnsmasq", path="/usr/sbin:/usr/bin:/sbin:/bin")
UNBOUND = shutil.which("unbound", path="/usr/sbin:/usr/bin:/sbin:/bin")

DNSMASQ_ZONE = f"""
no-resolv
no-hosts
bind-interfaces
listen-address={KERNEL}
local=/example/
local=/10.in-addr.arpa/
host-record=web.example,10.9.0.80
host-record=sub.deep.example,10.9.0.82
cname=www.example,web.example
cname=chain1.example,chain2.example
cname=chain2.example,web.example
txt-record=text.example,hello
host-record=override.example,10.9.0.84
local-ttl=60
"""
UNBOUND_ZONE = """
server:
  interface: 10.0.0.1
  access-control: 0.0.0.0/0 allow
  chroot: ""
  username: ""
  use-syslog: no
  do-daemonize: no
  do-ip6: no
  module-config: "iterator"
  local-zone: "." refuse
  local-zone: "example." static
  local-data: "example. 60 SOA ns.example. hostmaster.example. 1 3600 600 86400 60"
  local-data: "web.example. 60 A 10.9.0.80"
  local-data: "sub.deep.example. 60 A 10.9.0.82"
  local-data: "text.example. 60 TXT hello"
  local-data: "override.example. 60 A 10.9.0.84"
  local-zone: "10.in-addr.arpa." static
  local-data: "80.0.9.10.in-addr.arpa. 60 PTR web.example."
remote-control:
  control-enable: no
"""
BIG = [f"10.9.1.{number}" for number in range(1, 91)]


@pytest.fixture
def net():
    yield from make(dns=[KERNEL], search=SEARCH)


@pytest.fixture(params=["dnsmasq", "unbound"])
def server(request, net, tmp_path):
    """A real server on the kernel's side."""
    program = {"dnsmasq": DNSMASQ, "unbound": UNBOUND}[request.param]
    if program is None:
        pytest.skip(f"{request.param} is not installed")
    path = tmp_path / "server.conf"
    if request.param == "dnsmasq":
        big = tmp_path / "big"
        big.write_text("".join(f"{address} big.example\n" for address in BIG))
        path.write_text(f"{DNSMASQ_ZONE}addn-hosts={big}\n")
        command = [program, "-k", "-C", str(path), "--user=root", "--pid-file="]
    else:
        big = "".join(f'  local-data: "big.example. 60 A {address}"\n' for address in BIG)
        path.write_text(
            UNBOUND_ZONE.replace("remote-control", f"{big}remote-control") + f'  control-interface: "{tmp_path}/c"\n'
        )
        command = [program, "-d", "-c", str(path)]
    process = net.space.popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        wait_for(net, process)
        yield request.param
    finally:
        process.terminate()
        process.wait(PATIENCE)
        process.stdout.close()


def wait_for(net, process):
    limit = time.monotonic() + PATIENCE
    while True:
        assert process.poll() is None, process.stdout.read()
        with net.kernel(timeout=1) as sock, contextlib.suppress(OSError):
            sock.connect((KERNEL, 53))
            return
        assert time.monotonic() < limit
        time.sleep(0.02)


def glibc(space, tmp_path, calls, hosts="", sources="files dns"):
    """The results of the C library in the namespace, with files of its own."""
    (tmp_path / "hosts").write_text(hosts)
    (tmp_path / "nsswitch.conf").write_text(f"hosts: {sources}\nservices: files\n")
    (tmp_path / "resolv.conf").write_text(f"nameserver {KERNEL}\nsearch {' '.join(SEARCH)}\n")
    mounts = " && ".join(
        f"mount --bind {tmp_path}/{name} /etc/{name}" for name in ("hosts", "nsswitch.conf", "resolv.conf")
    )
    code = f"import socket; from tests.support import names; print(names.ask(socket, names.{calls}))"
    done = space.run(
        ["unshare", "-m", "sh", "-c", f"touch /etc/nsswitch.conf && {mounts} && exec \"$0\" -c \"$1\"", sys.executable, code],
        capture_output=True, text=True, timeout=100, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return ast.literal_eval(done.stdout)


def differences(calls, theirs, mine, allowed=()):
    return "\n".join(
        f"{call}\n  {a}\n  {b}"
        for call, a, b in zip(calls, theirs, mine, strict=True)
        if a != b and call not in allowed
    )


def test_the_files_answer_as_glibc_does(tmp_path):
    """The order of addresses depends on the own address: here both have the same one, in two namespaces."""
    path = tmp_path / "mine"
    path.write_text(names.HOSTS)
    with Namespace.new() as theirs, TapDevice("t%d", netns=theirs) as card, Namespace.new() as space:
        configure(card.name, address="10.0.0.2/24", up=True, netns=theirs)
        theirs.run(["ip", "route", "add", "default", "via", "10.0.0.1"], check=True)
        expected = glibc(theirs, tmp_path, "HOSTS_CALLS", names.HOSTS, "files")
        with up(netns=space, hosts=str(path), name="stack"):
            mine = names.ask(ours, names.HOSTS_CALLS)
    assert differences(names.HOSTS_CALLS, expected, mine) == ""
    assert len({str(each) for each in mine}) > 20  # control: the calls do have different answers


def test_a_real_server_answers_as_it_does_to_glibc(net, server, tmp_path):
    net.running.host.names.add("10.0.0.84", "override.example")
    expected = glibc(net.space, tmp_path, "DNS_CALLS", "10.0.0.84 override.example\n")
    mine = names.ask(ours, names.DNS_CALLS)
    # The servers rotate the addresses. What glibc says after REFUSED depends on what it was asked before.
    allowed = [("gethostbyname", "big.example"), ("gethostbyname", "far.other"), ("gethostbyname_ex", "far.other")]
    assert differences(names.DNS_CALLS, expected, mine, allowed) == ""
    assert sorted(ours.gethostbyname_ex("big.example")[2]) == sorted(BIG)  # it was truncated, and came by TCP


def test_the_second_server_answers_if_the_first_is_silent(net, server):
    mute = net.kernel(socket.SOCK_DGRAM)
    mute.bind((KERNEL, 5300))
    # (A second: on a busy machine, the other one, which is a process, does not answer within a part of it.)
    dns.use(net.running.host, dns.DnsSettings(((KERNEL, 5300), (KERNEL, 53)), timeout=1))
    began = time.monotonic()
    assert ours.gethostbyname("web.example") == "10.9.0.80"
    assert time.monotonic() - began >= 1 and len(mute.recv(512)) > 12
    dns.use(net.running.host, dns.DnsSettings(((KERNEL, 5300),), timeout=0.1))
    with pytest.raises(ours.gaierror) as caught:
        ours.gethostbyname("web.example")
    assert caught.value.errno == ours.EAI_AGAIN
    dns.use(net.running.host, dns.DnsSettings(((KERNEL, 9),), timeout=30))  # a closed port: ICMP says so at once
    began = time.monotonic()
    with pytest.raises(ours.gaierror):
        ours.gethostbyname("web.example")
    assert time.monotonic() - began < 30


def test_programs_and_their_options(net, server, tmp_path):
    """`asyncio` and threads of a patched program, with the servers of a file."""
    path = tmp_path / "mine.conf"
    path.write_text(f"nameserver ::1\nnameserver {KERNEL}\nsearch example\noptions timeout:30 attempts:1\n")
    dns.use(net.running.host, dns.settings_of(str(path)))

    async def ask():
        loop = asyncio.get_running_loop()
        found = await asyncio.gather(
            *(loop.getaddrinfo(name, 80, type=socket.SOCK_STREAM) for name in ("web", "sub.deep") * 20)
        )
        return [entries[0][4][0] for entries in found]

    assert aio.run(ask()) == ["10.9.0.80", "10.9.0.82"] * 20
    with pystack.patch(), pytest.raises(socket.gaierror):
        socket.create_connection(("nosuch.example", 80))
