"""Wrong names and servers of a network give errors that say what to write; the code of docs/howto/nat.md runs."""

import re
import socket
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from pystack.cli.main import cli
from pystack.sim import Network
from pystack.sim.drawing import routes_of

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("hosts", [5, "web", [1], {"web": 5}, {5: "10.0.0.1"}, {"web": [5]}])
def test_a_wrong_table_of_names(hosts):
    with pytest.raises(TypeError, match=r"the names are a mapping such as \{'web': '10.0.0.1'\}"):
        Network(hosts=hosts)


@pytest.mark.parametrize("dns", [5, [5], ("10.0.0.53", 53), {"10.0.0.53"}])
def test_a_wrong_dns_server(dns):
    net = Network()
    with pytest.raises(TypeError, match="the address of a DNS server|is no DNS server: write an IPv4 address"):
        net.host("a", dns=dns)
    assert net.host("a").name == "a"  # the name is still free


@pytest.mark.parametrize("search", [5, [5], {"example.com"}])
def test_a_wrong_search_list(search):
    with pytest.raises(TypeError, match="write a list of domains"):
        Network().host("a", dns="10.0.0.53", search=search)


@pytest.mark.parametrize("command", ["run", "up"])
def test_a_negative_seed_is_refused(tmp_path, command):
    path = tmp_path / "net.py"
    path.write_text("from pystack.sim import Network\n\ndef network(seed=1):\n    return Network(seed)\n")
    done = CliRunner().invoke(cli, ["net", command, str(path), "--seed", "-1"])
    assert done.exit_code == 2
    assert "-1 is not in the range x>=0" in done.output


def test_a_lan():
    net = Network()
    web, home, pc, phone, other = (
        net.host("web"), net.nat("home"), net.host("pc"), net.host("phone"), net.router("other"),
    )  # fmt: skip
    net.link(home, web, addrs=("192.0.2.1/24", "192.0.2.2/24"))
    net.link(phone, web, addrs=("203.0.113.1/24", "203.0.113.2/24"))
    phone.route("default", via="203.0.113.2")
    switch = net.lan("office", pc, home, phone, other, subnet="192.168.1.0/24", delay=1_000_000)
    assert [host.addresses()[-1] for host in (pc, home, phone, other)] == [f"192.168.1.{n}" for n in (1, 2, 3, 4)]
    assert [port.peer.node for port in switch.ports] == [pc, home, phone, other]
    assert net.links["pc-office"].ab.delay == 1_000_000
    assert [route for host in (pc, home, phone, other) for route in routes_of(host)] == [
        "default via 192.168.1.2", "default via 203.0.113.2", "default via 192.168.1.2",
    ]  # fmt: skip

    def serve():
        with socket.create_server(("", 80)) as listener:
            connection, peer = listener.accept()
            connection.close()
            return peer[0]

    def ask():
        time.sleep(0.1)
        socket.create_connection(("web", 80)).close()

    assert net.run({web: serve, pc: ask})[web] == "192.0.2.1"
    with pytest.raises(ValueError, match="has room for 2 hosts, not for 3"):
        net.lan("small", *(net.host(name) for name in "xyz"), subnet="10.0.0.0/30")
    assert net.lan("bare", net.router("r"), net.host("h"), subnet="10.1.0.0/24", routed=False)
    assert list(routes_of(net.hosts["h"])) == []


def test_the_code_of_the_page_about_nat():
    blocks = re.findall(r"^```python\n(.*?)^```", (ROOT / "docs" / "howto" / "nat.md").read_text(), re.M | re.S)
    space: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, "nat.md", "exec"), space)
    assert len(blocks) == 2
    assert list(space["net"].hosts) == ["pc", "home", "web", "carrier"]
