"""Kernel hosts in a network: frames, checksums, offload, names, programs, and that nothing of them is left behind."""

import gc
import hashlib
import os
import re
import signal
import socket
import subprocess
import sys
import time

import pytest

import pystack_c.const as C
from pystack.kernel.space import HostSpace
from pystack.phy.segmenter import finish_checksum
from pystack.sim import MS, Network, SimError
from pystack.sim.boxes import NatTimeout
from pystack.sim.network import S
from pystack.trace.pcapng import read
from tests.kernel.hosts import ROOT, USER, as_nobody, environment, processes
from tests.support.natbox import sums_right
from tests.support.patience import PATIENCE, until

SIZE = 3_000_000
DATA = bytes(range(256)) * (SIZE // 256)
#: receives SIZE bytes on port 7 and prints their SHA-256
SERVER = """
import hashlib, socket
with socket.create_server(("", 7)) as listener:
    print("ready", flush=True)
    client, _ = listener.accept()
    digest = hashlib.sha256()
    while data := client.recv(1 << 16):
        digest.update(data)
    client.sendall(digest.hexdigest().encode())
"""
CLIENT = f"""
import socket, sys
with socket.create_connection((sys.argv[1], 7), 60) as sock:
    sock.sendall(bytes(range(256)) * {SIZE // 256})
    sock.shutdown(socket.SHUT_WR)
    print(sock.recv(100).decode(), end="")
"""
DIGEST = hashlib.sha256(DATA).hexdigest()
PYTHON = [sys.executable, "-I", "-S"]


@pytest.fixture
def net():
    with Network(seed=1) as made:
        yield made


def pair(net, **link):
    a, b = net.kernel("a"), net.kernel("b")
    return a, b, net.link(a, b, addrs=("10.0.0.1/24", "10.0.0.2/24"), **link)


def carry(net, a, b, name="b"):
    """Send DATA from a to b by TCP. The digest that b has computed."""
    server = b.popen([*PYTHON, "-c", SERVER], stdout=subprocess.PIPE)
    b.wait_for(server.stdout.readline)
    done = a.run([*PYTHON, "-c", CLIENT, name], capture_output=True, text=True, timeout=120)
    assert done.stderr == ""
    assert b.wait(server, PATIENCE) == 0
    server.stdout.close()
    return done.stdout


def test_a_ping_takes_at_least_the_delay(net):
    a, _, _ = pair(net, delay=20 * MS)
    done = a.run(["ping", "-c", "3", "-i", "0.1", "b"], capture_output=True, text=True, timeout=20)
    times = [float(found) for found in re.findall(r"time=([0-9.]+) ms", done.stdout)]
    assert len(times) == 3
    assert min(times) >= 40
    late = net.driver.late
    assert late.count >= 6
    assert 0 <= late.total / late.count <= late.worst
    assert f"{late.count} frames reached kernel hosts" in str(late)


def test_large_frames_stay_whole_on_a_plain_link(net):
    a, b, link = pair(net)
    assert carry(net, a, b) == DIGEST
    # What went over the link is counted in frames of the wire, but there were far fewer events.
    assert link.ab.stats.frames >= SIZE // 1448
    assert net.driver.late.count < link.ab.stats.frames


@pytest.mark.parametrize(
    "link",
    [{"rate": 200_000_000, "queue": 100}, {"loss": 0.005}, {"duplicate": 0.01, "jitter": 1 * MS}, {"delay": 3 * MS}],
)
def test_tcp_over_a_link_that_needs_single_frames(net, link):
    a, b, _ = pair(net, **link)
    assert carry(net, a, b) == DIGEST


def test_a_middlebox_sees_frames_of_the_wire(net):
    a, b, link = pair(net)
    box = link.middlebox(NatTimeout(60 * S))
    longest = []
    process = box.process

    def watch(way, frame, now):
        longest.append(len(frame))
        return process(way, frame, now)

    box.process = watch
    assert carry(net, a, b) == DIGEST
    assert max(longest) == 1514


def test_a_capture_has_finished_frames(net, tmp_path):
    a, b, _ = pair(net)
    path = str(tmp_path / "run.pcapng")
    net.capture(path)
    assert carry(net, a, b) == DIGEST
    net.close()
    packets = [bytes(packet.data) for packet in read(path)]
    tcp = [frame[14:] for frame in packets if frame[12:14] == b"\x08\x00" and frame[23] == 6]
    assert len(tcp) > 2 * SIZE // 1460
    assert max(map(len, tcp)) == 1500
    wrong = [packet.hex() for packet in tcp[:400] if not sums_right(packet[: int.from_bytes(packet[2:4], "big")])]
    assert wrong == []
    assert all(finish_checksum(frame, 14) == frame for frame in packets[:400])


@pytest.mark.parametrize("mtu", [1500, 1400])
def test_through_a_nat_of_pystack(net, mtu):
    web, home, pc = net.kernel("web"), net.nat("home"), net.kernel("pc")
    net.link(home, web, addrs=("192.0.2.1/24", "192.0.2.2/24"), delay=2 * MS, mtu=mtu)
    net.link(pc, home, addrs=("10.0.0.2/24", "10.0.0.1/24"))
    pc.route("default", via="10.0.0.1")
    assert carry(net, pc, web, "web") == DIGEST
    assert home.stack.conntrack is not None
    who = [
        *PYTHON,
        "-c",
        "import socket; s = socket.create_server(('', 9)); print(flush=True); print(s.accept()[1][0])",
    ]
    server = web.popen(who, stdout=subprocess.PIPE, text=True)
    web.wait_for(server.stdout.readline)
    pc.run([*PYTHON, "-c", "import socket; socket.create_connection(('web', 9), 20)"], timeout=30, check=True)
    assert web.wait_for(server.stdout.read) == "192.0.2.1\n"
    server.stdout.close()


@pytest.mark.parametrize("offload", [False, True])
@pytest.mark.parametrize("way", ["to", "from"])
def test_a_kernel_host_and_a_host_of_pystack(net, way, offload):
    a, b = net.kernel("a"), net.host("b", offload=offload)
    net.link(a, b, addrs=("10.0.0.1/24", "10.0.0.2/24"))
    a.refresh()
    got = []

    def receive():
        with socket.create_server(("", 7)) as listener:
            client, address = listener.accept()
            assert address[0] == "10.0.0.1"
            with client:
                while data := client.recv(1 << 16):
                    got.append(bytes(data))
                client.sendall(hashlib.sha256(b"".join(got)).hexdigest().encode())

    def send():
        for _ in range(200):
            try:
                sock = socket.create_connection(("a", 7), 10)
                break
            except ConnectionRefusedError:
                time.sleep(0.1)
        with sock:
            sock.sendall(DATA)
            sock.shutdown(socket.SHUT_WR)
            got.append(sock.recv(100))

    if way == "to":
        status = net.run({a: [*PYTHON, "-c", "import time; time.sleep(0.3)\n" + CLIENT, "b"]}, background={b: receive})
        assert status == {a: 0}
        assert hashlib.sha256(b"".join(got)).hexdigest() == DIGEST
    else:
        assert net.run({b: send}, background={a: [*PYTHON, "-c", SERVER]}) == {b: None}
        assert got == [DIGEST.encode()]


def test_udp_checksums(net):
    a, b, _ = pair(net, loss=1e-9)  # so the frames are finished here
    echo = "import socket\ns = socket.socket(type=socket.SOCK_DGRAM)\ns.bind(('', 7))\nprint(flush=True)\n"
    echo += "for _ in range(20):\n    d, p = s.recvfrom(3000); s.sendto(d, p)"
    server = b.popen([*PYTHON, "-c", echo], stdout=subprocess.PIPE)
    b.wait_for(server.stdout.readline)
    ask = "import socket\ns = socket.socket(type=socket.SOCK_DGRAM)\ns.settimeout(30)\n"
    ask += (
        "for n in range(20):\n    s.sendto(bytes(range(n)) * n, ('b', 7)); assert s.recv(3000) == bytes(range(n)) * n"
    )
    assert a.run([*PYTHON, "-c", ask], timeout=60).returncode == 0
    server.stdout.close()


def test_names_and_files(net):
    a, b, _ = pair(net)
    other = net.host("other")
    net.link(other, a, addrs=("10.1.0.1/24", "10.1.0.2/24"))
    said = a.run(["getent", "hosts", "b", "other"], capture_output=True, text=True).stdout.split()
    assert said == ["10.0.0.2", "b", "10.1.0.1", "other"]
    assert a.run(["hostname"], capture_output=True, text=True).stdout == "a\n"
    assert a.run(["getent", "hosts", "example.com"]).returncode == 2
    assert net.lookup("b") == ["10.0.0.2"]
    assert net.reverse("10.0.0.2") == "b"
    assert a.addresses() == ["10.0.0.1", "10.1.0.2"]
    b.addr("10.0.0.9/24")
    assert a.run(["ping", "-c", "1", "10.0.0.9"], stdout=subprocess.DEVNULL, timeout=20).returncode == 0
    b.sysctl("ipv4.ip_default_ttl", 7)
    assert "ttl=7 " in a.run(["ping", "-c", "1", "b"], capture_output=True, text=True, timeout=20).stdout
    with pytest.raises(FileNotFoundError, match="b: net.ipv4.nothing = 1: No such file"):
        b.sysctl("ipv4.nothing", 1)
    with pytest.raises(OSError, match="b: net.ipv4.ip_default_ttl = 1000: Invalid argument"):
        b.sysctl("ipv4.ip_default_ttl", 1000)


def test_programs_and_their_ends(net):
    a, _, _ = pair(net)
    assert a.run(["sh", "-c", "exit 3"]).returncode == 3
    assert a.run(["cat"], input=b"hello", capture_output=True).stdout == b"hello"
    assert a.run(["sh", "-c", "kill -9 $$"]).returncode == -9
    with pytest.raises(subprocess.CalledProcessError):
        a.run(["false"], check=True)
    with pytest.raises(FileNotFoundError, match="there is no such program"):
        a.run(["no-such-program"])
    with pytest.raises(subprocess.TimeoutExpired):
        a.run(["sleep", "100"], timeout=0.2)
    with pytest.raises(TypeError, match="a command is a list of words"):
        a.run("true")
    process = a.popen(["sleep", "100"])
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == -signal.SIGTERM
    script = "trap 'echo caught; exit 4' USR1; echo; while :; do sleep 0.05; done"
    process = a.popen(["sh", "-c", script], stdout=subprocess.PIPE, text=True)
    process.stdout.readline()
    process.send_signal(signal.SIGUSR1)
    assert process.wait(20) == 4
    assert process.stdout.read() == "caught\n"
    process.stdout.close()


def test_commands_in_a_run(net):
    a, b, _ = pair(net)
    mark = f"98{os.getpid()}.5"
    assert net.run({"a": ["sh", "-c", "exit 3"]}, background={b: ["sleep", mark]}) == {"a": 3}
    assert processes(mark) == []
    assert net.run({a: [["true"], ["false"]], b: ["true"]}) == {a: [0, 1], b: 0}
    with pytest.raises(TypeError, match="a is a kernel host: its programs are commands"):
        net.run({a: print})
    c = net.host("c")
    with pytest.raises(TypeError, match="c is no kernel host, so its programs are functions"):
        net.run({c: ["true"]})


def test_mistakes(net):
    a, _, _ = pair(net)
    with pytest.raises(ValueError, match="already a node named 'a'"):
        net.host("a")
    with pytest.raises(ValueError, match="is no name for a kernel host"):
        net.kernel("two words")
    with pytest.raises(OSError, match="the gateway 10.9.0.1 is in no network"):
        a.route("default", via="10.9.0.1")
    with pytest.raises(ValueError, match="only Ethernet links"):
        net.link(a, net.host("c"), kind=C.LINK_IP)
    with pytest.raises(SimError, match="have not ended after 0.1 s"):
        net.run({"c": lambda: time.sleep(5)}, limit=net.now + 100 * MS)
    net.close()
    with pytest.raises(OSError, match="the kernel host 'a' is closed"):
        a.run(["true"])


def test_a_program_removes_its_interface(net):
    """The other hosts go on, and what is sent to the interface is lost."""
    a, b, c = net.kernel("a"), net.kernel("b"), net.kernel("c")
    lan = net.switch("lan")
    for number, host in enumerate((a, b, c), 1):
        net.link(host, lan, addrs=(f"10.0.0.{number}/24", None))
    assert b.run(["ping", "-c", "1", "-W", "20", "10.0.0.1"], stdout=subprocess.DEVNULL).returncode == 0
    assert a.run(["ip", "link", "del", "eth0"]).returncode == 0
    lost = b.run(["ping", "-c", "1", "-W", "0.2", "10.0.0.1"], stdout=subprocess.DEVNULL)
    kept = b.run(["ping", "-c", "1", "-W", "20", "10.0.0.3"], stdout=subprocess.DEVNULL)
    assert (lost.returncode, kept.returncode) == (1, 0)
    assert a.run(["true"]).returncode == 0


def test_a_sealed_host_writes_to_one_folder_and_has_its_own_files(net):
    """Its settings and its files with names change later, too. The other host is the control."""
    a, b = net.kernel("a"), net.kernel("b")
    shared = f"/tmp/pystack-test-{os.getpid()}"
    a.space.seal(1 << 20, 100)
    net.link(a, b, addrs=("10.0.0.1/24", "10.0.0.2/24"))
    a.sysctl("ipv4.ip_default_ttl", 7)
    words = f"echo {'x' * 50} > {shared}; echo > /etc/hosts-{os.getpid()}; cat /proc/sys/net/ipv4/ip_default_ttl; grep -cw b /etc/hosts; ls /var/tmp"
    done = a.run(["sh", "-c", words], capture_output=True, text=True, cwd="/")
    assert done.stdout.split() == ["7", "1", os.path.basename(shared)] and "Read-only file system" in done.stderr
    assert not os.path.exists(shared)
    assert "pystack-test" not in b.run(["ls", "/tmp"], capture_output=True, text=True).stdout
    lots = a.run(["sh", "-c", "seq 200 | xargs touch; ls | wc -l"], capture_output=True, text=True, cwd="/tmp")
    assert "No space left on device" in lots.stderr and int(lots.stdout) < 100


def test_the_shared_memory_of_a_host_is_its_own(net):
    a, b = net.kernel("a"), net.kernel("b")
    code = "import ctypes; print(ctypes.CDLL(None).shmget(7, 54322, 0o1600) >= 0)"
    assert a.run([*PYTHON, "-c", code], capture_output=True).stdout == b"True\n"

    def has(text):
        """Whether a segment has this size. The machine's own ones have many other numbers, which may contain it."""
        return any(line.split()[3] == "54322" for line in text.splitlines())

    assert has(a.run(["cat", "/proc/sysvipc/shm"], capture_output=True, text=True).stdout)
    assert not has(b.run(["cat", "/proc/sysvipc/shm"], capture_output=True, text=True).stdout)
    with open("/proc/sysvipc/shm") as file:
        assert not has(file.read())


def test_a_user_namespace_is_enough():
    """The same as root, with the namespaces that an ordinary user gets."""

    class Rootless(HostSpace):
        def _start(self):
            self.users = True
            super()._start()

    with Rootless("web") as space:
        mine = os.readlink("/proc/self/ns/user")
        done = subprocess.run(space.command(["readlink", "/proc/self/ns/user"]), capture_output=True, text=True)
        assert done.stdout.strip() not in ("", mine)
        assert subprocess.run(space.command(["id", "-u"]), capture_output=True).stdout == b"0\n"
        sock = space.datagram_socket(("127.0.0.1", 0))
        assert sock.getsockname()[0] == "127.0.0.1"
        sock.close()


def test_an_ordinary_user(tmp_path):
    words = as_nobody()
    if words is None:
        pytest.skip("an ordinary user can reach no Python, or not /dev/net/tun")
    code = USER + (
        "from pystack.sim import MS, Network\n"
        "net = Network()\n"
        "a, r, b = net.kernel('a'), net.router('r'), net.kernel('b')\n"
        "net.link(a, r, addrs=('10.0.0.1/24', '10.0.0.2/24'), delay=5 * MS)\n"
        "net.link(r, b, addrs=('10.1.0.1/24', '10.1.0.2/24'))\n"
        "a.route('default', via='10.0.0.2'); b.route('default', via='10.1.0.1')\n"
        "print(a.run(['ping', '-c', '1', 'b'], capture_output=True, text=True).stdout, flush=True)\n"
        "print(a.run(['id', '-u'], capture_output=True, text=True).stdout, a.space.users, flush=True)\n"
        "net.close()\n"
    )
    tmp_path.chmod(0o777)
    env = {"PATH": os.environ["PATH"], "TMPDIR": str(tmp_path), "PYSTACK_PURE": "1"}
    done = subprocess.run([*words, "-c", code], capture_output=True, text=True, timeout=120, cwd="/", env=env)
    assert " 0% packet loss" in done.stdout, done.stderr
    assert done.stdout.endswith("0\n True\n")
    assert list(tmp_path.iterdir()) == []


ENDS = """
import os, sys, time
from pystack.sim import Network
net = Network()
a, b = net.kernel("a"), net.kernel("b")
net.link(a, b, addrs=("10.0.0.1/24", "10.0.0.2/24"))
a.popen(["sh", "-c", "setsid sleep MARK & sleep MARK"])
b.popen(["sleep", "MARK"])
print(a.space.pid, b.space.pid, flush=True)
HOW
"""


@pytest.mark.parametrize(
    ("how", "number", "status"),
    [
        ("net.close()", None, 0),
        ("", None, 0),
        ("raise ValueError", None, 1),
        ("os._exit(7)", None, 7),
        ("net.run(60 * 10**9)", signal.SIGINT, -signal.SIGINT),
        ("a.run(['sleep', 'MARK'])", signal.SIGINT, -signal.SIGINT),
        ("net.run(60 * 10**9)", signal.SIGTERM, -signal.SIGTERM),
        ("net.run({'a': ['sleep', 'MARK']})", signal.SIGKILL, -signal.SIGKILL),
    ],
)
def test_nothing_is_left_behind(tmp_path, how, number, status):
    mark = f"97{os.getpid()}.{abs(hash((how, number))) % 10**6}"
    code = ENDS.replace("HOW", how).replace("MARK", mark)
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment(tmp_path / "home"),
        cwd=ROOT,
    )
    with process:
        pids = [int(word) for word in process.stdout.readline().split()]
        assert len(pids) == 2
        if number is not None:
            assert until(lambda: len(processes(f"sleep\0{mark}")) >= 3)
            time.sleep(0.2)
            process.send_signal(number)
        assert process.wait(30) == status
    assert until(lambda: not processes(mark))
    assert until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in pids))
    assert list((tmp_path / "home").iterdir()) == []


