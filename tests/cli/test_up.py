"""`pystack up` and the views of it, `ping` and `traceroute` from the stack, `replay`: as processes, on a real TAP."""

import contextlib
import errno
import json
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import pystack
from pystack.demo import checks
from pystack.kernel import netns
from pystack.kernel.netns import Namespace
from pystack.trace import pcapng
from tests.support.patience import PATIENCE

ROOT = Path(__file__).resolve().parents[2]
PYSTACK = [sys.executable, "-m", "pystack.cli"]


def possible() -> bool:
    try:
        checks.check_tun()
        return os.geteuid() == 0 and checks.may_unshare()
    except checks.MissingRequirement:
        return False


pytestmark = [pytest.mark.kernel, pytest.mark.skipif(not possible(), reason="needs root and /dev/net/tun")]


class Lab:
    """A network namespace of the test's own (a process that sleeps in it holds it), and a directory for control sockets."""

    def __init__(self, directory: str):
        self.directory = directory
        self.env = {**os.environ, "PYTHONPATH": str(ROOT), "XDG_RUNTIME_DIR": directory, "LC_ALL": "C"}
        self.holder = subprocess.Popen(
            ["unshare", "-n", "sh", "-c", "ip link set lo up; echo; exec sleep 600"], stdout=-1
        )
        assert self.holder.stdout is not None
        self.holder.stdout.readline()
        # No IPv6: the kernel would send router solicitations
        self.run("sh", "-c", "echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6")

    def command(self, *argv: str) -> list[str]:
        return ["nsenter", f"--net=/proc/{self.holder.pid}/ns/net", *argv]

    def run(self, *argv: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        command = self.command(*argv)
        return subprocess.run(command, env=self.env, capture_output=True, text=True, timeout=timeout, cwd="/")

    def pystack(self, *argv: str) -> subprocess.CompletedProcess[str]:
        return self.run(*PYSTACK, *argv)

    @contextlib.contextmanager
    def up(self, *argv: str, stdout: int = subprocess.PIPE) -> "Iterator[subprocess.Popen[str]]":
        """A running `pystack up`, ended by SIGINT; the test fails where it does not end well."""
        process = subprocess.Popen(
            self.command(*PYSTACK, "up", *argv), env=self.env, stdout=stdout, stderr=-1, text=True, cwd="/"
        )
        assert process.stderr is not None
        line = process.stderr.readline()
        assert "press Ctrl-C to stop" in line, line + process.stderr.read()
        try:
            yield process
            process.send_signal(signal.SIGINT)
            assert process.wait(PATIENCE) == 0
            rest = process.stderr.read()
            assert "Traceback" not in rest, rest
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
            for stream in (process.stdout, process.stderr):
                if stream is not None:
                    stream.close()

    def close(self) -> None:
        self.holder.kill()
        self.holder.wait()
        assert self.holder.stdout is not None
        self.holder.stdout.close()


@pytest.fixture
def lab() -> Iterator[Lab]:
    # not tmp_path: the path of an AF_UNIX socket has at most 107 bytes
    with tempfile.TemporaryDirectory(prefix="pystack-") as directory:
        made = Lab(directory)
        yield made
        made.close()


UP = ["-a", "10.0.0.2/24", "--kernel-address", "10.0.0.1/24"]


def test_services_answer_over_tcp_and_udp(lab, tmp_path):
    specs = ["http:80", "echo:7", "discard:9", "chargen:19", "daytime:13"]
    with lab.up(*UP, *(word for spec in specs for word in ("--serve", spec))):
        assert "It answers." in lab.run("curl", "-sS", "--max-time", "30", "http://10.0.0.2/").stdout
        client = tmp_path / "client.py"
        client.write_text(
            "import socket\n"
            "def tcp(port, data=b''):\n"
            "    with socket.create_connection(('10.0.0.2', port), 30) as s:\n"
            "        s.sendall(data); data and s.shutdown(1)\n"
            "        return s.recv(200)\n"
            "def udp(port, data):\n"
            "    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:\n"
            "        s.settimeout(30); s.connect(('10.0.0.2', port)); s.send(data)\n"
            "        return s.recv(2000)\n"
            "print(tcp(7, b'abc'), udp(7, b'def'))\n"
            "print(tcp(9, b'abc'))\n"
            "print(len(tcp(19)) > 70, len(udp(19, b'x')) > 70)\n"
            "print(b':' in tcp(13), b':' in udp(13, b'x'))\n"
        )
        done = lab.run(sys.executable, str(client))
        assert done.stdout.splitlines() == ["b'abc' b'def'", "b''", "True True", "True True"], done.stderr


def test_a_device_that_did_not_exist_is_named(lab):
    with lab.up(*UP) as process:
        assert (
            process.stderr.readline() == "  tap0 did not exist, so pystack made it; it is removed when pystack stops\n"
        )
    assert lab.run("ip", "tuntap", "add", "tap1", "mode", "tap", "vnet_hdr").returncode == 0
    with lab.up(*UP, "--tap", "tap1") as process:
        pass
    assert lab.run("ip", "link", "show", "tap1").returncode == 0


@pytest.mark.parametrize(
    ("options", "warned"),
    [
        (["--gateway", "10.1.0.1"], "10.1.0.1 is outside 10.0.0.0/24, so"),
        (["--gateway", "10.1.0.1", "-a", "10.2.0.2/16"], "10.1.0.1 is outside 10.0.0.0/24, 10.2.0.0/16, so"),
        (["--gateway", "10.1.0.1", "-a", "10.1.0.2/16"], ""),
        (["--gateway", "10.1.0.1", "--tun"], ""),
        (["--gateway", "10.0.0.1"], ""),
    ],
    ids=["outside", "of both", "of the second", "tun", "inside"],
)
def test_a_gateway_outside_the_own_networks(lab, options, warned):
    done = lab.pystack("run", *UP, *options, "--", "python", "-c", "print('ran')")
    assert (done.returncode, done.stdout) == (0, "ran\n"), done.stderr
    assert warned in done.stderr if warned else "gateway" not in done.stderr


def test_views(lab):
    with lab.up(
        *UP, "--serve", "http:80", "--name", "viewed", "--gateway", "10.0.0.1", "--route", "10.9.0.0/16=10.0.0.1"
    ):
        assert lab.run("ping", "-c", "2", "-i", "0.2", "10.0.0.2").returncode == 0
        sockets = json.loads(lab.pystack("ss", "-n", "viewed", "-j").stdout)
        assert [(row["netid"], row["state"], row["lport"]) for row in sockets] == [("tcp", "LISTEN", 80)]
        table = lab.pystack("ss", "-t", "-n", "viewed").stdout.splitlines()
        assert table[0].split()[:2] == ["Netid", "State"] and re.match(r"tcp +LISTEN +0 +\d+ +\*:80 +\*:\*", table[1])
        assert lab.pystack("ss", "-u", "-n", "viewed").stdout.count("\n") == 1
        (neighbour,) = json.loads(lab.pystack("neigh", "-n", "viewed", "-j").stdout)
        assert neighbour["dst"] == "10.0.0.1" and re.fullmatch("(..:){5}..", neighbour["lladdr"])
        assert "10.0.0.1" in lab.pystack("neigh", "-n", "viewed").stdout
        routes = json.loads(lab.pystack("route", "-n", "viewed", "-j").stdout)
        assert {"10.0.0.0/24", "10.9.0.0/16", "default"} <= {row["dst"] for row in routes}
        assert re.search(r"default +10\.0\.0\.1 +tap0", lab.pystack("route", "-n", "viewed").stdout)
        assert "inet 10.0.0.2/24" in lab.pystack("addr", "-n", "viewed").stdout
        counters = json.loads(lab.pystack("counters", "-n", "viewed", "-j").stdout)
        assert counters["counters"]["IcmpInEchos"] == 2
        assert re.search(r"IcmpInEchos +2\n", lab.pystack("counters", "-n", "viewed").stdout)
        wrong = lab.pystack("ss", "-n", "other")
        assert wrong.returncode == 1 and "no stack named 'other'" in wrong.stderr and "viewed" in wrong.stderr
    gone = lab.pystack("ss", "-n", "viewed")
    assert gone.returncode == 1 and "Traceback" not in gone.stderr


def test_a_connection_shows_its_numbers(lab):
    with lab.up(*UP, "--serve", "chargen:19"):
        client = subprocess.Popen(lab.command("bash", "-c", "exec 3<>/dev/tcp/10.0.0.2/19; exec sleep 300"))
        try:
            for _ in range(100):
                answer = lab.pystack("ss", "-t", "-i", "-j")
                assert answer.returncode == 0, answer.stderr
                rows = json.loads(answer.stdout)
                open_ones = [row for row in rows if row["state"] == "ESTAB"]
                if open_ones and open_ones[0]["send_q"] > 0:
                    break
                time.sleep(0.05)
            assert open_ones[0]["send_q"] > 0 and open_ones[0]["info"]["tcpi_snd_cwnd"] > 0
            assert " rtt:" in lab.pystack("ss", "-ti").stdout
        finally:
            client.kill()
            client.wait()


def test_record_then_replay(lab, tmp_path):
    recording = tmp_path / "run.pytrace"
    with lab.up(*UP, "--serve", "http:80", "--record", str(recording), "--seed", "5"):
        assert lab.run("curl", "-sS", "http://10.0.0.2/bytes/300000", "-o", "/dev/null").returncode == 0
        assert lab.run("ping", "-c", "1", "10.0.0.2").returncode == 0
    same = lab.pystack("replay", str(recording))
    assert same.returncode == 0 and "every byte is the same: 1 host" in same.stdout, same.stdout + same.stderr
    told = lab.pystack("replay", "-v", str(recording)).stdout
    assert "ICMP echo reply" in told and "[RFC 9293" in told
    different = lab.pystack("replay", "--set", "ip_default_ttl=9", str(recording))
    assert different.returncode == 1 and "IPv4 TTL" in different.stdout and "64" in different.stdout
    cut = tmp_path / "cut.pytrace"
    cut.write_bytes(recording.read_bytes()[:-20])
    broken = lab.pystack("replay", str(cut))
    assert broken.returncode == 1 and "Error: " in broken.stderr and "Traceback" not in broken.stderr


def test_a_filter_chooses_the_frames_of_a_capture(lab, tmp_path):
    pytest.importorskip("cypcap")
    wrong = lab.pystack("up", *UP, "--write", "x", "--filter", "tcp prt 80")
    assert (wrong.returncode, "--filter: can't parse filter expression: syntax error" in wrong.stderr) == (2, True)
    capture, recording = tmp_path / "run.pcapng", tmp_path / "run.pytrace"
    with lab.up(*UP, "--write", str(capture), "--filter", "icmp[icmptype] = icmp-echo", "--record", str(recording)):
        assert lab.run("ping", "-c", "2", "10.0.0.2").returncode == 0
    frames = list(pcapng.read(str(capture)))
    assert [frame.data[34] for frame in frames] == [8, 8]
    again = tmp_path / "again.pcapng"
    assert lab.pystack("replay", "--write", str(again), "--filter", "arp", str(recording)).returncode == 0
    assert {frame.data[12:14] for frame in pcapng.read(str(again))} == {b"\x08\x06"}
    assert "--filter needs --write" in lab.pystack("replay", "--filter", "arp", str(recording)).stderr


def test_the_stack_goes_on_when_the_reader_of_its_capture_is_gone(lab):
    reader, writer = os.pipe()
    with lab.up(*UP, "--write", "-", stdout=writer) as process:
        os.close(writer)
        assert lab.run("ping", "-c", "1", "10.0.0.2").returncode == 0
        os.close(reader)
        for _ in range(3):
            assert lab.run("ping", "-c", "1", "10.0.0.2").returncode == 0
        assert "made it" in process.stderr.readline()
        assert "from another terminal" in process.stderr.readline()
        assert "the reader of the capture is gone" in process.stderr.readline()


def test_capture_to_a_pipe_arrives_while_it_runs(lab):
    if shutil.which("tshark") is None:
        pytest.skip("no tshark")
    reader, writer = os.pipe()
    with lab.up(*UP, "--write", "-", stdout=writer):
        os.close(writer)
        command = [
            "tshark",
            "-l",
            "-n",
            "-i",
            "-",
            "-c",
            "4",
            "-T",
            "fields",
            "-e",
            "_ws.col.Protocol",
            "-e",
            "frame.comment",
        ]
        tshark = subprocess.Popen(command, stdin=reader, stdout=-1, stderr=subprocess.DEVNULL, text=True)
        os.close(reader)
        try:
            assert lab.run("ping", "-c", "2", "-i", "0.2", "10.0.0.2").returncode == 0
            assert tshark.stdout is not None
            ready, _, _ = select.select([tshark.stdout], [], [], PATIENCE)
            assert ready, "nothing came through the pipe while the stack was running"
            output = tshark.communicate(timeout=PATIENCE)[0]
        finally:
            tshark.kill()
            tshark.wait()
        # (The kernel may ask for the address once more; then one echo falls behind the fourth frame.)
        assert output.count("ARP\t") >= 2 and output.count("ICMP\t") >= 1 and "RFC 826" in output
        assert output.count("ARP\t") + output.count("ICMP\t") == 4


def test_verbose_tells_each_frame(lab):
    with lab.up(*UP, "-v") as process:
        assert lab.run("ping", "-c", "1", "10.0.0.2").returncode == 0
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        process.wait(PATIENCE)
        assert process.stdout is not None
        told = process.stdout.read()
    assert (
        "> IP 10.0.0.2 > 10.0.0.1: ICMP echo reply" in told
        and "# an echo request for this host arrived [RFC 1122" in told
    )


def test_tun_and_mtu(lab):
    with lab.up("--tun", "--tap", "tun7", *UP, "--mtu", "576"):
        assert lab.run("ping", "-c", "1", "-s", "1400", "10.0.0.2").returncode == 0
        assert "mtu 576" in lab.run("ip", "link", "show", "tun7").stdout


def test_the_gateway_is_the_kernel_if_pystack_makes_the_device(lab):
    """As in pystack.up(). A device that exists may be in a bridge, so it is left as it is."""
    with lab.up("-a", "10.0.0.2/24", "--gateway", "10.0.0.1"):
        assert "inet 10.0.0.1/24" in lab.run("ip", "addr", "show", "tap0").stdout
        assert lab.run("ping", "-c", "1", "10.0.0.2").returncode == 0
    assert lab.run("ip", "tuntap", "add", "tap1", "mode", "tap", "vnet_hdr").returncode == 0
    with lab.up("-a", "10.0.0.2/24", "--gateway", "10.0.0.1", "--tap", "tap1"):
        assert "inet " not in lab.run("ip", "addr", "show", "tap1").stdout
    with lab.up("-a", "10.0.0.2/24", "--gateway", "10.0.0.1", "--kernel-address", "10.0.0.9/24"):
        assert "inet 10.0.0.9/24" in lab.run("ip", "addr", "show", "tap0").stdout


def test_the_kernel_sends_no_ipv6_over_a_device_that_pystack_makes(lab, tmp_path):
    lab.run("sh", "-c", "echo 0 > /proc/sys/net/ipv6/conf/default/disable_ipv6")
    path = tmp_path / "run.pcapng"
    with lab.up(*UP, "--write", str(path)):
        assert lab.run("cat", "/proc/sys/net/ipv6/conf/tap0/disable_ipv6").stdout == "1\n"
        assert lab.run("ping", "-c", "3", "-i", "0.4", "10.0.0.2").returncode == 0
    kinds = [frame.data[12:14] for frame in pcapng.read(str(path))]
    assert kinds.count(b"\x08\x00") > 3 and b"\x86\xdd" not in kinds
    # a device that exists is left as it is
    assert lab.run("ip", "tuntap", "add", "tap1", "mode", "tap", "vnet_hdr").returncode == 0
    with lab.up(*UP, "--tap", "tap1"):
        assert lab.run("cat", "/proc/sys/net/ipv6/conf/tap1/disable_ipv6").stdout == "0\n"


SHELL = ["-a", "10.0.0.2/24", "--gateway", "10.0.0.1", "--serve", "hello:7", "--shell"]


def test_a_shell_on_the_kernels_side(lab):
    """Its commands reach the stack, its exit status is that of the command, and Ctrl-C is not for the stack."""
    script = "echo $PYSTACK_NAME; ping -c 1 10.0.0.2 >/dev/null && echo answered; kill -INT $PPID; sleep 0.2; ip -br link show tap0; exit 3\n"
    for options in ([], ["--netns", f"pystack-shell-{os.getpid()}"]):
        env = {**lab.env, "SHELL": "/bin/sh"}
        command = lab.command(*PYSTACK, "up", *SHELL, *options)
        done = subprocess.run(command, input=script, env=env, capture_output=True, text=True, timeout=60, cwd="/")
        lines = done.stdout.splitlines()
        assert lines[:2] == ["pystack", "answered"] and lines[2].startswith("tap0"), done
        assert done.returncode == 3 and "Traceback" not in done.stderr
        assert "this shell is on the kernel's side of tap0; `exit` ends it and the stack" in done.stderr
        assert "another terminal" not in done.stderr


def test_how_to_reach_the_stack_is_said(lab):
    """The command that is printed works from outside."""
    with lab.up(*UP, "-a", "10.0.0.3/24") as process:
        process.stderr.readline()
        line = process.stderr.readline()
        command = line.partition("from another terminal: ")[2].partition(" (")[0].split()
        assert command[0] == "nsenter" and "runs a command in the namespaces of another process" in line
        assert subprocess.run([*command[:-2], "ping", "-c", "1", "10.0.0.2"], capture_output=True).returncode == 0


def test_the_device_is_switched_on_without_an_address_for_the_kernel(lab):
    with lab.up("-a", "10.0.0.2/24"):
        assert ",UP" in lab.run("ip", "link", "show", "tap0").stdout
        lab.run("ip", "addr", "add", "10.0.0.1/24", "dev", "tap0")
        assert lab.run("ping", "-c", "1", "10.0.0.2").returncode == 0


def test_a_device_that_may_not_be_switched_on_is_named_with_the_command_for_it(monkeypatch):
    """An ordinary user may open a persistent device of their own, but the kernel lets only root switch it on."""

    def refused(*args, **kwargs):
        raise PermissionError(errno.EPERM, "Operation not permitted")

    with Namespace.new() as space:
        monkeypatch.setattr(netns, "configure", refused)
        with pytest.warns(RuntimeWarning, match="ip link set dev tap0 up"), pystack.up(host_address=None, netns=space):
            assert not netns.is_up("tap0", space)


def test_a_named_namespace_is_made_and_removed():
    name = f"pystack-test-{os.getpid()}"
    with tempfile.TemporaryDirectory(prefix="pystack-") as directory:
        env = {**os.environ, "PYTHONPATH": str(ROOT), "XDG_RUNTIME_DIR": directory}
        process = subprocess.Popen([*PYSTACK, "up", "--netns", name, *UP], env=env, stderr=-1, text=True, cwd="/")
        try:
            assert process.stderr is not None
            line = process.stderr.readline()
            assert name in line, line
            ping = subprocess.run(["ip", "netns", "exec", name, "ping", "-c", "1", "10.0.0.2"], capture_output=True)
            assert ping.returncode == 0
        finally:
            process.send_signal(signal.SIGTERM)
            status = process.wait(PATIENCE)
            process.stderr.close()
    assert status == 128 + signal.SIGTERM
    assert not os.path.exists(f"/run/netns/{name}")


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (["up"], "the stack needs an address"),
        (["up", "-a", "10.0.0.2"], "needs a prefix length"),
        (["up", "-a", "10.0.0.300/24"], "10.0.0.300"),
        (["up", "-a", "10.0.0.2/33"], "'10.0.0.2/33': prefix length 33 is not in 0..32"),
        (["up", "-a", "10.0.0.2/"], "prefix length (none) is not in 0..32"),
        (["up", *UP, "--route", "10.0.0.0/33=10.0.0.1"], "prefix length 33 is not in 0..32"),
        (["up", *UP, "--route", "10.0.0.1/8=10.0.0.1"], "10.0.0.1/8 has host bits set"),
        (["up", *UP, "--shell", "--step"], "--shell and --step both need the terminal"),
        (["up", *UP, "--shell", "--write", "-"], "--shell and --write - both need the terminal"),
        (["up", *UP, "--serve", "gopher:70"], "no service 'gopher'"),
        (["up", *UP, "--serve", "http:0"], "a port from 1 to 65535"),
        (["up", *UP, "--set", "tcp_nagel=0"], "no setting named 'tcp_nagel'"),
        (["up", *UP, "--set", "tcp_nagle=maybe"], "the value of tcp_nagle must be of type bool"),
        (["up", *UP, "--mac", "ff:ff:ff:ff:ff:ff"], "not the address of a single station"),
        (["up", *UP, "--route", "10.0.0.0/8"], "NET=GATEWAY"),
        (["up", *UP, "--gateway", "10.0.0.1", "--route", "default=10.0.0.3"], "two routes to default"),
        (["up", *UP, "--profile", "windows"], "there are linux, rfc, lab"),
        (["ping", *UP, "example"], "'example'"),
        (["up", "-a", "10.0.0.2/24", "--link", ",peer"], "--link needs the path"),
        (["up", *UP, "--link", "cable"], "--link cannot be used together with --kernel-address"),
        (["up", *UP, "--link", "cable", "--packet", "eth0"], "--packet cannot be used together with --link"),
        (["up", *UP, "--filter", "tcp"], "--filter needs --write"),
        (["up", "-a", "10.0.0.2/24", "--packet", "eth0", "--tun"], "--packet cannot be used together with --tun"),
    ],
)
def test_wrong_options_are_exit_status_2(lab, argv, told):
    done = lab.pystack(*argv)
    assert done.returncode == 2 and told in done.stderr and "Traceback" not in done.stderr


