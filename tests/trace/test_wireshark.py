"""Wireshark says why: what real tshark shows of the comments, the interfaces and the times of our captures."""

import re
import shutil
import subprocess
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from pystack.cli.main import cli
from pystack.labs.looks import LabLook
from pystack.phy.match import is_data
from pystack.pytest_plugin.files import write_capture
from pystack.sim.network import MS, Network, S
from pystack.stepper import scenarios
from pystack.stepper.scenarios.base import connected, pair
from pystack.testing.lab import lab_net, pattern
from pystack.trace import hosts, pcapng
from pystack.trace.annotate import IN, FrameRecord
from pystack.trace.hosts import HostsCapture
from pystack_c.base.address import v4

pytestmark = pytest.mark.skipif(shutil.which("tshark") is None, reason="needs tshark")


def tshark(path: str, expression: str, *fields: str) -> list[list[str]]:
    """The fields of the frames that match."""
    command = ["tshark", "-r", path, "-Y", expression, "-T", "fields"]
    for field in fields:
        command += ["-e", field]
    out = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    return [line.split("\t") for line in out.splitlines()]


@pytest.fixture(scope="module", params=["lost", "whole"])
def capture(request, tmp_path_factory):
    """A connection whose only data segment is lost once, or not at all; and a datagram to a closed port."""
    path = str(tmp_path_factory.mktemp("wireshark") / "x.pcapng")
    lab = lab_net(25 * MS, profile="linux", tcp_tlp=False)
    lab.net.annotated_capture(path)
    client, server = lab.connected()
    if request.param == "lost":
        lab.link.ab.drop(1, match=is_data)

    def put():
        yield client.sendall(pattern(1000))

    def take():
        yield server.recv_exactly(1000)

    lab.run(put(), take())
    lab.a.stack.handle_timeout(lab.net.now)
    client.close()
    server.close()
    lab.net.run(lab.net.now + S)
    lab.net.close()
    return path, request.param == "lost"


def test_a_retransmission_says_why(capture):
    path, lost = capture
    at_a = 'frame.interface_name == "a:eth0" && ip.src == 10.0.0.1 && '
    found = tshark(path, at_a + "tcp.analysis.retransmission", "frame.comment")
    assert len(found) == (1 if lost else 0)
    told = tshark(path, at_a + 'frame.comment contains "retransmission: the RTO"', "frame.comment")
    assert told == found
    if lost:
        assert re.search(
            r"retransmission: the RTO of 2\d\d(\.\d+)? ms expired \(SRTT 50 ms\) \[RFC 6298 5\.4\]", found[0][0]
        ), found


def test_every_frame_of_tcp_has_a_reason_and_its_interface(capture):
    path, _ = capture
    rows = tshark(path, "tcp", "frame.number", "frame.interface_name", "frame.comment")
    assert len(rows) > 10
    assert {row[1] for row in rows} == {"a:eth0", "b:eth0"}
    for row in rows:
        assert len(row) == 3 and "RFC" in row[2], row


def test_times_are_nanoseconds(capture):
    path, _ = capture
    shown = [row[0] for row in tshark(path, "frame", "frame.time_epoch")]
    ours = [frame.time for frame in pcapng.read(path)]
    assert [int(text.replace(".", "").rstrip("Z")) for text in shown] == ours
    assert all(len(text.split(".")[1]) == 9 for text in shown)


def hosts_shown(path, expression=""):
    """The pairs of hosts of all frames of IPv4, as tshark names them."""
    command = ["tshark", "-r", str(path), "-N", "n", "-Y", expression or "ip", "-T", "fields"]
    command += ["-e", "ip.src_host", "-e", "ip.dst_host"]
    out = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    return {tuple(line.split("\t")) for line in out.splitlines()}


def by_look(path):
    LabLook("Nagle", "nagle").capture(path)


def by_replay(path):
    assert CliRunner().invoke(cli, ["replay", "nagle", "--write", str(path)]).exit_code == 0


def by_network(path):
    with Network(1) as net:
        net.annotated_capture(str(path))
        a, b, _ = pair(net, delay=10 * MS)
        connected(net, a, b)


def by_plugin(path):
    recording = path.with_suffix(".pytrace")
    recording.write_bytes(scenarios.get("nagle").record())
    write_capture(str(recording), str(path))


@pytest.mark.parametrize("write", [by_look, by_replay, by_network, by_plugin])
def test_each_capture_of_several_hosts_has_their_names_and_reasons(write, tmp_path):
    path = tmp_path / "x.pcapng"
    write(path)
    assert hosts_shown(path) == {("a", "b"), ("b", "a")}
    assert any("RFC" in comment for (comment,) in tshark(str(path), "tcp", "frame.comment"))
    with open(path, "rb") as file:
        times = [frame.time for frame in pcapng.PcapngReader(file)]
    assert times == sorted(times)


def test_the_name_of_an_address_that_a_host_gets_later_is_there(tmp_path):
    """The client of the scenario has no address at the beginning, and --host leaves out the frames of the others."""
    path = tmp_path / "x.pcapng"
    result = CliRunner().invoke(cli, ["replay", "dhcp", "--write", str(path), "--host", "near"])
    assert result.exit_code == 0, result.output
    assert hosts_shown(path) >= {("0.0.0.0", "255.255.255.255"), ("near", "c")}


def test_a_host_with_many_addresses_and_changes_costs_little(tmp_path):
    """Each change of a route makes the sink look at the addresses again, and a hostile recording has many of both."""

    class Iface:
        kind, looks = 0, 0

        def __init__(self):
            self.own = [SimpleNamespace(addr=v4(0x0A000000 + n)) for n in range(1, 3000)]

        @property
        def addrs(self):
            Iface.looks += 1
            return self.own

    stack = SimpleNamespace(name="n" * 1000, route_epoch=0, ifaces=[Iface()])
    path = tmp_path / "x.pcapng"
    writer = pcapng.PcapngWriter.open(str(path))
    sink = HostsCapture(writer, lambda: [stack])
    for epoch in range(5000):
        stack.route_epoch = epoch
        sink(FrameRecord(epoch, stack.name, "eth0", IN, bytes(60), 0, ""))
    sink.flush()
    writer.close()
    assert Iface.looks == hosts.MOST_LOOKS // hosts.MOST_ADDRESSES + 1 and path.stat().st_size < 5_000_000
    with open(path, "rb") as file:
        reader = pcapng.PcapngReader(file)
        assert len(list(reader)) == 5000
    assert len(reader.names) == hosts.MOST_ADDRESSES and reader.names["10.0.0.1"] == "n" * hosts.LONGEST_NAME
