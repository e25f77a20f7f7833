"""The rules of size and naming (CONTRIBUTING.md): short functions, one public class of a name, and a docstring on every public name."""

import ast
import functools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ["pystack", "pystack_c"]

#: the packages in which no function may be longer than LONGEST lines
SHORT = ["pystack", "pystack_c"]
LONGEST = 60
#: one line a setting, each with its comment
ALLOWED = ["pystack_c/config.py Config.__init__"]

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


@dataclass(frozen=True)
class Found:
    """What the tests ask of a file. The trees themselves would take hundreds of megabytes."""

    path: str
    long: list[str]
    undocumented: list[str]
    #: its public classes
    classes: list[str]


@functools.cache
def sources(package: str) -> list[Found]:
    """What is in each file of a package: each file is parsed once for all tests."""
    found = []
    for path in sorted((ROOT / package).rglob("*.py")):
        tree = ast.parse(path.read_text())
        classes = [name for name, node in public(tree) if isinstance(node, ast.ClassDef) and "." not in name]
        found.append(Found(str(path.relative_to(ROOT)), long_functions(tree), undocumented(tree), classes))
    return found


def definitions(node: ast.AST, outer: str = "") -> Iterator[tuple[str, Definition]]:
    """Every function and class below `node` with its qualified name; those inside a function are named like its attributes."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, Definition):
            yield outer + child.name, child
            yield from definitions(child, f"{outer}{child.name}.")
        else:
            yield from definitions(child, outer)


def long_functions(tree: ast.Module) -> list[str]:
    """The functions of more than LONGEST lines, from `def` (decorators apart) to the last line of the body."""
    found = []
    for name, node in definitions(tree):
        lines = (node.end_lineno or node.lineno) - node.lineno + 1
        if not isinstance(node, ast.ClassDef) and lines > LONGEST:
            found.append(f"{name}: {lines} lines")
    return found


def public(tree: ast.Module) -> Iterator[tuple[str, Definition]]:
    """What others may use: classes, functions, methods and properties without an underscore in front, at any depth of classes."""

    def visit(node: ast.AST, outer: str) -> Iterator[tuple[str, Definition]]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, Definition):
                if child.name.startswith("_"):
                    continue
                yield outer + child.name, child
                if isinstance(child, ast.ClassDef):
                    yield from visit(child, f"{outer}{child.name}.")
            else:
                yield from visit(child, outer)

    return visit(tree, "")


def undocumented(tree: ast.Module) -> list[str]:
    """Return the public names without a docstring, and "module" for the file itself. A setter needs none: help() shows the getter's."""
    found = [] if ast.get_docstring(tree) else ["module"]
    return found + [name for name, node in public(tree) if not ast.get_docstring(node) and not is_setter(node)]


def is_setter(node: ast.AST) -> bool:
    """True for a function with the decorator `name.setter`."""
    return any(
        isinstance(item, ast.Attribute) and item.attr == "setter" for item in getattr(node, "decorator_list", ())
    )


@pytest.mark.parametrize("package", SHORT)
def test_functions_are_short(package):
    found = [f"{file.path} {text}" for file in sources(package) for text in file.long]
    assert [text for text in found if text.split(":")[0] not in ALLOWED] == []


def test_the_check_sees_a_long_function():
    body = "    pass\n" * (LONGEST - 1)
    assert long_functions(ast.parse("def fits():\n" + body)) == []
    assert long_functions(ast.parse("def over():\n    pass\n" + body)) == [f"over: {LONGEST + 1} lines"]
    inner = "class C:\n    def outer(self):\n        def inner():\n" + "            pass\n" * LONGEST
    assert [text.split(":")[0] for text in long_functions(ast.parse(inner))] == ["C.outer", "C.outer.inner"]


def test_no_two_public_classes_have_one_name():
    places: dict[str, list[str]] = {}
    for package in PACKAGES:
        for file in sources(package):
            for name in file.classes:
                # A lab is a program of its own, and learners read one at a time.
                if "/lab_" not in file.path:
                    places.setdefault(name, []).append(file.path)
    assert len(places) > 100
    assert {name: paths for name, paths in places.items() if len(paths) > 1} == {}


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_has_a_docstring(package):
    found = [f"{file.path} {name}" for file in sources(package) for name in file.undocumented]
    assert found == []


def test_the_check_sees_a_missing_docstring():
    source = '''
class Seen:
    def method(self): pass
    def _own(self): pass
    @property
    def also(self): return 1
    @also.setter
    def also(self, value): pass
    @functools.cached_property
    def cached(self): return 1
    def fine(self):
        """Has one."""
        def inner(): pass
if True:
    def function(): pass
'''
    assert undocumented(ast.parse(source)) == ["module", "Seen", "Seen.method", "Seen.also", "Seen.cached", "function"]
