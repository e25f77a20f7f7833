"""The parser alone: errors with their places, included files, and bounds for hostile text."""

import os
import string
from random import Random

import pytest

pytest.importorskip("lark")

from pystack import nft
from pystack.nft import scope, source
from tests.nft import blocks


def error(text, **options):
    """The error of a text."""
    with pytest.raises(nft.RulesetError) as caught:
        nft.parse(text, **options)
    return caught.value


def rule(line, family="ip"):
    """The statements of a rule."""
    return nft.parse(f"add rule {family} t c {line}")["nftables"][-1]["add"]["rule"]["expr"]


@pytest.mark.parametrize(
    ("text", "line", "column", "end", "words"),
    [
        ("frobnicate", 1, 1, 10, "'frobnicate' is not expected here"),
        ("table ip t {\n", 1, 13, 13, "the text ends too early"),
        ("add rule ip t c tcp dprot 5", 1, 21, 25, "perhaps 'dport' is meant"),
        ("add rule ip t c ip6 saddr ::1", 1, 17, 19, "pystack does not know 'ip6'"),
        ("table ip6 t { }", 1, 7, 9, "not ip6"),
        ("add rule ip t c\n\n\tip saddr 1.2.3.400", 1, 16, 16, "the end of the line is not expected"),
        ("# one\nadd rule ip t c ip saddr 1.2.3.400", 2, 26, 34, "'1.2.3.400' is not an IPv4 address"),
        ("add rule ip t c tcp dport { 80, 70000 }", 1, 33, 37, "70000 is not in the range 0-65535"),
        ("add rule ip t c ip saddr ::1", 1, 26, 28, "pystack has no IPv6"),
        ("add rule ip t c accept drop", 1, 24, 27, "has no effect"),
        ("add rule ip t c tcp dport $port", 1, 27, 31, "'port' is not defined"),
        ("add rule ip t c ip saddr @hosts", 1, 26, 31, "no set or map 'hosts'"),
        ('add rule ip t c log prefix "x', 1, 28, 28, "'\"' is not expected"),
        ("add rule ip t c ct state nwe", 1, 26, 28, "it has: invalid, established, related, new, untracked"),
    ],
)
def test_an_error_has_its_place(text, line, column, end, words):
    found = error(text)
    assert (found.place.line, found.place.column, found.place.end) == (line, column, end), str(found)
    assert words in found.message
    head, shown, mark = str(found).split("\n")
    assert head == f"rules:{line}:{column}-{end}: Error: {found.message}"
    assert shown == text.split("\n")[line - 1] and mark.strip() == "^" * (end - column + 1)


def test_a_long_line_is_cut_around_the_place():
    text = "add rule ip t c " + "counter " * 60 + "nonsense " + "counter " * 10
    lines = str(error(text)).split("\n")
    assert len(lines[1]) == len(lines[2].rstrip("^")) + 8 + len(lines[1].split("nonsense")[1]) <= 400
    assert lines[1][len(lines[2].rstrip("^")) :].startswith("nonsense")


def test_definitions_belong_to_their_block():
    text = "define a = 1\ntable ip t {\n\tdefine a = 2\n\tchain c { define a = 3; tcp dport $a; }\n\tchain d { tcp dport $a; }\n}\n"
    made = nft.parse(text + "add rule ip t d tcp dport $a\n")["nftables"]
    assert [one["add"]["rule"]["expr"][0]["match"]["right"] for one in made if "rule" in one["add"]] == [3, 2, 1]


def test_a_rule_keeps_the_value_that_a_name_had():
    text = "define a = 1\nadd rule ip t c tcp dport $a\nredefine a = 2\nadd rule ip t c tcp dport $a\n"
    assert [one["add"]["rule"]["expr"][0]["match"]["right"] for one in nft.parse(text)["nftables"]] == [1, 2]


def test_implied_matches_and_defaults_are_listed_as_nft_does():
    assert rule("meta l4proto tcp tcp dport 22") == rule("tcp dport ssh")
    assert rule("reject") == [{"reject": {"type": "icmp", "expr": "port-unreachable"}}]
    assert rule("reject", "inet") == [{"reject": {"type": "icmpx", "expr": "port-unreachable"}}]
    assert rule("ip saddr { 10.0.0.128/25, 10.0.0.0/25 }")[0]["match"]["right"] == {
        "set": [{"prefix": {"addr": "10.0.0.0", "len": 24}}]
    }


