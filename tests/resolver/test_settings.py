"""Which servers a stack asks: arguments, a file in the format of resolv.conf(5), options of the command line, and what is wrong in them."""

import sys

import click
import pytest
from click.testing import CliRunner

import pystack
from pystack.cli.main import cli
from pystack.cli.names import dns_settings, known_names
from pystack.dns import DnsMissing, DnsSettings, settings_of
from pystack.sim import Network


def test_servers_are_given_as_texts_lists_or_settings():
    assert settings_of("10.0.0.1").servers == (("10.0.0.1", 53),)
    assert settings_of(["10.0.0.1", "10.0.0.2:5353"], ["a", "b"]) == DnsSettings(
        (("10.0.0.1", 53), ("10.0.0.2", 5353)), search=("a", "b")
    )
    mine = DnsSettings((("10.0.0.1", 53),), ndots=3, search=("x",))
    assert settings_of(mine) is mine and settings_of(mine, ["y"]).search == ("y",)


@pytest.mark.parametrize(
    "server", ["", "dns", "10.0.0", "::1", "10.0.0.1:", "10.0.0.1:0", "10.0.0.1:65536", "10.0.0.1:x", "10.0.0.1 x"]
)
def test_a_wrong_server_is_an_error_with_an_example(server):
    with pytest.raises(ValueError, match=r"write an IPv4 address, such as 10\.0\.0\.1"):
        settings_of([server])


def test_a_search_list_is_a_list_and_needs_a_server():
    # Each letter of a text would be a domain.
    with pytest.raises(ValueError, match=r"search='lab': write a list of domains, such as \['lab'\]"):
        settings_of("10.0.0.1", "lab")
    net = Network(1)
    with pytest.raises(ValueError, match="name a server"):
        net.host("a", search=["lab"])
    with pytest.raises(ValueError, match="is no DNS server"):
        net.host("a", dns="x")
    net.host("a", dns="10.0.0.1", search=["lab"])  # an error before has left nothing behind


@pytest.mark.parametrize("domain", ["", "..", "a..b", ".a", "a..", "a b", "x" * 64, "\0", "a." * 127 + "a"])
def test_a_search_domain_with_an_empty_or_impossible_label_is_refused(domain, tmp_path):
    with pytest.raises(ValueError, match="a domain has labels"):
        settings_of("10.0.0.1", [domain])
    (tmp_path / "conf").write_text(f"nameserver 10.0.0.1\nsearch {domain} lab.example. .\n")
    expected = ("a", "b", "lab.example.", ".") if domain == "a b" else ("lab.example.", ".")
    assert settings_of(str(tmp_path / "conf")).search == expected


def test_wrong_settings():
    with pytest.raises(ValueError, match="needs the address of a DNS server"):
        settings_of([])
    for change in (
        {"ndots": 16},
        {"timeout": 0},
        {"timeout": 31},
        {"attempts": 0},
        {"attempts": 6},
        {"edns": 100},
        {"edns": 5000},
    ):
        with pytest.raises(ValueError, match=next(iter(change))):
            DnsSettings((("10.0.0.1", 53),), **change)


def test_a_file_like_resolv_conf(tmp_path):
    path = tmp_path / "resolv.conf"
    path.write_text(
        "# a comment\n; another\nnameserver 10.0.0.1\nnameserver ::1\nnameserver 10.0.0.2 # x\ndomain old\nsearch a.example b.example\n"
        "options ndots:99 timeout:0 attempts:3 rotate edns0 ndots:x use-vc\nnameserver 10.0.0.3\nnameserver 10.0.0.4\nsortlist 1.2.3.4\n"
    )
    assert settings_of(str(path)) == DnsSettings(
        (("10.0.0.1", 53), ("10.0.0.2", 53), ("10.0.0.3", 53)),
        ("a.example", "b.example"), ndots=15, timeout=1, attempts=3, rotate=True, use_tcp=True,
    )  # fmt: skip
    path.write_text("search x\nnameserver ::1\n")
    with pytest.raises(ValueError, match="names no server with an IPv4 address"):
        settings_of(str(path))
    with pytest.raises(FileNotFoundError):
        settings_of(str(tmp_path / "nothing"))


def test_without_dnspython_the_error_names_the_extra(monkeypatch):
    for name in [name for name in sys.modules if name == "dns" or name.startswith("dns.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(DnsMissing, match=r"pip install 'pystack\[dns\]'"):
        pystack.up(tap=None, dns="10.0.0.1")
    with pytest.raises(DnsMissing):
        Network().host("a", dns="10.0.0.1")
    with pytest.raises(click.ClickException, match="dnspython"):
        dns_settings(["10.0.0.1"], [])


def test_the_options_of_the_command_line(tmp_path):
    (tmp_path / "hosts").write_text("10.0.0.5 db\n")
    names = known_names(str(tmp_path / "hosts"), ["web=10.0.0.6", "web=10.0.0.7"])
    assert names.lookup("db") == ["10.0.0.5"] and names.lookup("WEB") == ["10.0.0.6", "10.0.0.7"]
    assert dns_settings([], []) is None
    assert dns_settings(["10.0.0.1", "10.0.0.2"], ["x"]) == settings_of(["10.0.0.1", "10.0.0.2"], ["x"])
    for options, text in (
        (["--host-entry", "web"], "write NAME=ADDRESS"),
        (["--host-entry", "web=x"], "is not an IPv4 address"),
        (["--dns", "x"], "is no DNS server"),
        (["--search", "example"], "--search needs --dns"),
    ):
        done = CliRunner().invoke(cli, ["up", "-a", "10.0.0.2/24", *options])
        assert done.exit_code == 2 and text in done.output
