#!/usr/bin/env python3
"""Checks the .pxd files of the compiled core against their .py files.

Cython does not warn if a local variable has no type: it becomes a Python object, and the function several times slower.
This lint warns. For each module in setup.py's list COMPILED it reports

local      a local of a declared function that neither @cython.locals nor the parameters name
           (on purpose? end one line that assigns it with the comment `# object`)
function   a function or method that the .pxd does not declare (on purpose? `# python` on its def line;
           `# inherited` if the .pxd of a base declares it and the class is final, so that it cannot be declared again)
class      a class that the .pxd does not declare (on purpose? `# python` on its class line)
attribute  an attribute that a method assigns and no .pxd declares: AttributeError once compiled
unknown    a name in the .pxd that the .py does not have
except     a function of the .pxd that returns a number of C, and does not say how it reports an exception (`except`,
           `except?` or `noexcept`): each caller in another module then asks PyErr_Occurred after every call
constant   a public module-level name typed in the .pxd: it vanishes from the compiled module
macro      a macro of the .pxd that has the C name of another module's function: it replaces no call, and only the speed
           shows that
module     a module that lacks its .pxd, or has one and is not in COMPILED

and the findings of tools/core_lint.py: sequence numbers that are not declared, divisions that differ between the
builds, and quirks in the main path.

Usage: tools/pxd_lint.py [ROOT]; the exit status is 1 if there are findings.
"""

import ast
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path

IDENT = r"[A-Za-z_]\w*"
FUNC = re.compile(rf"^c?p?def\s+(?:inline\s+)?(?:[^(=]*?[\s*])?({IDENT})\s*\((.*)\)[^()]*$", re.S)
CLASS = re.compile(rf"^cdef\s+class\s+({IDENT})\s*(?:\(\s*([\w.]*)\s*\))?")
BLOCK = re.compile(r"^(?:cdef|ctypedef)\s+(?:extern|enum|struct|union|packed|cppclass)\b.*:$|^cdef:$")
VARIABLE = re.compile(r"^cdef\s+(?!class\b|enum\b|struct\b|extern\b|inline\b)(?:public\s+|readonly\s+)?(.+)$")
NUMBER = re.compile(r"^c?p?def\s+(?:bint|int|u?int\d+_t|Py_ssize_t|float|double)\s*$")
MACRO = re.compile(r"#\s*(?:define|ifn?def)\s+(__pyx_f_\w+|__PYX_HAVE__\w+)")
FROM = re.compile(r"^from\s+([\w.]+)\s+cimport\s+(.+)$", re.S)


@dataclass(frozen=True)
class Finding:
    """One thing to correct."""

    path: str
    line: int
    kind: str
    text: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.kind}: {self.text}"


@dataclass
class PxdFunction:
    """A function or method as the .pxd declares it."""

    name: str
    line: int
    args: list[str]
    locals: list[str]
    types: dict[str, str] = field(default_factory=dict)
    """Parameter or local -> its type, as the .pxd writes it; "" -> the type of the result."""
    noexcept: bool = False
    silent: bool = False
    """It says neither `except` nor `noexcept`."""


@dataclass
class PxdClass:
    """A class as the .pxd declares it."""

    name: str
    line: int
    base: str = ""
    attributes: dict[str, int] = field(default_factory=dict)
    types: dict[str, str] = field(default_factory=dict)
    """Attribute -> its type."""
    hidden: set[str] = field(default_factory=set)
    """Attributes that only C can see: not public, and set by inline functions of the .pxd."""
    methods: dict[str, PxdFunction] = field(default_factory=dict)


@dataclass
class Pxd:
    """The declarations of one .pxd."""

    functions: dict[str, PxdFunction] = field(default_factory=dict)
    classes: dict[str, PxdClass] = field(default_factory=dict)
    variables: dict[str, int] = field(default_factory=dict)
    cimports: dict[str, str] = field(default_factory=dict)
    """Name -> module it is cimported from."""


# -- reading a .pxd ------------------------------------------------------------------------------------------------


