"""The language and the core's engine: what the parser makes of a rule is what the engine lists after it was loaded."""

import json

import pytest

pytest.importorskip("lark")

from pystack import nft
from pystack_c.filter.nft.errors import NftError
from pystack_c.stack import Stack
from tests.nft import rules as r

#: how the engine names what it does not have; the parser knows more of the language
MISSING = ("not supported", "cannot be set", "is no level", "is not known here")
#: the rules that it must not be without; fewer are listed than there are, so that the engine may choose other words
LEAST = 1200


def load(text):
    """The commands of a text, and the ruleset after a new stack has loaded them."""
    stack = Stack(1)
    commands = nft.parse(text)["nftables"]
    stack.nft(json.dumps(commands))
    return commands, stack.nftables.dump()


@pytest.mark.parametrize("family", ["ip", "inet"])
def test_the_engine_lists_what_was_loaded(family):
    """The engine has the statements in the same form, and the printer's text of them is the parser's input again."""
    loaded = 0
    for line in [*r.BOTH, *(r.IP if family == "ip" else r.INET), *r.QUEUES]:
        text = f"table {family} t {{\n{r.PRELUDE}\nchain c {{\n{line}\n}}\n}}\n"
        try:
            commands, ruleset = load(text)
        except nft.NftError:
            raise
        except NftError as error:
            assert any(words in error.message for words in MISSING), (line, error.message)
            continue
        wanted = [one["add"]["rule"]["expr"] for one in commands if "rule" in one["add"]]
        assert [one["rule"]["expr"] for one in ruleset if "rule" in one] == wanted, line
        loaded += 1
    assert loaded >= LEAST // 2


def test_the_listing_of_the_engine_loads_again():
    lines = "\n".join(
        line for line in r.BOTH if line.startswith(("ip saddr", "tcp ", "meta mark", "ct state", "log", "limit"))
    )
    text = f"table ip t {{\n{r.PRELUDE}\nchain c {{\n}}\n}}\n"
    commands, _ = load(text)
    for line in lines.splitlines():
        try:
            _, ruleset = load(text.replace("chain c {\n", f"chain c {{\n{line}\n"))
        except NftError as error:
            assert not isinstance(error, nft.NftError)
            continue
        shown = nft.text({"nftables": ruleset})
        _, again = load(shown)
        assert nft.text({"nftables": again}) == shown
    assert commands
