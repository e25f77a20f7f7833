"""The language and the core's engine: what the parser makes of a rule is what the engine lists after it was loaded."""

import json

import pytest

pytest.importorskip("lark")

from pystack import nft
from pystack.nft import types as t
from pystack_c.filter.nft.datatypes import DECLARED
from pystack_c.filter.nft.errors import NftError
from pystack_c.stack import Stack
from tests.nft import rules as r

#: how the engine names what it does not have; the parser knows more of the language
MISSING = ("not supported", "cannot be set", "is no level", "is not known here")
#: rules of each family that the engine must have, so that it is not refused altogether
LEAST = 640


def accepted(family):
    """The stack with the rules that the engine has, and these rules' JSON in their order."""
    lines = [*r.BOTH, *(r.IP if family == "ip" else r.INET), *r.QUEUES]
    text = "\n".join(lines)
    commands = nft.parse(f"table {family} t {{\n{r.PRELUDE}\nchain c {{\n{text}\n}}\n}}\n")["nftables"]
    stack = Stack(1)
    rules = [one for one in commands if "rule" in one["add"]]
    stack.nft(json.dumps([one for one in commands if "rule" not in one["add"]]))
    wanted = []
    for line, rule in zip(lines, rules, strict=True):
        try:
            stack.nft(json.dumps([rule]))
        except NftError as error:
            assert not isinstance(error, nft.RulesetError) and any(words in error.message for words in MISSING), (
                line,
                error.message,
            )
        else:
            wanted.append(rule["add"]["rule"]["expr"])
    return stack, wanted


@pytest.mark.parametrize("family", ["ip", "inet"])
def test_the_engine_lists_what_was_loaded(family):
    stack, wanted = accepted(family)
    assert [one["rule"]["expr"] for one in stack.nftables.dump() if "rule" in one] == wanted
    assert len(wanted) >= LEAST


@pytest.mark.parametrize("family", ["ip", "inet"])
def test_the_listing_of_the_engine_loads_again(family):
    """After the second time, the text stays the same. The first time, a set of one element may become this element."""
    stack, _ = accepted(family)
    texts = [nft.text({"nftables": stack.nftables.dump()})]
    for _ in range(2):
        again = Stack(1)
        again.nft(json.dumps(nft.parse(texts[-1])))
        texts.append(nft.text({"nftables": again.nftables.dump()}))
    assert texts[1] == texts[2]
    assert len(texts[0].splitlines()) == len(texts[1].splitlines())


def test_the_engine_and_the_language_show_numbers_by_the_same_names():
    checked = 0
    for kind in t.NAMED.values():
        for number in kind.names.values() if kind.name in DECLARED else ():
            assert DECLARED[kind.name].show(number) == t.value(kind, number), kind.name
            checked += 1
    assert checked > 140
