"""Checks what pxd_lint cannot see in the .pxd files: arithmetic that must be the same on both builds, 32-bit
numbers that must stay comparable, and quirks that stay out of the main path.

mark       an attribute under pystack_c/tcp that holds a sequence number, or has 32 bits, and that tcp/marks.py does not
           declare
division   a division that could have different results, compiled and uncompiled:
           - the directive cdivision, which replaces Python's division by C's: it must be off in setup.py. If a function
             turns it on, the line ends with `# proof: ...`, which says why the operands are not negative and the divisor
             is not 0
           - `/` if neither operand is evidently a float: write float(...), or `//`
           - in a function that is noexcept, a divisor that is not a number: compiled, it would swallow a division by 0
             (on purpose? end the line with `# not 0: ...` and the reason)
quirk      a read of a quirk's setting (pystack_c/settings/quirks.py) outside tcp/quirks.py, in code that is not under
           the heading "# -- quirks" at the end of its module: the main path follows the RFCs, and calls a function for
           each quirk

`tools/pxd_lint.py` runs it.
"""

import ast
import re
from pathlib import Path

from tools.pxd_lint import IDENT, Finding, Pxd, PxdFunction, compiled_list, parse_pxd

# -- sequence numbers ----------------------------------------------------------------------------------------------

MARKS = "pystack_c/tcp/marks.py"
#: attributes whose value is a sequence number, and functions that return one
SOURCES = ("snd_una", "snd_nxt", "rcv_nxt", "rcv_adv", "seq", "end", "ack", "iss", "irs")
GIVERS = ("seq_add", "seq_max")
#: objects whose attributes of these names are something else: a piece's place in its frame, a sum of bytes
NO_NUMBERS = ("piece", "self", "last")


def declared_marks(root: Path) -> set[str]:
    """Return the names in SENT, RECEIVED and OTHERS of marks.py, and in the `marks` of congestion control algorithms."""
    names: set[str] = set()
    for path in (root / MARKS, *sorted((root / "pystack_c/tcp/congestion").glob("*.py"))):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                if node.targets[0].id in ("SENT", "RECEIVED", "OTHERS", "marks"):
                    names.update(part.split(".")[-1] for part in ast.literal_eval(node.value))
    return names


def holds_number(node: ast.expr) -> bool:
    """Return True if this expression is a sequence number, or holds one (in a tuple or a choice)."""
    if isinstance(node, ast.Tuple):
        return any(holds_number(item) for item in node.elts)
    if isinstance(node, ast.IfExp):
        return holds_number(node.body) or holds_number(node.orelse)
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Name) and node.func.id in GIVERS
    if isinstance(node, ast.Attribute) and node.attr in SOURCES:
        return not (isinstance(node.value, ast.Name) and node.value.id in NO_NUMBERS)
    return False


def check_marks(root: Path) -> list[Finding]:
    """Check that each attribute that holds a sequence number is declared, with the way in which it stays comparable."""
    known = declared_marks(root)
    found = []
    for path in sorted((root / "pystack_c/tcp").rglob("*.pxd")):
        for number, line in enumerate(path.read_text().splitlines(), 1):
            match = re.match(rf"\s+cdef public uint32_t ({IDENT})", line)
            if match is not None and match[1] not in known:
                text = f"{match[1]} has 32 bits: declare in marks.py how it stays comparable, or why it need not"
                found.append(Finding(str(path.relative_to(root)), number, "mark", text))
    for path in sorted((root / "pystack_c/tcp").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Assign):
                continue
            for target in node.targets:
                if isinstance(target, ast.Attribute) and target.attr not in known and holds_number(node.value):
                    text = f"{target.attr} is set to a sequence number: declare in marks.py how it stays comparable"
                    found.append(Finding(str(path.relative_to(root)), node.lineno, "mark", text))
    return found


# -- divisions -----------------------------------------------------------------------------------------------------


