"""`pystack ss -i` reads like ss(8): a line below each socket, with units, and without what is not set."""

import re

import pytest
from click.testing import CliRunner

from pystack.cli import tcpinfo, views
from pystack.cli.main import cli
from pystack.control.views import sockets
from pystack.sim.network import MS, Network
from pystack.sim.programs import spawn
from pystack.stepper.scenarios.base import connected, pair


@pytest.fixture(scope="module")
def rows():
    with Network(1) as net:
        a, b, _ = pair(net, delay=10 * MS)
        client, _ = connected(net, a, b)

        def send():
            yield client.sendall(b"x" * 5000)

        spawn(net, send())
        net.run(net.now + 200 * MS)
        return sockets(a.stack, True)


def test_the_line_has_the_fields_of_ss(rows):
    (row,) = [row for row in rows if row["state"] == "ESTAB"]
    said = tcpinfo.line(row["info"], row["congestion"])
    assert said.startswith(f"ts sack {row['congestion']} wscale:7,7 rto:220 rtt:20/")
    assert " mss:1448 pmtu:1500 " in said and " bytes_sent:5000 bytes_acked:5000 " in said and " minrtt:20 " in said
    assert re.search(r" send [\d.]+Mbps ", said) and " delivered:" in said
    # what is not set is not there
    for absent in (
        "tcpi_",
        "ssthresh:2147483647",
        "18446744073709551615",
        "4294967295",
        "retrans:",
        "lost:",
        "unacked:",
    ):
        assert absent not in said


def test_losses_are_there_if_there_are_any(rows):
    (row,) = [row for row in rows if row["state"] == "ESTAB"]
    info = {**row["info"], "tcpi_retrans": 1, "tcpi_total_retrans": 3, "tcpi_lost": 2, "tcpi_snd_ssthresh": 7}
    said = tcpinfo.line(info, "cubic")
    assert " retrans:1/3 lost:2 " in said and " ssthresh:7 " in said and " cubic " in said


def test_the_line_is_below_its_socket(rows, monkeypatch):
    monkeypatch.setattr(views, "ask", lambda name, view, **arguments: rows)
    result = CliRunner().invoke(cli, ["ss", "-ti"])
    assert result.exit_code == 0
    lines = result.output.splitlines()
    at = next(n for n, line in enumerate(lines) if " ESTAB " in line)
    assert lines[at + 1].startswith("\t ts sack") and len(lines) == len(rows) + 2