def logical_lines(text: str) -> list[tuple[int, int, str]]:
    """Return (line number, indentation, text) of each line, without comments and with open brackets joined."""
    result: list[tuple[int, int, str]] = []
    pending, start, indent, depth = "", 0, 0, 0
    for number, raw in enumerate(text.splitlines(), 1):
        line = re.sub(r"#.*", "", raw).rstrip()
        if not line.strip():
            continue
        if not pending:
            start, indent = number, len(line) - len(line.lstrip())
        pending += " " + line.strip()
        depth += sum(line.count(c) for c in "([{") - sum(line.count(c) for c in ")]}")
        if depth <= 0:
            result.append((start, indent, pending.strip()))
            pending, depth = "", 0
    return result


def split_commas(text: str) -> list[str]:
    """Split at the commas outside of brackets and quotes."""
    parts, depth, quote, last = [], 0, "", 0
    for i, c in enumerate(text):
        if quote:
            quote = "" if c == quote else quote
        elif c in "'\"":
            quote = c
        elif c in "([{":
            depth += 1
        elif c in ")]}":
            depth -= 1
        elif c == "," and depth == 0:
            parts.append(text[last:i])
            last = i + 1
    parts.append(text[last:])
    return [part.strip() for part in parts if part.strip()]


def declared_name(text: str) -> str:
    """Return the name in a declaration such as `const unsigned char* p`, `int n=*`, `x`."""
    names = re.findall(IDENT, text.split("=")[0].split("[")[0])
    return names[-1] if names else ""


def parse_pxd(text: str) -> Pxd:
    """Read one .pxd, in the forms that this project uses."""
    pxd = Pxd()
    owner: PxdClass | None = None
    local_types: dict[str, str] = {}
    skip_indent = -1
    for line, indent, code in logical_lines(text):
        if skip_indent >= 0 and indent > skip_indent:
            continue
        skip_indent = -1
        if indent == 0:
            owner = None
        if BLOCK.match(code):
            skip_indent = indent
        elif code.startswith("@cython.locals"):
            inner = code[code.index("(") + 1 : code.rindex(")")]
            for part in split_commas(inner):
                name, _, kind = part.partition("=")
                local_types[name.strip()] = kind.strip()
        elif code.startswith("@"):
            continue
        elif found := FROM.match(code):
            for part in split_commas(found[2].strip("() ")):
                pxd.cimports[part.split()[-1]] = found[1]
        elif found := CLASS.match(code):
            owner = pxd.classes[found[1]] = PxdClass(found[1], line, found[2] or "")
        elif code.endswith(":") and FUNC.match(code[:-1]):
            skip_indent = indent  # an inline function, whose body is in the .pxd
            local_types = {}
        elif found := FUNC.match(code):
            args = split_commas(found[2])
            function = PxdFunction(found[1], line, [declared_name(a) for a in args], list(local_types))
            function.types = {"": code[: found.start(1)], **{declared_name(a): a for a in args}, **local_types}
            function.noexcept = "noexcept" in code[found.end(2) :]
            function.silent = "except" not in code[found.end(2) :]
            (pxd.functions if owner is None else owner.methods)[found[1]] = function
            local_types = {}
        elif found := VARIABLE.match(code):
            first, *rest = split_commas(found[1])
            for part in (first, *rest):
                (pxd.variables if owner is None else owner.attributes)[declared_name(part)] = line
                if owner is not None:
                    owner.types[declared_name(part)] = first
                if owner is not None and not re.match(r"cdef\s+(public|readonly)\b", code):
                    owner.hidden.add(declared_name(part))
    return pxd


# -- reading a .py -------------------------------------------------------------------------------------------------


class Stores(ast.NodeVisitor):
    """The names that a function's own body assigns, with a line for each assignment. Nested scopes are left out."""

    def __init__(self) -> None:
        self.names: dict[str, list[int]] = {}
        self.foreign: set[str] = set()
        self.is_generator = False

    def add(self, name: str, line: int) -> None:
        """Note one assignment."""
        self.names.setdefault(name, []).append(line)

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Store):
            self.add(node.id, node.lineno)

    def visit_Global(self, node: ast.Global) -> None:
        self.foreign.update(node.names)

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> None:
        # `except E as e` is always an object, so there is nothing to declare.
        self.generic_visit(node)

    def visit_Yield(self, node: ast.Yield) -> None:
        self.is_generator = True

    def visit_YieldFrom(self, node: ast.YieldFrom) -> None:
        self.is_generator = True

    def _nested(self, node: ast.AST) -> None:
        """Skip a nested scope."""

    visit_FunctionDef = visit_AsyncFunctionDef = visit_Lambda = visit_ClassDef = _nested
    visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = _nested


