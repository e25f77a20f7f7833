"""Wrong names and servers of a network give errors that say what to write; the code of docs/howto/nat.md runs."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from pystack.cli.main import cli
from pystack.sim import Network

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


def test_the_code_of_the_page_about_nat():
    blocks = re.findall(r"^```python\n(.*?)^```", (ROOT / "docs" / "howto" / "nat.md").read_text(), re.M | re.S)
    space: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, "nat.md", "exec"), space)
    assert len(blocks) == 2
    assert list(space["net"].hosts) == ["pc", "home", "web", "carrier"]
