"""docs/howto/simulator.md, virtual-time.md, faults.md, testing.md, names.md, dhcp.md, proxies.md and link-layer.md are programs that run."""

import re
from pathlib import Path

import pytest

HOWTO = Path(__file__).resolve().parents[2] / "docs" / "howto"


def run(page, tmp_path):
    """Execute the blocks of a page as one program. Returns how many there are, and the program's names."""
    blocks = re.findall(r"^```python\n(.*?)^```", (HOWTO / page).read_text(), re.M | re.S)
    program = "\n".join(blocks).replace("/tmp/", f"{tmp_path}/")
    names: dict = {}
    exec(compile(program, str(HOWTO / page), "exec"), names)
    return len(blocks), names


def test_the_guide_runs(tmp_path):
    blocks, names = run("simulator.md", tmp_path)
    assert blocks >= 6
    assert names["link"].ab.stats.delivered > 50


def test_the_guide_to_faults_runs(tmp_path):
    blocks, names = run("faults.md", tmp_path)
    assert blocks == 4 and names["odd"].name == "client-server-no-odd-ports"


def test_the_table_of_faults_names_every_middlebox():
    """With the text that `--middlebox` takes, which makes such a box."""
    from pystack.sim.boxtext import KINDS, parse

    texts = re.findall(r"`--middlebox ([^`]*)`", (HOWTO / "faults.md").read_text())
    assert [parse(text).kind for text in texts] == list(KINDS)


def test_the_guide_to_virtual_time_runs(tmp_path):
    pytest.importorskip("greenlet")
    blocks, names = run("virtual-time.md", tmp_path)
    assert blocks == 5
    assert names["net"].links["server-client"].ab.stats.dropped() > 0


def test_the_guide_to_the_scripted_peer_runs(tmp_path):
    blocks, names = run("testing.md", tmp_path)
    assert blocks == 2
    assert names["challenge"].pure_ack and names["seconds"] < 60


def test_the_guide_to_the_link_layer_runs(tmp_path, capsys):
    blocks, names = run("link-layer.md", tmp_path)
    said = capsys.readouterr().out
    assert blocks == 6
    text = (HOWTO / "link-layer.md").read_text()
    shown = text.split("as `bridge fdb show` does:\n\n")[1].split("\n\n")[0].replace("    ", "")
    assert said.startswith(shown)
    assert "port2  10" in said and "00:00:00:00:00:00 dev vxlan42 dst 192.0.2.2 self permanent" in said
    assert "eth1 239.1.2.3 all sources" in said and "qdisc fq_codel dev a:eth0 root limit 10240p" in said
    assert names["taker"].recvfrom().poll() is not None


def test_the_guide_to_proxies_runs(tmp_path):
    pytest.importorskip("h11", reason="needs the extra `proxy`")
    blocks, names = run("proxies.md", tmp_path)
    assert blocks == 3
    assert names["reverse"].requests == 4 and names["found"][0] == ["one", "one"]


def test_the_guide_to_names_runs(tmp_path):
    pytest.importorskip("greenlet")
    blocks, names = run("names.md", tmp_path)
    assert blocks == 3
    assert len(names["server"].questions) == 1


def test_the_guide_to_dhcp_runs(tmp_path):
    blocks, names = run("dhcp.md", tmp_path)
    assert blocks == 3
    assert names["server"].machine.leases(names["net"].now) == {}
