"""The one rule: pystack_c is sans-I/O and knows nothing of pystack (docs/architecture.md)."""

import ast
from pathlib import Path

import pytest

CORE = Path(__file__).parent.parent / "pystack_c"
FORBIDDEN = {
    "os",
    "time",
    "random",
    "socket",
    "select",
    "selectors",
    "threading",
    "asyncio",
    "secrets",
    "datetime",
    "pystack",
}
SOURCES = sorted(CORE.rglob("*.py"))


def imported(source: str) -> set[str]:
    """The top-level packages that a source imports."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").split(".")[0])
    return found


def test_there_are_sources():
    assert len(SOURCES) > 20


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(CORE)))
def test_the_core_imports_nothing_that_touches_the_world(path):
    assert not imported(path.read_text()) & FORBIDDEN


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(CORE)))
def test_the_core_has_no_sets_and_opens_no_files(path):
    """Iteration order of a set of strings changes from run to run; dicts and lists keep theirs."""
    for node in ast.walk(ast.parse(path.read_text())):
        assert not isinstance(node, ast.Set | ast.SetComp), f"line {node.lineno}: a set"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in ("set", "frozenset", "open", "hash", "id", "print"), f"line {node.lineno}"


def test_the_check_sees_a_forbidden_import():
    assert imported("import os.path\nfrom threading import Lock") & FORBIDDEN == {"os", "threading"}


def test_timers_are_set_and_cancelled_in_one_place():
    """Core.set_timer and Core.cancel_timer tell the probe; nobody goes round them."""
    found = []
    for path in sorted(CORE.rglob("*.py")):
        if path.name != "core.py":
            found += [
                f"{path.name}: {line.strip()}"
                for line in path.read_text().splitlines()
                if ".timers.arm(" in line or ".timers.cancel(" in line
            ]
    assert not found
    assert ".timers.arm(" in (CORE / "core.py").read_text()  # control: that is how it looks