def stores_of(node: ast.FunctionDef) -> Stores:
    """Return the names that the body of a function assigns."""
    stores = Stores()
    for statement in node.body:
        stores.visit(statement)
    return stores


def self_stores(node: ast.ClassDef) -> dict[str, int]:
    """Return attribute -> first line of every `self.x = ...` in the methods of a class."""
    found: dict[str, int] = {}
    for method in node.body:
        if not isinstance(method, ast.FunctionDef) or not method.args.args:
            continue
        this = method.args.args[0].arg
        for item in ast.walk(method):
            if isinstance(item, ast.Attribute) and isinstance(item.ctx, ast.Store):
                if isinstance(item.value, ast.Name) and item.value.id == this:
                    found.setdefault(item.attr, item.lineno)
    return found


def is_python(lines: list[str], node: ast.FunctionDef | ast.ClassDef) -> bool:
    """Return True if the head of a function or class ends with the comment `# python` or `# inherited`."""
    head = lines[node.lineno - 1 : max(node.lineno, node.body[0].lineno - 1)]
    return any(line.rstrip().endswith(("# python", "# inherited")) for line in head)


def parameters(node: ast.FunctionDef) -> set[str]:
    """Return all parameter names."""
    args = node.args
    names = {a.arg for a in (*args.posonlyargs, *args.args, *args.kwonlyargs)}
    return names | {a.arg for a in (args.vararg, args.kwarg) if a is not None}


# -- the comparison ------------------------------------------------------------------------------------------------


