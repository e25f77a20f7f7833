"""No regular expression of the two packages can try more ways than its text is long."""

import ast
import importlib
import re
from pathlib import Path

import pytest

from pystack.pkt.pattern import trouble

ROOT = Path(__file__).resolve().parents[1]
CALLS = ("compile", "match", "fullmatch", "search", "sub", "subn", "split", "findall", "finditer")
ANYWHERE = ("search", "sub", "subn", "split", "findall", "finditer")

#: (file, source of the pattern) -> why it may be there although it is not accepted
ALLOWED = {
    ("pystack/pkt/shell.py", "re.escape(text)"): "a text without anything that repeats",
    ("pystack/pkt/shell.py", "text"): "the pattern of a script's grep -E, which `trouble` has accepted the line before",
    (
        "pystack/pkt/shell_flow.py",
        "f'\\\\$(?:{name}\\\\b|\\\\{{{name}\\\\}})'",
    ): "the name is [A-Za-z_]\\w* (_ASSIGNMENT)",
}


def calls(path):
    """The calls of `re` in a file: (function, pattern's expression, flags' expression, whether the match may begin anywhere)."""
    nodes = list(ast.walk(ast.parse(path.read_text())))
    names = {"re": True}
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and node.module == "re":
            pytest.fail(f"{path}: import re as a whole, so that this test sees its calls")
        if isinstance(node, ast.Import):
            names.update({alias.asname: True for alias in node.names if alias.name == "re" and alias.asname})
    anywhere = {
        node.func.value.id
        for node in nodes
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.attr in ANYWHERE
    }
    bound = {
        id(node.value): node.targets[0].id
        for node in nodes
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    for node in nodes:
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        if not isinstance(node.func.value, ast.Name) or node.func.value.id not in names:
            continue
        if node.func.attr not in CALLS:
            continue
        name = node.func.attr
        # A compiled pattern that has no name of its own may be used in any way.
        search = name in ANYWHERE or (name == "compile" and bound.get(id(node), None) in {None, *anywhere})
        flags = node.args[1] if name == "compile" and len(node.args) > 1 else None
        yield node.args[0], flags, search


def patterns():
    """(file, source of the pattern, the pattern or None where only running the program tells, flags, search)."""
    for package in ("pystack", "pystack_c"):
        for path in sorted((ROOT / package).rglob("*.py")):
            if not re.search(r"\b(import|from) re\b", path.read_text()):
                continue
            found = list(calls(path))
            if not found:
                continue
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            space = vars(importlib.import_module(name))
            for expression, flags, search in found:
                source = ast.unparse(expression)
                try:
                    value = eval(source, dict(space))  # noqa: S307
                    bits = eval(ast.unparse(flags), dict(space)) if flags is not None else 0  # noqa: S307
                except NameError:
                    value, bits = None, 0
                yield str(path.relative_to(ROOT)), source, value, bits, search


FOUND = list(patterns())


@pytest.mark.parametrize(
    ("path", "source", "value", "flags", "search"), FOUND, ids=[f"{path}:{source[:40]}" for path, source, *_ in FOUND]
)
def test_every_pattern_takes_linear_time(path, source, value, flags, search):
    if (path, source) in ALLOWED:
        return
    assert value is not None, f"{path}: {source} is not known before the program runs"
    assert trouble(value, int(flags), search) == ""


def test_what_is_allowed_is_there():
    assert set(ALLOWED) <= {(path, source) for path, source, *_ in FOUND}


def test_the_patterns_are_found():
    """Control: those that the test looks for are not none."""
    assert len(FOUND) > 30
    assert {path for path, *_ in FOUND} >= {"pystack/pkt/lexer.py", "pystack_c/tcp/congestion/base.py"}


@pytest.mark.parametrize(
    ("pattern", "search"),
    [
        (r"(a+)+b", False),
        (r"(a|a)*b", False),
        (r"(a|ab)*c", False),
        (r"(a*)*b", False),
        (r"a*a*b", False),
        (r"(?:a+b?)+c", False),
        (r"([a-z]+\d*)+x", False),
        (r"(x+x+)+y", False),
        (r"\s*\S*\s*$", False),
        (r"(.*),(.*),(.*)x", False),
        (r"x{1,8000}x{1,8000}y", False),
        (r"(a)\1+b", False),
        (r"(?i)a*A*b", False),
        (r"(?:[^:]+:?)*x", False),
        (r"(?=(a+)+b)a", False),
        (r"(a+){3}b", False),
        (r"(?:a|b+)*b+c", False),
        (r"(?:,[a-z]+)*,[a-z]+[a-z]*;", False),
        (rb"([!-~]+):[ \t]*([\t -~\x80-\xff]*?)[ \t]*", False),
        (r"\s*x", True),
        (r", options \[[^]]*\]", True),
        (r"a[^b]*b", True),
        (r"(^|\s)#.*$", True),
    ],
)
def test_bad_patterns_are_refused(pattern, search):
    """Control."""
    assert trouble(pattern, 0, search)


@pytest.mark.parametrize(
    ("pattern", "search"),
    [
        (r"a+b", False),
        (r"(?:[a-z]+,)*x", False),
        (r"(?:\\.|[^\"\\])*\"", False),
        (r"\d*\.\d+", False),
        (r"a++a", False),
        (r"[a-z]+ [a-z]+", False),
        (r"x\d+ y", True),
        (r"\d+(?:\.\d+)*x", False),
        (r"\s*\d+\s*x", False),
        (r"//.*", True),
        (r"\$\(\d+\)", True),
        (r"\d{1,8}x", True),
    ],
)
def test_good_patterns_are_accepted(pattern, search):
    assert trouble(pattern, 0, search) == ""


def test_what_is_accepted_is_quick():
    """Steps are not to be seen in `re`; but what an exponential pattern does to thirty letters is: control of the controls."""
    assert re.fullmatch(r"(?:[a-z]+,)*x", "abc," * 100_000 + "y") is None
