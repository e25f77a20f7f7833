"""The rules of structure (docs/explanation/architecture.md): the core is sans-I/O, and imports go down, never up or in a circle."""

import ast
import functools
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CORE = ROOT / "pystack_c"
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

#: the rooms of each package, the lowest first: a module imports only from its own line and from the lines above it.
#: A name with a dot in front is a module of the package itself.
ORDER = {
    "pystack_c": [
        ["settings"],
        [".const", ".counters", ".config"],
        ["base"],
        [".iface", ".route"],
        ["wire", ".packet", ".probe"],
        [".core", ".endpoint"],
        ["link"],
        ["filter"],
        ["ip"],
        ["sockets"],
        ["tcp"],
        ["ingress", "services"],
        [".stack"],
    ],
    "pystack": [
        ["._build", ".addresses", ".bpf", ".symbols", ".visible", "kernel", "nft"],
        [".style", ".charts", ".iproute", "phy"],
        ["runtime"],
        ["sockets", "trace", "pkt"],
        ["dns"],
        ["dhcp"],
        [".socket"],
        [".tls"],
        [".patching"],
        [".loops"],
        ["sim", "control", ".aio"],
        [".running", "sweeps"],
        ["services", "proxies", "testing", "."],
        ["stepper", "demo"],
        ["labs"],
        ["cli", "pytest_plugin"],
    ],
}


def imported(source: str) -> set[str]:
    """The top-level packages that a source imports."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").split(".")[0])
    return found


def runtime_imports(node: ast.AST) -> Iterator[tuple[str, str]]:
    """(module, name) of every import that runs, deferred ones included; not those for type checkers alone."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and isinstance(child.test, ast.Name) and child.test.id == "TYPE_CHECKING":
            continue
        if isinstance(child, ast.Import):
            yield from ((alias.name, "") for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            yield from ((child.module or "", alias.name) for alias in child.names)
        else:
            yield from runtime_imports(child)


@functools.cache
def graph(package: str) -> dict[str, set[str]]:
    """Each module of the package, and the modules of the package that it imports. Three tests need it, and no test changes it."""
    paths = {}
    for path in sorted((ROOT / package).rglob("*.py")):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        paths[name] = path
    edges: dict[str, set[str]] = {}
    for name, path in paths.items():
        edges[name] = set()
        for module, attribute in runtime_imports(ast.parse(path.read_text())):
            full = f"{module}.{attribute}"
            target = full if full in paths else module
            if target in paths and target != name:
                edges[name].add(target)
    return edges


def circles(edges: dict[str, set[str]]) -> list[list[str]]:
    """The groups of modules that import each other (Tarjan's strongly connected components of more than one)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(name: str) -> None:
        index[name] = low[name] = len(index)
        stack.append(name)
        for other in sorted(edges.get(name, ())):
            if other not in index:
                visit(other)
                low[name] = min(low[name], low[other])
            elif other in stack:
                low[name] = min(low[name], index[other])
        if low[name] == index[name]:
            at = stack.index(name)
            if len(stack) - at > 1:
                found.append(sorted(stack[at:]))
            del stack[at:]

    for name in sorted(edges):
        if name not in index:
            visit(name)
    return found


def room(package: str, module: str) -> str:
    """The folder that a module is in, or its own name with a dot in front where it is in none."""
    parts = module.split(".")[1:]
    if not parts:
        return "."
    if (ROOT / package / parts[0]).is_dir():
        return parts[0]
    return "." + parts[0]


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


@pytest.mark.parametrize("package", ORDER)
def test_no_modules_import_each_other(package):
    """A deferred import counts, too: it hides a circle, and does not undo it."""
    assert circles(graph(package)) == []


def test_the_check_sees_a_circle():
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == [["a", "b", "c"]]
    names = list(runtime_imports(ast.parse("def f():\n    from pystack import stack\n")))
    assert names == [("pystack", "stack")]


@pytest.mark.parametrize("package", ORDER)
def test_imports_go_down(package):
    level = {name: number for number, names in enumerate(ORDER[package]) for name in names}
    wrong = []
    for module, others in graph(package).items():
        here = room(package, module)
        for other in sorted(others):
            there = room(package, other)
            # A package's own __init__ is its front door, and may import what is in the room; nothing is above ".".
            if here != there and (package, other) != (package, package) and level[there] >= level[here]:
                wrong.append(f"{module} -> {other}")
    assert wrong == []


def test_a_command_imports_no_private_name_of_another():
    """What several commands need is public, in a module that belongs to none of them, such as pystack/cli/runs.py."""
    paths = sorted((ROOT / "pystack" / "cli").glob("*.py"))
    found = {
        f"{path.name}: {module}.{name}"
        for path in paths
        for module, name in runtime_imports(ast.parse(path.read_text()))
        if module.startswith("pystack.cli") and name.startswith("_")
    }
    assert len(paths) > 20 and found == set()


def test_every_room_is_in_the_order():
    for package, rows in ORDER.items():
        names = {name for row in rows for name in row}
        there = {room(package, module) for module in graph(package)} - {"."}
        assert there == names - {"."}


def test_timers_are_set_and_cancelled_in_one_place():
    """Core.set_timer and Core.cancel_timer report to the probe; no other code arms or cancels a timer."""
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