def test_ping_from_the_stack(lab):
    done = lab.pystack("ping", *UP, "-c", "3", "-i", "0.1", "-s", "3000", "10.0.0.1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("3008 bytes from 10.0.0.1: icmp_seq=") == 3
    assert "3 packets transmitted, 3 received, 0% packet loss" in done.stdout


def test_ping_of_nobody_fails(lab):
    done = lab.pystack("ping", *UP, "-c", "1", "-W", "0.5", "10.0.0.77")
    assert done.returncode == 1 and "0 received, 100% packet loss" in done.stdout


def test_ping_whose_ttl_runs_out_names_the_router(lab):
    hops(lab)
    done = lab.pystack("ping", *UP, "--gateway", "10.0.0.1", "-c", "1", "-t", "1", "10.2.0.2")
    assert done.returncode == 1 and "From 10.0.0.1 icmp_seq=1 Time exceeded" in done.stdout, done.stdout


def test_traceroute_from_the_stack(lab):
    hops(lab)
    done = lab.pystack("traceroute", *UP, "--gateway", "10.0.0.1", "-q", "1", "10.2.0.2")
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.findall(r"^ ?\d+  ([\d.]+)", done.stdout, re.M) == ["10.0.0.1", "10.2.0.2"]
    lost = lab.pystack("traceroute", *UP, "--gateway", "10.0.0.1", "-q", "1", "-m", "2", "-w", "0.3", "10.2.0.77")
    assert lost.returncode == 1


def hops(lab: Lab) -> None:
    """Make the lab's kernel a router to 10.2.0.0/24, where another namespace is 10.2.0.2."""
    script = """
        ip link add v0 type veth peer name v1
        ip addr add 10.2.0.1/24 dev v0
        ip link set v0 up
        echo 1 > /proc/sys/net/ipv4/ip_forward
        unshare -n sh -c 'echo; exec sleep 120' > $0/ready 2>/dev/null &
        while ! [ -s $0/ready ]; do sleep 0.05; done
        ip link set v1 netns $!
        nsenter --net=/proc/$!/ns/net sh -c '
            ip addr add 10.2.0.2/24 dev v1; ip link set v1 up; ip route add default via 10.2.0.1'
    """
    process = subprocess.run(
        lab.command("sh", "-c", script, lab.directory), stdout=subprocess.DEVNULL, stderr=-1, text=True, timeout=60
    )
    assert process.returncode == 0, process.stderr


def test_two_stacks_of_one_name_are_refused(lab):
    with lab.up(*UP):
        second = lab.pystack("up", "--tap", "tap5", "-a", "10.0.5.2/24")
        assert second.returncode != 0 and "already running" in second.stderr and "Traceback" not in second.stderr


def test_socket_directory_is_the_labs_own(lab):
    with lab.up(*UP):
        (path,) = Path(lab.directory).rglob("*.sock")
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(str(path))
    assert not list(Path(lab.directory).rglob("*.sock"))
