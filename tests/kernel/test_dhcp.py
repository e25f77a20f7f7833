"""DHCP with real programs on the kernel's side: dnsmasq and Kea as servers, udhcpc and dhclient as clients."""

import json
import re
import shutil
import subprocess
import sys
import time

import pytest

from pystack.dhcp import ClientSettings, Probing
from pystack.dhcp.agent import serve
from pystack.kernel.netns import Namespace, configure
from pystack.phy.tap import TapDevice
from pystack.running import up
from tests.support.patience import PATIENCE

PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
QUICK = ClientSettings(host_name="pystack-test", probing=Probing(count=1, wait=10_000_000, silence=200_000_000))


def program(name):
    """The path of a program; without it, the test is skipped."""
    found = shutil.which(name, path=PATH)
    if found is None:
        pytest.skip(f"{name} is not installed (tools/setup.sh test)")
    return found


@pytest.fixture
def space():
    with Namespace.new() as space:
        space.quiet()
        yield space


def wait_for(what, seconds=PATIENCE):
    """Wait until what() is true."""
    limit = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < limit, "it did not happen"
        time.sleep(0.02)


@pytest.fixture
def server(request, space, tmp_path):
    """A real server at 10.0.0.1 on the kernel's side of a TAP. Yields the device and the server's log."""
    # The device outlives the stack: a server ignores the last message if the interface is gone when it reads it.
    space.run(["ip", "tuntap", "add", "dev", "tap0", "mode", "tap"], check=True)
    device = TapDevice("tap0", netns=space)
    configure("tap0", address="10.0.0.1/24", up=True, netns=space)
    # Kea does not open the sockets of an interface that is not running yet.
    wait_for(lambda: "state UP" in space.run(["ip", "link", "show", "tap0"], capture_output=True, text=True).stdout)
    log = tmp_path / "log"
    if request.param == "dnsmasq":
        command = [
            program("dnsmasq"),
            "-d",
            "-C",
            "/dev/null",
            "-p",
            "0",
            "--interface=tap0",
            "--user=root",
            "--no-ping",
        ]
        command += [
            "--dhcp-range=10.0.0.50,10.0.0.60,120s",
            "--dhcp-option=3,10.0.0.1",
            "--dhcp-option=6,10.0.0.1",
            "--domain=example.org",
        ]
        command += [f"--dhcp-leasefile={tmp_path}/leases", "--dhcp-authoritative", "--log-dhcp"]
        ready = "IP range"
        env = None
    else:
        settings = {
            "interfaces-config": {"interfaces": ["tap0"]},
            "lease-database": {"type": "memfile", "persist": False},
            "valid-lifetime": 120,
            "subnet4": [{
                "id": 1, "subnet": "10.0.0.0/24", "pools": [{"pool": "10.0.0.50-10.0.0.60"}],
                "option-data": [
                    {"name": "routers", "data": "10.0.0.1"}, {"name": "domain-name-servers", "data": "10.0.0.1"},
                    {"name": "domain-name", "data": "example.org"},
                ],
            }],
            "loggers": [{"name": "kea-dhcp4", "output_options": [{"output": "stdout"}], "severity": "INFO"}],
        }  # fmt: skip
        (tmp_path / "kea.conf").write_text(json.dumps({"Dhcp4": settings}))
        command = [program("kea-dhcp4"), "-c", str(tmp_path / "kea.conf")]
        ready = "DHCP4_STARTED"
        env = {"PATH": PATH, "KEA_PIDFILE_DIR": str(tmp_path), "KEA_LOCKFILE_DIR": str(tmp_path)}
    with log.open("w") as out:
        process = space.popen(command, stdout=out, stderr=out, env=env)
    try:
        wait_for(lambda: ready in log.read_text())
        yield device, log
    finally:
        process.terminate()
        process.wait(PATIENCE)