def test_an_end_of_the_keeper_is_noticed(net):
    a, _, _ = pair(net)
    os.kill(a.space.pid, signal.SIGKILL)
    with pytest.raises(OSError, match="has ended|Broken pipe|Connection reset"):
        a.sysctl("ipv4.ip_default_ttl", 7)
        a.sysctl("ipv4.ip_default_ttl", 7)


def test_no_descriptor_is_left(net):
    gc.collect()  # what earlier tests left may go at any time
    before = len(os.listdir("/proc/self/fd"))
    with Network() as other:
        a, b = other.kernel("a"), other.kernel("b")
        other.link(a, b, addrs=("10.0.0.1/24", "10.0.0.2/24"))
        other.run({a: ["true"], b: ["true"]})
    assert len(os.listdir("/proc/self/fd")) == before


def test_kernel_hosts_as_containers(net):
    pytest.importorskip("dns")
    docker = net.container_host("docker")
    c1, c2 = docker.container("c1", kernel=True), docker.container("c2", kernel=True)
    c3, client = docker.container("c3"), net.kernel("client")
    net.link(docker, client, addrs=("192.0.2.10/24", "192.0.2.7/24"))
    docker.publish("8080:9", c1)
    docker.publish("8081:9", c1, proxy=True)
    who = "import socket\ns = socket.create_server(('', 9))\nprint(flush=True)\n"
    who += "for _ in range(4):\n    c, p = s.accept(); c.sendall(p[0].encode()); c.close()"
    server = c1.popen([*PYTHON, "-c", who], stdout=subprocess.PIPE)
    c1.wait_for(server.stdout.readline)
    ask = [
        *PYTHON,
        "-c",
        "import socket, sys; print(socket.create_connection((sys.argv[1], int(sys.argv[2])), 20).recv(99).decode())",
    ]
    cases = [(client, "192.0.2.10", "8080", "192.0.2.7"), (client, "192.0.2.10", "8081", "172.17.0.1")]
    cases += [(c2, "c1", "9", "172.17.0.3"), (c2, "192.0.2.10", "8080", "172.17.0.1")]
    for host, address, port, seen in cases:
        done = host.run([*ask, address, port], capture_output=True, text=True, timeout=60)
        assert (done.stdout, done.stderr) == (seen + "\n", "")
    server.stdout.close()
    # Names come from the resolver: /etc/hosts has only the container's own.
    assert c2.run(["cat", "/etc/hosts"], capture_output=True, text=True).stdout.split() == [
        "127.0.0.1", "localhost", "172.17.0.3", "c2",
    ]  # fmt: skip
    assert c2.run(["getent", "ahostsv4", "c3"], capture_output=True, text=True).stdout.split()[0] == "172.17.0.4"
    assert c2.run(["getent", "ahostsv4", "client"], capture_output=True, text=True, timeout=60).returncode == 2
    assert c2.run(["getent", "hosts", "172.17.0.2"], capture_output=True, text=True).stdout.split()[1] == "c1"
    assert net.run({c3: lambda: socket.gethostbyname("c2")}) == {c3: "172.17.0.3"}