class Lint:
    """Checks all compiled modules of one tree."""

    def __init__(self, root: Path):
        self.root = root
        self.findings: list[Finding] = []
        self.pxds: dict[str, Pxd] = {}

    def run(self) -> list[Finding]:
        """Return all findings, in the order of COMPILED."""
        compiled = compiled_list(self.root / "setup.py")
        for path in sorted([*(self.root / "pystack_c").rglob("*.pxd"), *(self.root / "pystack").rglob("*.pxd")]):
            name = path.relative_to(self.root).with_suffix("")
            self.pxds[".".join(name.parts)] = parse_pxd(path.read_text())
            self.check_macros(path)
            source = str(name) + ".py"
            if name.name not in ("__init__", "const") and source not in compiled:
                self.add(path.relative_to(self.root), 1, "module", f"{source} is not in COMPILED (setup.py)")
        for source in compiled:
            module = source.removesuffix(".py").replace("/", ".")
            if not (self.root / source).exists():
                self.add(Path("setup.py"), 1, "module", f"{source} does not exist")
            elif module not in self.pxds:
                self.add(Path(source), 1, "module", "no .pxd beside it")
            else:
                self.check_module(module, Path(source))
        return self.findings

    def add(self, path: Path, line: int, kind: str, text: str) -> None:
        """Add a finding."""
        self.findings.append(Finding(str(path), line, kind, text))

    def check_macros(self, path: Path) -> None:
        """Check the names of the macros that let a .pxd inline its functions (base/seqnum.pxd): they must be Cython's."""
        where = path.relative_to(self.root)
        parts = where.with_suffix("").parts
        function = "__pyx_f_" + "".join(f"{len(part)}{part}_" for part in parts)
        for number, line in enumerate(path.read_text().splitlines(), 1):
            found = MACRO.search(line)
            if found is None:
                continue
            name = found[1]
            if name != "__PYX_HAVE__" + "__".join(parts) and not name.startswith(function):
                self.add(where, number, "macro", f"{name} is not a name of this module: it should be {function}...")

    def check_module(self, module: str, path: Path) -> None:
        """Check one .py against its .pxd."""
        text = (self.root / path).read_text()
        tree = ast.parse(text)
        lines = text.splitlines()
        pxd = self.pxds[module]
        pxd_path = path.with_suffix(".pxd")
        functions = {n.name: n for n in tree.body if isinstance(n, ast.FunctionDef)}
        classes = {n.name: n for n in tree.body if isinstance(n, ast.ClassDef)}
        self.check_functions(path, lines, functions, pxd.functions, "")
        for name, node in classes.items():
            declared = pxd.classes.get(name)
            if declared is not None:
                self.check_class(module, path, lines, node, declared)
            elif not is_python(lines, node):
                self.add(path, node.lineno, "class", f"{name} is not in the .pxd")
        for name, gone in pxd.classes.items():
            if name not in classes:
                self.add(pxd_path, gone.line, "unknown", f"class {name} is not in the .py")
        for name, line in pxd.variables.items():
            if not name.startswith("_"):
                self.add(pxd_path, line, "constant", f"{name} vanishes from the compiled module; keep it a plain int")

    def check_class(self, module: str, path: Path, lines: list[str], node: ast.ClassDef, declared: PxdClass) -> None:
        """Check the methods and attributes of one class."""
        methods = {n.name: n for n in node.body if isinstance(n, ast.FunctionDef)}
        self.check_functions(path, lines, methods, declared.methods, node.name + ".")
        known = self.attributes(module, declared)
        stored = self_stores(node)
        for name, line in stored.items():
            if name not in known:
                self.add(path, line, "attribute", f"{node.name}.{name} is not in the .pxd")
        dynamic = any(isinstance(n, ast.Name) and n.id == "setattr" for n in ast.walk(node))
        for name, line in declared.attributes.items():
            if name not in stored and name not in declared.hidden and not dynamic:
                text = f"attribute {node.name}.{name} is never assigned in the class"
                self.add(path.with_suffix(".pxd"), line, "unknown", text)

    def attributes(self, module: str, declared: PxdClass) -> set[str]:
        """Return the attributes of a class and of its bases."""
        known = set(declared.attributes)
        if declared.base:
            home = self.pxds[module].cimports.get(declared.base, module)
            base = self.pxds.get(home, Pxd()).classes.get(declared.base)
            if base is not None:
                known |= self.attributes(home, base)
        return known

    def check_functions(
        self,
        path: Path,
        lines: list[str],
        nodes: dict[str, ast.FunctionDef],
        declared: dict[str, PxdFunction],
        prefix: str,
    ) -> None:
        """Check the functions of a module, or the methods of a class."""
        for name, node in nodes.items():
            if name in declared:
                self.check_locals(path, lines, node, declared[name], prefix + name)
            elif name.startswith("__") and name.endswith("__") or node.decorator_list or stores_of(node).is_generator:
                continue
            elif not is_python(lines, node):
                self.add(path, node.lineno, "function", f"{prefix}{name} is not in the .pxd")
        for name, known in declared.items():
            if name not in nodes:
                self.add(path.with_suffix(".pxd"), known.line, "unknown", f"{prefix}{name} is not in the .py")
            elif known.silent and NUMBER.match(known.types[""]):
                text = f"{prefix}{name} returns a number: add `except -1`, `except? -1` or `noexcept`"
                self.add(path.with_suffix(".pxd"), known.line, "except", text)

    def check_locals(
        self, path: Path, lines: list[str], node: ast.FunctionDef, declared: PxdFunction, name: str
    ) -> None:
        """Check the locals of one function."""
        stores = stores_of(node)
        args = parameters(node)
        known = args | set(declared.locals) | stores.foreign
        for local, where in stores.names.items():
            on_purpose = any(lines[line - 1].rstrip().endswith("# object") for line in where)
            if local not in known and not on_purpose:
                self.add(path, where[0], "local", f"{name}: {local} is not in @cython.locals (or say `# object`)")
        for local in declared.locals:
            if local not in stores.names and local not in args:
                text = f"{name}: @cython.locals names {local}, which the function does not have"
                self.add(path.with_suffix(".pxd"), declared.line, "unknown", text)


def compiled_list(setup: Path) -> list[str]:
    """Return the list COMPILED of a setup.py."""
    for node in ast.parse(setup.read_text()).body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "COMPILED" for t in node.targets):
            return list(ast.literal_eval(node.value))
    raise ValueError(f"no list COMPILED in {setup}")


def main() -> int:
    """Print the findings. Return 1 if there are any."""
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent.parent
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    from tools import core_lint

    findings = [*Lint(root).run(), *core_lint.run(root)]
    for finding in findings:
        print(finding)
    modules = len(compiled_list(root / "setup.py"))
    print(f"pxd_lint: {modules} modules, {len(findings)} finding{'' if len(findings) == 1 else 's'}", file=sys.stderr)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