@pytest.mark.parametrize("server", ["dnsmasq", "kea"], indirect=True)
def test_a_real_server_gives_renews_and_takes_back(server, space):
    device, log = server
    with up(device=device, netns=space, dhcp=QUICK) as running:
        agent = running.dhcp
        lease = agent.lease
        assert 50 <= lease.addr & 0xFF <= 60 and lease.prefixlen == 24 and lease.time == 120
        assert lease.routers == lease.dns == (0x0A000001,) and lease.domain == "example.org"
        assert running.host.names.dns.settings.servers == (("10.0.0.1", 53),)
        address = f"10.0.0.{lease.addr & 0xFF}"
        assert space.run(["ping", "-c1", "-W20", address], capture_output=True).returncode == 0
        client = agent.machine
        # T1 has passed: as in virtual time, but the clock is real, so the timer is moved.
        assert client.state == "BOUND"
        client._timer = client.deadline = running.host.clock()
        agent.wake()
        wait_for(lambda: any(note.fields.get("new") == "RENEWING" for note in list(agent.notes)))
        wait_for(lambda: client.state == "BOUND")
        assert agent.lease.addr == lease.addr
    wait_for(lambda: "RELEASE" in log.read_text())
    text = log.read_text()
    if "dnsmasq" in text:
        names = re.findall(r"DHCP(\w+)\(tap0\)", text)
        assert names == ["DISCOVER", "OFFER", "REQUEST", "ACK", "REQUEST", "ACK", "RELEASE"] and "pystack-test" in text
    else:
        assert text.count("DHCP4_LEASE_ALLOC") == 2 and "DHCP4_RELEASE" in text


@pytest.mark.parametrize("server", ["dnsmasq"], indirect=True)
def test_an_address_of_another_network_is_refused_by_a_real_server(server, space):
    device, log = server
    wrong = ClientSettings(request=0x0A090909, probing=QUICK.probing)
    with up(device=device, netns=space, dhcp=wrong) as running:
        states = [note.fields["new"] for note in running.dhcp.notes if note.kind == "dhcp.state"]
    assert (
        states == ["INIT-REBOOT", "REBOOTING", "INIT", "SELECTING", "REQUESTING", "BOUND"]
        and "DHCPNAK" in log.read_text()
    )


UDHCPC = """#!/bin/sh
env >> {out}
case $1 in
  bound|renew) ip addr replace $ip/$mask dev $interface; ip route replace default via $router;;
esac
"""


@pytest.fixture
def ours(space):
    """Our server at 10.0.0.1 on the stack's side of a TAP. Yields the running stack and the server's agent."""
    device = TapDevice("tap0", netns=space)
    configure("tap0", up=True, netns=space)
    with up(device=device, address="10.0.0.1/24", gateway=None, host_address=None, netns=space) as running:
        agent = serve(running, lease=120, routers="10.0.0.1", dns="10.0.0.1", domain="example.org")
        yield running, agent
        agent.stop()


def types(agent):
    """The messages that the server has seen and sent."""
    return [note.fields["type"] for note in list(agent.notes) if note.kind == "dhcp.message"]


def test_udhcpc_gets_renews_and_releases_an_address_from_ours(space, ours, tmp_path):
    running, agent = ours
    script = tmp_path / "script"
    script.write_text(UDHCPC.format(out=tmp_path / "env"))
    script.chmod(0o755)
    busybox = program("busybox")
    command = [
        busybox,
        "udhcpc",
        "-f",
        "-i",
        "tap0",
        "-s",
        str(script),
        "-R",
        "-t",
        "5",
        "-T",
        "10",
    ]  # (it does not ask twice, however busy the machine is)
    process = space.popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: "ACK" in types(agent))
        wait_for(lambda: (tmp_path / "env").exists() and "serverid" in (tmp_path / "env").read_text())
        told = dict(line.split("=", 1) for line in (tmp_path / "env").read_text().splitlines() if "=" in line)
        assert (told["ip"], told["mask"], told["lease"], told["router"]) == ("10.0.0.2", "24", "120", "10.0.0.1")
        assert (told["dns"], told["domain"], told["serverid"]) == ("10.0.0.1", "example.org", "10.0.0.1")
        wait_for(lambda: space.run(["ping", "-c1", "-W1", "10.0.0.1"], capture_output=True).returncode == 0)
        process.send_signal(10)  # SIGUSR1: renew
        wait_for(lambda: types(agent).count("ACK") == 2)
        process.terminate()  # -R: release at the end
        wait_for(lambda: "RELEASE" in types(agent))
    finally:
        process.terminate()
        process.wait(PATIENCE)
    assert types(agent) == ["DISCOVER", "OFFER", "REQUEST", "ACK", "REQUEST", "ACK", "RELEASE"]
    assert agent.machine.leases(running.host.clock()) == {}


