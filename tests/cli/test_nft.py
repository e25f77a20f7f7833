"""`pystack nft`: commands to a running stack through its control socket, and `pystack up --nft`."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

pytest.importorskip("lark")

from pystack.cli.main import cli
from pystack.control.server import ControlServer, change_filter
from pystack.running import Running
from pystack.runtime.realtime import RealtimeHost
from pystack_c.filter.nft.errors import NftError
from pystack_c.stack import Stack

RULES = """table inet filter {
	set hosts { type ipv4_addr; elements = { 10.0.0.1 } }
	map ports { type inet_service : verdict; elements = { 22 : accept } }
	counter web { }
	chain input {
		type filter hook input priority filter; policy accept;
		ct state established,related accept
		tcp dport 80 counter name web accept
	}
	chain other { }
}
"""


@pytest.fixture
def stack(tmp_path, monkeypatch):
    """A running stack without a device, whose control socket is the test's own."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    with RealtimeHost(Stack(1, name="pystack")) as host:
        server = ControlServer(host)
        server.start()
        yield host
        server.close()


def run(*arguments, text=None, status=0):
    """Run `pystack nft`, and return what it prints."""
    result = CliRunner().invoke(cli, ["nft", *arguments], input=text, standalone_mode=False)
    given = result.return_value if result.exception is None else getattr(result.exception, "exit_code", None)
    assert given == status, (result.output, result.exception)
    return result.output if result.exception is None else str(result.exception)


def test_a_file_is_loaded_and_listed(stack, tmp_path):
    path = tmp_path / "rules.nft"
    path.write_text(RULES)
    assert run("list", "ruleset") == ""
    assert run("-f", str(path)) == ""
    shown = run("list", "ruleset")
    assert '\t\ttcp dport 80 counter name "web" accept\n' in shown and shown.startswith("table inet filter {\n")
    assert " # handle " not in shown and " # handle " in run("-a", "list", "ruleset")
    assert run("list", "tables") == "table inet filter\n"
    assert "chain" not in run("list", "set", "inet", "filter", "hosts")
    found = json.loads(run("-j", "list", "chain", "inet", "filter", "input"))["nftables"]
    assert [next(iter(one)) for one in found] == ["metainfo", "chain", "rule", "rule"]


def test_single_commands(stack):
    run("add table ip t; add chain ip t c")
    run("add", "rule", "ip", "t", "c", "tcp", "dport", "{", "22,", "80", "}", "accept")
    run("insert rule ip t c ip saddr 10.0.0.1 drop")
    shown = run("-a", "list", "chain", "ip", "t", "c")
    lines = [line.strip() for line in shown.splitlines()]
    assert lines[2].startswith("ip saddr 10.0.0.1 drop # handle ")
    assert lines[3].startswith("tcp dport { 22, 80 } accept # handle ")
    run("delete", "rule", "ip", "t", "c", "handle", lines[2].rpartition(" ")[2])
    assert "10.0.0.1" not in run("list", "ruleset")


def test_a_set_of_the_running_stack_has_its_type(stack):
    run("-f", "-", text=RULES)
    run("add element inet filter hosts { 10.0.0.9 }")
    run("add element inet filter ports { ssh : accept, http : drop }", status=0)
    assert "10.0.0.1, 10.0.0.9" in run("list", "ruleset")
    assert "'x' is not an IPv4 address" in run("add element inet filter hosts { x }", status=1)
    assert "no set or map 'nobody'" in run("add element inet filter nobody { 10.0.0.9 }", status=1)


def test_all_commands_or_none(stack):
    """The second command is refused by the stack, and its line is shown."""
    told = run("-f", "-", text="add table ip t\nadd rule ip t nobody accept\n", status=1)
    lines = told.splitlines()
    assert lines[0].startswith("stdin:2:1-27: Error: there is no chain 'nobody'")
    assert lines[1:] == ["add rule ip t nobody accept", "^" * 27]
    assert run("list", "ruleset") == ""


def test_an_error_shows_the_place(stack, tmp_path):
    path = tmp_path / "wrong.nft"
    path.write_text("table ip t {\n\tchain c {\n\t\ttcp dport 70000 accept\n\t}\n}\n")
    told = run("-f", str(path), status=1).splitlines()
    assert told[0].startswith(f"{path}:3:13-17: Error: the value 70000 ")
    assert told[1:] == ["\t\ttcp dport 70000 accept", "\t\t          ^^^^^"]
    assert "there is no table ip t" in run("list table ip t", status=1)


def test_check_needs_no_stack(tmp_path):
    path = tmp_path / "rules.nft"
    path.write_text(RULES)
    assert run("-c", "-f", str(path)) == ""
    assert "stdin:2:12-23: Error" in run(
        "-c", "-f", "-", text="table ip t {\n\tchain c { jump nowhere; }\n}\n", status=1
    )


def test_json_is_read(stack):
    run(
        "-f", "-", text='{"nftables": [{"add": {"table": {"family": "ip", "name": "t"}}}, {"list": {"ruleset": null}}]}'
    )
    assert run("list", "tables") == "table ip t\n"
    assert "no JSON" in run("-f", "-", text="{", status=1)


def test_the_control_socket_says_which_command_is_wrong(stack):
    with pytest.raises(NftError) as caught:
        change_filter("pystack", json.dumps([{"add": {"table": {"family": "ip", "name": "t", "x": 1}}}]))
    assert caught.value.path[:2] == (0, "add")


def test_wrong_usage_and_no_stack(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert "give a command" in run(status=2)
    assert "start one with `pystack up`" in run("list", "ruleset", status=1)
    assert "No such file" in CliRunner().invoke(cli, ["nft", "-c", "-f", str(tmp_path / "none")]).output


def test_include_in_a_file(stack, tmp_path):
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "web.nft").write_text("tcp dport $web accept\n")
    path = tmp_path / "rules.nft"
    path.write_text('define web = 80\ntable ip t {\n\tchain c {\n\t\tinclude "parts/*.nft"\n\t}\n}\n')
    run("-f", str(path))
    assert "tcp dport 80 accept" in run("list", "ruleset")
    (tmp_path / "parts" / "web.nft").write_text("tcp dport nonsense accept\n")
    told = run("-f", str(path), status=1)
    assert told.startswith(f"{Path(path).parent}/parts/web.nft:1:11-18: Error: ")


def test_running_loads_text_files_and_json(stack, tmp_path):
    """`Running.nft` of pystack.up()."""
    running = Running(stack, None, None, None, False)
    running.nft(RULES)
    path = tmp_path / "more.nft"
    path.write_text("add element inet filter hosts { 10.0.0.7 }\n")
    running.nft(path)
    running.nft([{"add": {"table": {"family": "ip", "name": "t"}}}])
    shown = run("list", "ruleset")
    assert "10.0.0.1, 10.0.0.7" in shown and "table ip t {" in shown
    assert [one["table"]["name"] for one in running.ruleset() if "table" in one] == ["filter", "t"]
    with pytest.raises(NftError):
        running.nft("add rule ip t nobody accept")