class TestInclude:
    """Files below the directory of the first one."""

    def load(self, tmp_path, line, **files):
        for name, text in files.items():
            path = tmp_path / f"{name}.nft"
            path.write_text(text)
        (tmp_path / "main.nft").write_text(line + "\n")
        return nft.parse_file(str(tmp_path / "main.nft"))["nftables"]

    def test_relative_to_the_file(self, tmp_path):
        (tmp_path / "sub").mkdir()
        (tmp_path / "sub" / "one.nft").write_text('include "two.nft"\n')
        (tmp_path / "sub" / "two.nft").write_text("add table ip two\n")
        assert self.load(tmp_path, 'include "sub/one.nft"') == [{"add": {"table": {"family": "ip", "name": "two"}}}]

    def test_in_a_chain_and_with_its_definitions(self, tmp_path):
        made = self.load(
            tmp_path,
            'include "names.nft"\ntable ip t {\n\tchain c {\n\t\tinclude "rules*.nft"\n\t}\n}',
            names="define port = 22",
            rules1="tcp dport $port accept",
            rules2="drop",
        )
        assert [list(one["add"]["rule"]["expr"][-1]) for one in made if "rule" in one["add"]] == [["accept"], ["drop"]]

    @pytest.mark.parametrize(
        "path", ["/etc/passwd", "../outside.nft", "link.nft", "pipe", "sub", "none.nft", "*/x.nft"]
    )
    def test_what_is_unsafe_is_refused(self, tmp_path, path):
        directory = tmp_path / "rules"
        directory.mkdir()
        (tmp_path / "outside.nft").write_text("add table ip outside\n")
        os.symlink(tmp_path / "outside.nft", directory / "link.nft")
        os.mkfifo(directory / "pipe")
        (directory / "sub").mkdir()
        with pytest.raises(nft.RulesetError) as caught:
            self.load(directory, f'include "{path}"')
        assert caught.value.place.line == 1

    def test_a_circle_ends(self, tmp_path):
        with pytest.raises(nft.RulesetError, match="deep"):
            self.load(tmp_path, 'include "main.nft"')

    def test_many_files_are_refused(self, tmp_path):
        with pytest.raises(nft.RulesetError, match="more than 64 files"):
            self.load(tmp_path, 'include "many*.nft"', **{f"many{number}": "" for number in range(70)})

    def test_an_error_names_the_included_file(self, tmp_path):
        with pytest.raises(nft.RulesetError) as caught:
            self.load(tmp_path, '\ninclude "one.nft"', one="add table ip t\nnonsense\n")
        assert str(caught.value).startswith(f"{tmp_path}/one.nft:2:1-8: Error: ")

    def test_a_text_without_a_file_includes_nothing(self):
        assert "include works only in a file" in error('include "x.nft"').message


class TestBounds:
    """Hostile text is an error, and takes work in proportion to its length."""

    def test_nested_brackets(self):
        assert "deep" in error("add rule ip t c tcp dport " + "{ " * 100_000).message
        assert "deep" in error("add rule ip t c meta mark set " + "( " * 100_000).message

    def test_chains_of_operators(self):
        assert "deep" in error("add rule ip t c meta mark set meta mark " + "| 1 " * 1000).message
        assert "deep" in error("add rule ip t c tcp flags " + " | ".join(["syn"] * 1000)).message

    def test_names_that_double(self):
        text = "define a = { 1, 2 }\n" + "redefine a = { $a, $a }\n" * 60 + "add rule ip t c tcp dport $a\n"
        assert f"more than {scope.MAX_VALUES} values" in error(text).message
        text = "define a = { 1, 2 }\n" + "redefine a = { $a }\n" * 100 + "add rule ip t c tcp dport $a\n"
        assert "deep" in error(text).message

    def test_long_texts(self):
        assert "more than 1048576 characters" in error("\n" * (source.MAX_TEXT + 1)).message
        assert "at most 128 statements" in error("add rule ip t c " + "counter " * 1000).message
        assert "more than 256 names" in error("".join(f"define n{number} = 1\n" for number in range(300))).message

    def test_numbers(self):
        for number in ("9" * 1000, "0x" + "f" * 1000, "0777777777777777777777777", "08"):
            error(f"add rule ip t c tcp dport {number}")
        error("add set ip t s { type ipv4_addr; timeout " + "9" * 30 + "d; }")

    @pytest.mark.parametrize("seed", range(4))
    def test_changed_texts_raise_nothing_else(self, seed):
        """Pieces of texts in another order, letters that are changed: the error is the parser's own."""
        rng = Random(seed)
        texts = [*blocks.ACCEPTED, *blocks.REFUSED]
        refused = 0
        for _ in range(60):
            words = rng.choice(texts).split(" ")
            for _ in range(rng.randint(0, 2)):
                at = rng.randrange(len(words))
                kind = rng.random()
                if kind < 0.4:
                    words[at] = rng.choice(rng.choice(texts).split(" "))
                elif kind < 0.7:
                    del words[at]
                    words = words or [""]
                else:
                    words[at] += rng.choice(string.printable)
            try:
                nft.parse(" ".join(words))
            except nft.RulesetError as caught:
                assert str(caught)
                refused += 1
        assert 0 < refused < 60


def test_printing_needs_no_parser(monkeypatch):
    """And without lark, reading is an error that says how to install it."""
    monkeypatch.setattr(source, "parser", source.parser.__wrapped__)
    monkeypatch.setitem(__import__("sys").modules, "lark", None)
    assert nft.text({"nftables": [{"table": {"family": "ip", "name": "t"}}]}) == "table ip t {\n}\n"
    with pytest.raises(nft.LarkMissing, match=r"pip install 'pystack\[nft\]'"):
        nft.parse("add table ip t")