def test_dhclient_gets_and_releases_an_address_from_ours(space, ours, tmp_path):
    running, agent = ours
    dhclient = program("dhclient")
    (tmp_path / "conf").write_text("request subnet-mask, routers, domain-name-servers, domain-name;\nretry 1;\n")
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\nenv >> " + str(tmp_path / "env") + "\nexit 0\n")
    script.chmod(0o755)
    base = [
        dhclient,
        "-4",
        "-cf",
        f"{tmp_path}/conf",
        "-lf",
        f"{tmp_path}/leases",
        "-pf",
        f"{tmp_path}/pid",
        "-sf",
        str(script),
    ]
    done = space.run([*base, "-1", "-v", "tap0"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    try:
        lease = (tmp_path / "leases").read_text()
        assert "fixed-address 10.0.0.2;" in lease and 'option domain-name "example.org";' in lease
        assert "option dhcp-lease-time 120;" in lease and "option routers 10.0.0.1;" in lease
        assert list(agent.machine.leases(running.host.clock())) == ["10.0.0.2"]
        command = ["ip", "addr", "add", "10.0.0.2/24", "dev", "tap0"]  # what its usual script does
        assert space.run(command).returncode == 0
    finally:
        space.run([*base, "-r", "tap0"], capture_output=True, timeout=60)
    wait_for(lambda: "RELEASE" in types(agent))
    assert agent.machine.leases(running.host.clock()) == {}


def test_the_command_up_gets_an_address_or_says_why_not(space, tmp_path):
    """`pystack up --dhcp`, as a process; the server is dnsmasq on the kernel's side of its TAP."""
    space.run(["ip", "tuntap", "add", "tap0", "mode", "tap"], check=True)
    configure("tap0", address="10.0.0.1/24", up=True, netns=space)
    command = [program("dnsmasq"), "-d", "-C", "/dev/null", "-p", "0", "--interface=tap0", "--user=root", "--no-ping"]
    command += ["--dhcp-range=10.0.0.50,10.0.0.50,120s", f"--dhcp-leasefile={tmp_path}/leases", "--dhcp-authoritative"]
    server = space.popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    env = {"PATH": PATH, "PYTHONPATH": ".", "XDG_RUNTIME_DIR": str(tmp_path)}
    up_command = [sys.executable, "-m", "pystack.cli", "up", "--dhcp"]
    process = space.popen(up_command, stderr=subprocess.PIPE, text=True, env=env)
    try:
        line = process.stderr.readline()
        assert line == "pystack: asking for an address by DHCP on tap0\n"
        line = process.stderr.readline()
        assert "10.0.0.50/24 (DHCP) on tap0" in line, line
        assert space.run(["ping", "-c1", "-W20", "10.0.0.50"], capture_output=True).returncode == 0
    finally:
        for one in (process, server):
            one.send_signal(2)
            one.wait(PATIENCE)
        process.stderr.close()
    wrong = space.run([*up_command, "--tun"], capture_output=True, text=True, env=env)
    assert wrong.returncode == 2 and "--dhcp is for Ethernet" in wrong.stderr
