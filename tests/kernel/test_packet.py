"""phy.packet: the stack on one end of a veth pair by a packet socket, the kernel on the other end."""

import contextlib
import errno
import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from pystack.kernel.netns import Namespace
from pystack.phy.device import Device
from pystack.phy.packet import ETH_P_ALL, PacketDevice
from pystack_c.packet import Transmit
from tests.kernel.conftest import inside
from tests.support.patience import PATIENCE

MAC = 0x02_00_00_00_00_77


def frame(payload=b"", kind=b"\x88\xb5", dst=MAC):
    return dst.to_bytes(6, "big") + b"\x02\0\0\0\0\x01" + kind + payload.ljust(46, b"\0")


@pytest.fixture
def veth():
    """A namespace with a veth pair: v0 without an address for the stack, v1 with 10.0.0.1 for the kernel."""
    with Namespace.new() as space:
        space.quiet()
        for command in (
            "ip link add v0 type veth peer name v1",
            "ip addr add 10.0.0.1/24 dev v1",
            "ip link set v0 up",
            "ip link set v1 up",
        ):
            space.run(command.split(), check=True, timeout=20)
        yield space


@pytest.fixture
def net(veth):
    yield from inside(veth, device=PacketDevice("v0", veth))


@contextlib.contextmanager
def wire(space, name="v1"):
    """A packet socket of the test on the kernel's end."""
    import socket as kernel

    sock = space.call(kernel.socket, kernel.AF_PACKET, kernel.SOCK_RAW, 0)
    with sock:
        sock.bind((name, ETH_P_ALL))
        yield sock


def wait(device, seconds=PATIENCE):
    """The next frame that the test sent, or None. The kernel's own frames are passed over."""
    limit = time.monotonic() + seconds
    while time.monotonic() < limit:
        got = device.recv()
        if got is None:
            time.sleep(0.005)
        elif got[0][got[1] : got[1] + 6] == MAC.to_bytes(6, "big"):
            return got
    return None


@pytest.mark.parametrize("size", [56, 4000, 60_000])
def test_ping_from_the_kernel(net, size):
    # The kernel holds only about one datagram of 60,000 bytes while it asks for the stack's MAC address.
    assert "1 received" in net.sh("ping -c 1 -W 20 10.0.0.2").stdout
    out = net.sh(f"ping -c 3 -i 0.2 -W 20 -s {size} 10.0.0.2").stdout
    assert re.search("3 received", out), out


def test_nobody_else_answers(net):
    """Control: the kernel does not answer in the stack's place."""
    assert "0 received" in net.sh("ping -c 1 -W 1 10.0.0.3").stdout


def bulk(sender, receiver, size):
    data = os.urandom(size)
    thread = threading.Thread(target=sender.sendall, args=(data,))
    thread.start()
    back = bytearray()
    while len(back) < size and (part := receiver.recv(1 << 16)):
        back += part
    thread.join(20)
    return bytes(back) == data


def test_bulk_in_both_directions(net):
    """The kernel leaves checksums and segments unfinished on a veth, and the stack does, too."""
    server = net.kernel(timeout=20)
    server.bind(("10.0.0.1", 7))
    server.listen()
    mine = net.socket(timeout=20)
    mine.connect(("10.0.0.1", 7))
    its, _ = server.accept()
    its.settimeout(20)
    with its:
        assert bulk(mine, its, 2_000_000)
        assert bulk(its, mine, 2_000_000)
    counters = net.running.host.inspect(lambda stack: stack.counters.nonzero())
    assert not [name for name in counters if "CsumErr" in name]
    assert counters["TcpInSegs"] < 2_000_000 // 1448  # several segments came in one frame


def test_a_vlan_tag_stays_in_the_frame(veth):
    with PacketDevice("v0", veth, mac=MAC) as device, wire(veth) as sock:
        tagged = frame(b"\x00\x2a\x88\xb5 in a VLAN", b"\x81\x00")
        sock.send(tagged)
        data, offset, _, gso_size = wait(device)
        assert (data[offset:], gso_size) == (tagged, 0)
        sock.send(frame(b"plain"))
        data, offset, _, _ = wait(device)
        assert data[offset:] == frame(b"plain")