def test_the_resolver_of_a_kernel_container_asks_a_server(net):
    pytest.importorskip("dns")
    import dns.message
    import dns.rrset

    docker = net.container_host("docker", dns=["192.0.2.53"])
    c1, server = docker.container("c1", kernel=True), net.host("server")
    net.link(docker, server, addrs=("192.0.2.10/24", "192.0.2.53/24"))
    peers = []

    def serve():
        with socket.socket(type=socket.SOCK_DGRAM) as sock:
            sock.bind(("", 53))
            while True:
                data, peer = sock.recvfrom(4096)
                peers.append(peer[0])
                query = dns.message.from_wire(data)
                reply = dns.message.make_response(query)
                if query.question[0].rdtype == 1:
                    reply.answer.append(dns.rrset.from_text(query.question[0].name, 60, "IN", "A", "203.0.113.9"))
                sock.sendto(reply.to_wire(), peer)

    look = ["getent", "ahostsv4", "www.example.com"]
    check = ["sh", "-c", "getent ahostsv4 www.example.com | grep -q '^203.0.113.9 ' && getent ahostsv4 c1"]
    assert net.run({c1: [look, check]}, background={server: serve}) == {c1: [0, 0]}
    assert set(peers) == {"192.0.2.10"}


def test_a_program_on_a_host_of_pystack_runs_commands_on_kernel_hosts(net):
    a, b, _ = pair(net)
    c = net.host("c")

    def control():
        server = b.popen([*PYTHON, "-c", SERVER], stdout=subprocess.PIPE)
        b.wait_for(server.stdout.readline)
        done = a.run([*PYTHON, "-c", CLIENT, "b"], capture_output=True, text=True)
        server.stdout.close()
        return done.stdout, b.wait(server), socket.gethostname()

    assert net.run({c: control}) == {c: (DIGEST, 0, "c")}


