"""The kernel's vxlan device as the other VTEP: its host and a host of a simulated network are in one segment."""

import io
import shutil
import subprocess

import pytest

from pystack.kernel.netns import Namespace
from pystack.sim.network import Network
from pystack.sim.programs import spawn, stream
from tests.support.taps import Tap, play

PING = shutil.which("ping")


class Segment:
    """A namespace with the kernel's VTEP 192.0.2.1 (host 10.9.0.1), and a network with the VTEP 192.0.2.2 and a host 10.9.0.2 behind a bridge."""

    def __init__(self, space: Namespace, options: str = "remote 192.0.2.2"):
        self.space = space
        space.quiet()
        self.tap = Tap(space, "t0", "192.0.2.1/24")
        done = self.do(f"ip link add vx0 type vxlan id 42 dstport 4789 local 192.0.2.1 {options}")
        if done.returncode != 0:
            self.tap.close()
            pytest.skip(f"the kernel has no vxlan: {done.stderr.strip()}")
        self.do("ip addr add 10.9.0.1/24 dev vx0")
        self.do("ip link set vx0 up")
        self.net = Network(1)
        self.host, self.vtep, self.wire = self.net.host("host"), self.net.host("vtep"), self.net.wire("wire")
        self.net.link(self.vtep, self.wire, addrs=("192.0.2.2/24", None))
        self.bridge = self.net.bridge("br0")
        self.net.link(self.host, self.bridge, mtu=1450, addrs=("10.9.0.2/24", None))
        self.port = self.bridge.vxlan(self.vtep, 42, ["192.0.2.1"])

    def do(self, command: str) -> "subprocess.CompletedProcess[str]":
        return self.space.run(command.split(), capture_output=True, text=True, timeout=20)

    def play(self, seconds: float, done) -> bool:
        return play(self.net, {self.tap: self.wire}, seconds, done)


@pytest.fixture
def segment():
    with Namespace.new() as space:
        made = Segment(space)
        yield made
        made.tap.close()


@pytest.mark.skipif(PING is None, reason="there is no ping")
def test_the_kernel_pings_through_the_tunnel_and_tshark_reads_it(segment, tmp_path):
    path = tmp_path / "vxlan.pcapng"
    writer = segment.net.capture(str(path), segment.vtep.ports[0])
    ping = segment.space.popen(
        [PING, "-c", "3", "-i", "0.2", "-W", "15", "10.9.0.2"], stdout=subprocess.PIPE, text=True
    )
    assert segment.play(20, lambda: ping.poll() is not None)
    assert "3 received" in ping.communicate(timeout=20)[0]
    writer.close()
    assert not segment.port.vtep.drops and len(segment.port.fdb_show().splitlines()) == 2
    if shutil.which("tshark") is None:
        pytest.skip("tshark is not installed")
    said = subprocess.run(
        ["tshark", "-r", str(path), "-Y", "vxlan && icmp", "-T", "fields", "-e", "vxlan.vni", "-e", "icmp.type", "-e", "udp.checksum"],
        capture_output=True,
        text=True,
        timeout=60,
    ).stdout  # fmt: skip
    rows = [line.split("\t") for line in said.splitlines()]
    # RFC 7348 5: ours, the replies, have no checksum. The kernel's have one, as its default is. (On a busy machine, a reply comes after the
    # next request.)
    found = sorted((vni, kind, checksum == "0x0000") for vni, kind, checksum in rows)
    assert found == [("42", "0", True)] * 3 + [("42", "8", False)] * 3


def test_a_stream_through_the_tunnel_in_both_directions(segment):
    import socket

    data = bytes(range(256)) * 4000
    got = io.BytesIO()

    def serve():
        listener = stream(segment.host)
        listener.bind("", 80)
        listener.listen()
        sock = yield listener.accept()
        got.write((yield sock.recv_exactly(len(data))))
        yield sock.sendall(got.getvalue()[::-1])
        sock.close()

    import threading

    from pystack.patching import kernel_socket

    back = []

    def ask(sock):
        sock.settimeout(20)
        sock.connect(("10.9.0.2", 80))
        sock.sendall(data)
        while len(b"".join(back)) < len(data) and (more := sock.recv(1 << 16)):
            back.append(more)
        sock.close()

    server = spawn(segment.net, serve())
    client = threading.Thread(target=ask, args=(segment.space.call(kernel_socket, socket.AF_INET, socket.SOCK_STREAM),))
    client.start()
    assert segment.play(30, lambda: server.finished() and not client.is_alive())
    client.join()
    assert got.getvalue() == data and b"".join(back) == data[::-1]


def test_control_another_vni_is_another_segment(segment):
    segment.port.vtep.vni = 43
    ping = segment.space.popen(["ping", "-c", "1", "-W", "1", "10.9.0.2"], stdout=subprocess.PIPE, text=True)
    assert segment.play(20, lambda: ping.poll() is not None)
    assert "0 received" in ping.communicate(timeout=20)[0]
    assert segment.port.vtep.drops["other-vni"] > 0