def test_what_this_machine_sends_is_not_received(veth):
    """The kernel and other programs may send on the interface, too."""
    with PacketDevice("v0", veth, mac=MAC) as device, wire(veth) as far, wire(veth, "v0") as near:
        assert isinstance(device, Device) and not hasattr(device, "frame_io")
        far.settimeout(PATIENCE)
        assert device.send(Transmit(None, frame(b"own"), None))
        near.send(frame(b"the kernel's"))
        while far.recv(2000) != frame(b"the kernel's"):
            pass
        far.send(frame(b"other"))
        data, offset, _, _ = wait(device)
        assert data[offset:] == frame(b"other")


def test_a_frame_that_is_too_long_is_counted(veth):
    with PacketDevice("v0", veth) as device:
        assert device.mtu == 1500
        assert device.send(Transmit(None, frame(bytes(3000)), None)) and device.tx_errors == 1


def test_an_interface_that_is_down_loses_frames_until_it_is_up(veth):
    with PacketDevice("v0", veth, mac=MAC) as device, wire(veth) as sock:
        veth.run("ip link set v0 down".split(), check=True)
        assert wait(device, 0.1) is None
        assert device.send(Transmit(None, frame(), None)) and device.tx_errors == 1
        veth.run("ip link set v0 up".split(), check=True)
        # It takes the kernel a moment until the other end has its carrier again.
        limit = time.monotonic() + PATIENCE
        got = None
        while got is None and time.monotonic() < limit:
            with contextlib.suppress(OSError):
                sock.send(frame(b"again"))
            got = wait(device, 0.1)
        assert got is not None


def test_an_interface_that_is_gone_is_an_error(veth):
    with PacketDevice("v0", veth) as device:
        veth.run("ip link del v0".split(), check=True)
        with pytest.raises(OSError, match="gone") as info:
            wait(device)
        assert info.value.errno == errno.ENODEV


def test_the_interface_is_promiscuous_while_the_device_is_open(veth):
    def promiscuous():
        out = veth.run("ip -d link show v0".split(), capture_output=True, text=True).stdout
        return re.search(r"promiscuity (\d)", out)[1]

    assert promiscuous() == "0"
    device = PacketDevice("v0", veth)
    assert promiscuous() == "1"
    device.close()
    device.close()
    assert (promiscuous(), device.fileno()) == ("0", -1)


def test_an_interface_that_does_not_exist(veth):
    with pytest.raises(OSError, match="there is no interface 'v9'"):
        PacketDevice("v9", veth)


def test_without_the_right_the_error_names_it():
    code = """
import os
from pystack.phy.packet import PacketDevice
os.setuid(65534)
try:
    PacketDevice("lo")
except PermissionError as exc:
    print(exc)
"""
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, cwd=root)
    assert "needs CAP_NET_RAW" in done.stdout, done.stderr


def test_the_command_serves_an_interface(veth):
    command = [sys.executable, "-m", "pystack.cli", "up", "--packet", "v0", "-a", "10.0.0.2/24", "--name", "packet"]
    root = Path(__file__).resolve().parents[2]
    server = veth.popen(command, cwd=root, stdout=-1, stderr=-2)
    try:
        limit = time.monotonic() + 30
        out = ""
        while "1 received" not in out and server.poll() is None and time.monotonic() < limit:
            out = veth.run("ping -c 1 -W 1 10.0.0.2".split(), capture_output=True, text=True).stdout
        assert "1 received" in out
    finally:
        server.terminate()
        server.communicate(timeout=60)


@pytest.mark.parametrize("up", [False, True])
def test_the_command_says_that_an_interface_is_down(veth, up):
    """A ping over an interface that is down gets no answer. The command says why."""
    veth.run(["ip", "link", "set", "v0", "up" if up else "down"], check=True)
    command = [sys.executable, "-m", "pystack.cli", "ping", "--packet", "v0", "-a", "10.0.0.2/24"]
    root = Path(__file__).resolve().parents[2]
    done = veth.run([*command, "-c", "1", "10.0.0.1"], cwd=root, capture_output=True, text=True)
    told = "pystack: v0 is down, so no frame passes; switch it on as root: ip link set dev v0 up"
    assert (told in done.stderr, done.returncode) == ((False, 0) if up else (True, 1)), done.stderr