def test_a_lan_of_both_kinds(net):
    hosts = [net.router("r"), net.kernel("a"), net.host("b"), net.kernel("c")]
    net.lan("lan", *hosts, subnet="192.168.7.0/24")
    assert [host.addresses() for host in hosts] == [[f"192.168.7.{number}"] for number in (1, 2, 3, 4)]
    for name in ("r", "b", "c"):
        done = hosts[1].run(["ping", "-c", "1", name], capture_output=True, text=True, timeout=20)
        assert " 0% packet loss" in done.stdout
    assert hosts[1].routes() == ["default via 192.168.7.1"]


def test_a_file_with_kernel_hosts(tmp_path):
    path = tmp_path / "lab.py"
    source = (
        "from pystack.sim import Network\n"
        "def network():\n    net = Network()\n    net.link(net.kernel('a'), net.host('b'), addrs=('10.0.0.1/24', '10.0.0.2/24'))\n    return net\n"
    )
    for line, status, text in (
        ("programs = {'a': ['ping', '-c', '1', '-q', 'b']}", 0, "a: 0\n"),
        ("programs = {'a': [['true'], ['sh', '-c', 'exit 5']]}", 1, "a: 5\n"),
        ("programs = {'a': ['no-such-program']}", 1, "there is no such program: 'no-such-program'"),
        ("programs = {'a': print}", 2, "is not a command, which is a list of words"),
        ("programs = {'b': ['true']}", 2, "['true'] is not a function"),
    ):
        path.write_text(source + line + "\n")
        command = [sys.executable, "-m", "pystack.cli", "net", "run", str(path)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment(tmp_path / "home"))
        assert done.returncode == status, done.stderr
        assert text in done.stdout + done.stderr


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 0), (signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_nothing_is_left_of_a_network_that_was_up(tmp_path, number, status):
    mark = f"96{os.getpid()}.{int(number)}"
    path = tmp_path / "lab.py"
    path.write_text(
        "from pystack.sim import Network\n"
        "def network():\n    net = Network()\n    net.lan('lan', net.router('r'), net.kernel('a'), net.kernel('b'))\n    return net\n"
        f"background = {{'a': ['sh', '-c', 'setsid sleep {mark} & sleep {mark}'], 'b': ['sleep', '{mark}']}}\n"
    )
    env = environment(tmp_path / "home")
    words = [sys.executable, "-m", "pystack.cli", "net", "up", str(path)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=env, start_new_session=True) as process:
        assert " is up: " in process.stdout.readline()
        words = [sys.executable, "-m", "pystack.cli", "net", "exec", "b", "--", "sh", "-c", f"echo begun; sleep {mark}"]
        with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=env) as inside:
            assert inside.stdout.readline() == "begun\n"
            assert until(lambda: len(processes(f"sleep\0{mark}")) >= 4)
            os.killpg(process.pid, number)  # as a terminal does
            assert process.wait(60) == status
            assert inside.wait(30) != 0
    assert until(lambda: not processes(mark))
    assert until(lambda: not processes(str(tmp_path)))
    left = list((tmp_path / "home" / "pystack").iterdir())
    assert len(left) == (
        1 if number == signal.SIGKILL else 0
    )  # the socket of a network that was killed; the next one removes it


def test_a_bridge_with_vlans_between_kernel_hosts(net):
    a, b, c = (net.kernel(name) for name in "abc")
    bridge = net.bridge("br0", ports=(a, b, c), vlan_filtering=True)
    for host, vid, address in ((a, 10, "10.0.0.1/24"), (b, 10, "10.0.0.2/24"), (c, 20, "10.0.0.3/24")):
        bridge.access(host, vid)
        host.addr(address)
    assert carry(net, a, b) == DIGEST
    assert a.run(["ping", "-c", "1", "-W", "1", "10.0.0.3"], stdout=subprocess.DEVNULL, timeout=20).returncode == 1


def test_a_queueing_discipline_in_front_of_a_link(net):
    a, b, link = pair(net, rate=300_000_000)
    link.a.set_qdisc("fq_codel")
    assert carry(net, a, b) == DIGEST
    assert link.ab.stats.frames >= SIZE // 1448


def test_a_recording_of_a_network_without_hosts_of_pystack(tmp_path):
    with Network(seed=1) as net:
        net.record(str(tmp_path / "run.pytrace"))
        a, b, _ = pair(net)
        assert carry(net, a, b) == DIGEST
