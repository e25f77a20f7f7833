"""The language beside nft itself: the same rules are loaded with the real nft, whose listings must be ours.

For each rule, the JSON of our parser is compared with `nft -j list ruleset`, and the text that our printer makes from nft's
JSON with `nft list ruleset`, byte for byte. What nft refuses must be refused here, too.
"""

import json
import re
import shutil

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

pytest.importorskip("lark")

from pystack import nft
from pystack.kernel.netns import Namespace
from tests.nft import rules as r
from tests.nft.blocks import ACCEPTED, REFUSED
from tests.nft.generated import RULES

FAMILIES = ("ip", "inet")


def why_not() -> str:
    """Why nft cannot be the oracle here, or ""."""
    if shutil.which("nft") is None:
        return "nft is not installed"
    try:
        with Namespace.new() as space:
            done = space.run(["nft", "add table ip t"], capture_output=True, text=True, timeout=20)
            return "" if done.returncode == 0 else f"the kernel has no nf_tables: {done.stderr.strip()}"
    except OSError as exc:
        return f"no namespace here: {exc}"


_why = why_not()
pytestmark = pytest.mark.skipif(bool(_why), reason=_why or "the kernel is there")


@pytest.fixture
def space():
    with Namespace.new() as made:
        yield made


def run(space, *arguments, text=None):
    """Run nft in the namespace."""
    return space.run(["nft", *arguments], input=text, capture_output=True, text=True, timeout=60)


def load(space, text):
    """Load a text into the kernel, and return its listings: JSON and text."""
    done = run(space, "-f", "-", text=text)
    assert done.returncode == 0, done.stderr
    return json.loads(run(space, "-j", "list", "ruleset").stdout), run(space, "list", "ruleset").stdout


def objects(commands):
    """The things that commands add, as a ruleset lists them."""
    return [one["add"] for one in commands["nftables"]]


def normal(ruleset):
    """The things of a ruleset by kind and name, rules in their order, without handles."""
    found: dict[tuple, list] = {}
    for one in ruleset:
        for kind, body in one.items():
            if kind == "metainfo":
                continue
            body = {name: value for name, value in body.items() if name != "handle"}
            key = (kind, body["family"], body.get("table"), body.get("chain") or body.get("name"))
            found.setdefault(key, []).append(body)
    return found


def table(family, lines, prelude=r.PRELUDE):
    """A table with a chain for each rule."""
    chains = "\n".join(f"chain c{number} {{\n{line}\n}}" for number, line in enumerate(lines))
    return f"table {family} t {{\n{prelude}\n{chains}\n}}\n"


def accepted(family):
    """The rules that a family takes."""
    return [*r.BOTH, *(r.IP if family == "ip" else r.INET)]


@pytest.mark.parametrize("family", FAMILIES)
def test_each_rule_becomes_the_json_that_nft_lists(space, family):
    text = table(family, accepted(family))
    theirs, _ = load(space, text)
    ours, theirs = normal(objects(nft.parse(text))), normal(theirs["nftables"])
    lines = accepted(family)
    for key in theirs:
        number = key[3].removeprefix("c") if key[0] == "rule" else ""
        assert ours.get(key) == theirs[key], lines[int(number)] if number.isdigit() else key
    assert ours.keys() == theirs.keys()


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("handles", [False, True])
def test_the_printer_prints_what_nft_prints(space, family, handles):
    theirs, text = load(space, table(family, accepted(family)))
    if handles:
        text = run(space, "-a", "list", "ruleset").stdout
    # Times of elements run on between the two listings of nft.
    assert nft.text(theirs, handles=handles).splitlines() == text.splitlines()


@pytest.mark.parametrize("family", FAMILIES)
def test_a_listing_that_is_read_again_means_the_same_to_both(space, family):
    _, text = load(space, table(family, accepted(family)))
    run(space, "flush", "ruleset")
    theirs, _ = load(space, text)
    ours, theirs = normal(objects(nft.parse(text))), normal(theirs["nftables"])
    for key in theirs:
        assert ours.get(key) == theirs[key], key


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("line", r.REFUSED)
def test_what_nft_refuses_is_refused(space, family, line):
    text = table(family, [line])
    assert run(space, "-c", "-f", "-", text=text).returncode != 0
    with pytest.raises(nft.NftError) as caught:
        nft.parse(text)
    assert caught.value.place is not None


@pytest.mark.parametrize("line", r.UNKNOWN)
def test_what_pystack_does_not_know_is_an_error_with_its_place(space, line):
    text = table("inet", [line])
    family = "inet" if run(space, "-c", "-f", "-", text=text).returncode == 0 else "ip"
    text = table(family, [line])
    assert run(space, "-c", "-f", "-", text=text).returncode == 0
    with pytest.raises(nft.NftError) as caught:
        nft.parse(text)
    start = text[: text.index("chain c0")].count("\n") + 2
    assert caught.value.place.line == start


@pytest.mark.parametrize("text", ACCEPTED)
def test_blocks_and_commands_become_what_nft_lists(space, text):
    theirs, shown = load(space, text)
    assert nft.text(theirs) == shown
    if "add " not in text and "element" not in text:
        assert normal(objects(nft.parse(text))) == normal(theirs["nftables"])
    else:
        nft.parse(text)


@pytest.mark.parametrize("text", REFUSED)
def test_blocks_that_nft_refuses_are_refused(space, text):
    assert run(space, "-c", "-f", "-", text=text).returncode != 0
    with pytest.raises(nft.NftError):
        nft.parse(text)


@seed(20260501)
@settings(
    max_examples=4,
    deadline=None,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(st.sampled_from(FAMILIES), st.lists(RULES, min_size=40, max_size=40))
def test_random_rules_become_what_nft_lists(space, family, lines):
    """Each example is 40 rules. Those that nft refuses must be refused here, too, and are left out of the comparison."""
    lines = list(lines)
    for _ in range(len(lines)):
        text = table(family, lines)
        done = run(space, "-c", "-f", "-", text=text)
        if done.returncode == 0:
            break
        # nft stops at the first errors, so the rules that it names are taken out, and the others are tried again.
        wrong = {int(number) for number in re.findall(r"^/dev/stdin:(\d+):", done.stderr, re.M)}
        above = text.split("\n")
        chains = {above[number - 2].removeprefix("chain c").removesuffix(" {") for number in wrong}
        assert chains and all(name.isdigit() for name in chains), done.stderr
        for at in sorted((int(name) for name in chains), reverse=True):
            with pytest.raises(nft.NftError):
                nft.parse(table(family, [lines[at]]))
                pytest.fail(f"nft refuses {lines[at]}: {done.stderr}")
            del lines[at]
    run(space, "flush", "ruleset")
    theirs, shown = load(space, text)
    ours, listed = normal(objects(nft.parse(text))), normal(theirs["nftables"])
    assert len(lines) > 10
    for number, line in enumerate(lines):
        key = ("rule", family, "t", f"c{number}")
        assert ours.get(key) == listed.get(key), line
    assert nft.text(theirs).splitlines() == shown.splitlines()