class Divisions(ast.NodeVisitor):
    """Checks the divisions of one compiled module."""

    def __init__(self, path: str, text: str, pxd: Pxd, doubles: set[str]):
        self.path = path
        self.lines = text.splitlines()
        self.pxd = pxd
        self.doubles = doubles
        self.floats: set[str] = set()
        self.functions: list[PxdFunction] = []
        self.owner = ""
        self.findings: list[Finding] = []
        tree = ast.parse(text)
        for node in tree.body:
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and self.is_float(node.value):
                self.floats.add(node.targets[0].id)
        self.visit(tree)

    def add(self, node: ast.AST, text: str) -> None:
        """Add a finding."""
        self.findings.append(Finding(self.path, node.lineno, "division", text))  # type: ignore[attr-defined]

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        before, self.owner = self.owner, node.name
        self.generic_visit(node)
        self.owner = before

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        owner = self.pxd.classes.get(self.owner)
        known = self.pxd.functions if owner is None else owner.methods
        self.functions.append(known.get(node.name) or PxdFunction(node.name, 0, [], []))
        self.generic_visit(node)
        self.functions.pop()

    def visit_BinOp(self, node: ast.BinOp) -> None:
        self.generic_visit(node)
        self.check(node, node.op, node.left, node.right)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        self.generic_visit(node)
        self.check(node, node.op, node.target, node.value)

    def check(self, node: ast.AST, op: ast.operator, left: ast.expr, right: ast.expr) -> None:
        """Check one operation."""
        if isinstance(op, ast.Div) and not self.is_float(left) and not self.is_float(right):
            self.add(node, "`/` of operands that may be integers: write float(...) for one of them, or `//`")
        if not isinstance(op, (ast.Div, ast.FloorDiv, ast.Mod)):
            return
        if not self.functions or not self.functions[-1].noexcept or isinstance(right, ast.Constant) and right.value:
            return
        if "# not 0: " not in self.lines[node.lineno - 1]:  # type: ignore[attr-defined]
            self.add(
                node,
                f"{self.functions[-1].name} is noexcept: a division by 0 would be swallowed (or say `# not 0: why`)",
            )

    def is_float(self, node: ast.expr) -> bool:
        """Return True if this is evidently a float."""
        if isinstance(node, ast.Constant):
            return isinstance(node.value, float)
        if isinstance(node, ast.BinOp):
            # `**` of two floats is a float, and so is each `/`, which was checked itself
            return isinstance(node.op, ast.Div) or self.is_float(node.left) or self.is_float(node.right)
        if isinstance(node, ast.UnaryOp):
            return self.is_float(node.operand)
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Name) and node.func.id in ("min", "max"):
                return all(self.is_float(arg) for arg in node.args)
            return isinstance(node.func, ast.Name) and node.func.id == "float"
        if isinstance(node, ast.Attribute):
            return node.attr in self.doubles
        if isinstance(node, ast.Name):
            declared = self.functions[-1].types.get(node.id, "") if self.functions else ""
            return node.id in self.floats or re.search(r"\bdouble\b|\bfloat\b", declared) is not None
        return False


def check_divisions(root: Path) -> list[Finding]:
    """Check all compiled modules."""
    found = []
    setup = root / "setup.py"
    for node in ast.walk(ast.parse(setup.read_text())):
        if isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values):
                if isinstance(key, ast.Constant) and key.value == "cdivision":
                    if not (isinstance(value, ast.Constant) and value.value is False):
                        found.append(Finding("setup.py", key.lineno, "division", "cdivision must be off"))
    doubles: set[str] = set()
    integers: set[str] = set()
    pxds = {}
    for source in compiled_list(setup):
        pxd_path = (root / source).with_suffix(".pxd")
        pxds[source] = parse_pxd(pxd_path.read_text()) if pxd_path.exists() else Pxd()
        for owner in pxds[source].classes.values():
            for name, kind in owner.types.items():
                (doubles if re.search(r"\bdouble\b", kind) else integers).add(name)
        for path in (root / source, pxd_path):
            lines = path.read_text().splitlines() if path.exists() else []
            for number, line in enumerate(lines, 1):
                if re.search(r"\bcdivision\b", line) and "# proof: " not in line:
                    text = "cdivision without `# proof: ...` on its line"
                    found.append(Finding(str(path.relative_to(root)), number, "division", text))
    for source, pxd in pxds.items():
        if (root / source).exists():
            found += Divisions(source, (root / source).read_text(), pxd, doubles - integers).findings
    return found


# -- quirks --------------------------------------------------------------------------------------------------------

QUIRKS = "pystack_c/settings/quirks.py"
#: files that may read these settings anywhere
QUIRK_READERS = ("pystack_c/tcp/quirks.py", "pystack_c/settings/", "pystack_c/config.py")
QUIRK_HEADING = "# -- quirks --"


def quirk_settings(root: Path) -> set[str]:
    """Return the names of the settings in the group of quirks."""
    names = set()
    for node in ast.walk(ast.parse((root / QUIRKS).read_text())):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            names.add(node.attr)
    return names


def check_quirks(root: Path) -> list[Finding]:
    """Check that no code of the main path reads a quirk's setting, neither as an attribute nor by its name."""
    names = quirk_settings(root)
    found = []
    for path in sorted((root / "pystack_c").rglob("*.py")):
        where = str(path.relative_to(root))
        if where.startswith(QUIRK_READERS):
            continue
        text = path.read_text()
        lines = text.splitlines()
        heading = [number for number, line in enumerate(lines, 1) if line.startswith(QUIRK_HEADING)]
        last = heading[0] if heading else len(lines) + 1
        for node in ast.walk(ast.parse(text)):
            if not isinstance(node, ast.Attribute | ast.Constant) or node.lineno >= last:
                continue
            name = node.attr if isinstance(node, ast.Attribute) else node.value
            if isinstance(name, str) and name in names:
                why = f"{name} is a quirk: ask a function of tcp/quirks.py"
                found.append(Finding(where, node.lineno, "quirk", why))
    return found


def run(root: Path) -> list[Finding]:
    """All findings."""
    return [
        *(check_marks(root) if (root / MARKS).exists() else []),
        *(check_quirks(root) if (root / QUIRKS).exists() else []),
        *check_divisions(root),
    ]
