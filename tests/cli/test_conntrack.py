"""`pystack conntrack`: the tracked connections of each host at the end of a recording, in the form of `conntrack -L`."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from pystack.cli.main import cli
from pystack.control.views import VIEWS
from pystack.sim.network import Network, S
from pystack.sim.programs import datagram


@pytest.fixture
def recording(tmp_path: Path) -> str:
    """Datagrams from behind a NAT; the recording contains the rules, too."""
    path = tmp_path / "nat.pytrace"
    net = Network(1)
    with net:
        net.record(str(path))
        pc, home, web = net.host("pc"), net.nat("home"), net.host("web")
        net.link(home, web, addrs=("192.0.2.1/24", "192.0.2.2/24"))
        net.link(pc, home, addrs=("10.0.0.2/24", "10.0.0.1/24"))
        pc.route("default", via="10.0.0.1")
        home.dnat("192.0.2.1:8080", "10.0.0.2:80")
        home.snat("192.0.2.9:5000-5001", src="10.0.0.128/25", proto="tcp")
        home.redirect("192.0.2.1:53", 5353, proto="udp")
        server = datagram(web)
        server.bind("0.0.0.0", 7)
        datagram(pc).sendto(b"question", "192.0.2.2", 7)
        net.run(1 * S)
        assert len(VIEWS["conntrack"](home.stack)) == 1
    return str(path)


def test_the_table_of_a_recording(recording):
    result = CliRunner().invoke(cli, ["conntrack", recording])
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert (
        lines[0] == "# pc: 0 connections" and lines[1] == "# home: 1 connections" and lines[3] == "# web: 0 connections"
    )
    assert lines[2].startswith("udp ") and "src=10.0.0.2 dst=192.0.2.2 " in lines[2]
    assert "[UNREPLIED] src=192.0.2.2 dst=192.0.2.1 sport=7 " in lines[2] and "[ASSURED]" not in lines[2]


def test_the_table_as_json(recording):
    result = CliRunner().invoke(cli, ["conntrack", recording, "-j"])
    [row] = json.loads(result.output)["home"]
    assert row["original"]["src"] == "10.0.0.2" and row["reply"]["dst"] == "192.0.2.1"
    assert (row["original"]["packets"], row["reply"]["packets"], row["replied"]) == (1, 0, False)
    assert 0 < row["timeout"] <= 30


def test_no_stack_and_no_recording(tmp_path):
    result = CliRunner().invoke(cli, ["conntrack", "-n", "there-is-no-such-stack"])
    assert result.exit_code == 1 and "start one with `pystack up`" in result.output
    wrong = tmp_path / "wrong"
    wrong.write_bytes(b"no recording")
    result = CliRunner().invoke(cli, ["conntrack", str(wrong)])
    assert result.exit_code == 1 and result.output == f"Error: {wrong}: not a pystack recording\n"
