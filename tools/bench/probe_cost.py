"""Measures the cost of the probe while it is off: instructions of the core as it is, and of the same core without a
probe.

python -m tools.bench.probe_cost        build the second one in a scratch directory, count both, compare

The core without a probe is made from the sources. Each `probe is not None` is replaced by false, and code that could
run only after it is left out. So are the calls that only report (`tell.*`) and the texts that are built for them. This
core carries the same packets and does the same work. It saves only the tests for an attached probe. The control: with a
probe attached, the same count shows many times the goal.
"""

import ast
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tools.bench import instructions

#: the parts of the tree that the second build needs
PARTS = ("pystack", "pystack_c", "tools", "setup.py", "pyproject.toml", "README.md", "LICENSE")
GOAL = 2.0
CONTROL = "data segment, both ends"


class Without(ast.NodeTransformer):
    """Removes the probe from a module."""

    def __init__(self) -> None:
        self.taken = 0

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        """Replace `x.probe is None` by true, and `x.probe is not None` by false."""
        left = node.left
        if isinstance(left, ast.Attribute) and left.attr == "probe" and len(node.ops) == 1:
            if isinstance(node.ops[0], ast.Is | ast.IsNot):
                self.taken += 1
                return ast.copy_location(ast.Constant(isinstance(node.ops[0], ast.Is)), node)
        return self.generic_visit(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.AST:
        """Replace `false and x` by false, and `true and x` by x."""
        self.generic_visit(node)
        if not isinstance(node.op, ast.And):
            return node
        known = [value.value for value in node.values if isinstance(value, ast.Constant)]
        if False in known:
            return ast.copy_location(ast.Constant(False), node)
        rest = [value for value in node.values if not isinstance(value, ast.Constant)]
        if len(rest) == len(node.values):
            return node
        return rest[0] if len(rest) == 1 else ast.copy_location(ast.BoolOp(node.op, rest), node)

    def visit_IfExp(self, node: ast.IfExp) -> ast.AST:
        """Replace it by the branch that is left."""
        self.generic_visit(node)
        return node if not isinstance(node.test, ast.Constant) else (node.body if node.test.value else node.orelse)

    def visit_If(self, node: ast.If) -> "ast.AST | list[ast.stmt]":
        """Replace it by the branch that is left, or by nothing."""
        self.generic_visit(node)
        if not isinstance(node.test, ast.Constant) or not isinstance(node.test.value, bool):
            node.body = node.body or [ast.Pass()]
            return node
        return (node.body if node.test.value else node.orelse) or ast.Pass()

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        """Remove the code after a return that is now always taken."""
        self.generic_visit(node)
        for number, statement in enumerate(node.body):
            if isinstance(statement, ast.Return):
                del node.body[number + 1 :]
                break
        return node

    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        """Remove calls that only report."""
        call = node.value
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute):
            if isinstance(call.func.value, ast.Name) and call.func.value.id == "tell":
                self.taken += 1
                return ast.copy_location(ast.Pass(), node)
        return self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        """Remove texts that are built as arguments, and names of connections."""
        self.generic_visit(node)
        node.args = [ast.Constant("") if self._text(argument) else argument for argument in node.args]
        return node

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        """Keep the errors unchanged."""
        return node

    @staticmethod
    def _text(node: ast.AST) -> bool:
        called = node.func if isinstance(node, ast.Call) else None
        return isinstance(node, ast.JoinedStr) or (isinstance(called, ast.Attribute) and called.attr == "subject")


def take_out(root: Path) -> int:
    """Remove the probe from the core under `root`. Return the number of places at which it was tested."""
    taken = 0
    for path in sorted((root / "pystack_c").rglob("*.py")):
        source = path.read_text()
        without = Without()
        tree = ast.fix_missing_locations(without.visit(ast.parse(source)))
        if without.taken:
            # unparse drops comments; those that Cython reads are at the head
            head = [line for line in source.splitlines() if line.startswith(("# cython:", "# distutils:"))]
            path.write_text("\n".join([*head, ast.unparse(tree), ""]))
            taken += without.taken
    return taken


def build(root: Path) -> int:
    """Make a copy of the tree in `root`, without a probe, and compile it."""
    ignore = shutil.ignore_patterns("*.so", "*.c", "__pycache__", "static")
    for part in PARTS:
        source = instructions.ROOT / part
        if source.is_dir():
            shutil.copytree(source, root / part, ignore=ignore)
        else:
            shutil.copy(source, root / part)
    taken = take_out(root)
    command = [sys.executable, "setup.py", "-q", "build_ext", "--inplace"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"probe-cost: the core without a probe did not compile:\n{done.stdout}{done.stderr}")
    return taken


def main() -> int:
    """Build, count, compare."""
    reason = instructions.why_not()
    if reason:
        print(f"probe-cost: skipped: {reason}")
        return 0
    with tempfile.TemporaryDirectory(prefix="pystack-without-probe-") as scratch:
        taken = build(Path(scratch))
        without = instructions.measure(Path(scratch))
    as_it_is = instructions.measure()
    print(f"instructions per packet (callgrind), probe off, compared with no probe ({taken} places taken out)")
    worst = 0.0
    for path, value in as_it_is.items():
        more = 100 * (value / without[path] - 1)
        worst = max(worst, more)
        print(f"  {path:<34}{value:>10,}{without[path]:>10,}  {more:+.2f} %")
    print(f"at most {worst:.2f} % more; the goal is {GOAL:g} %")
    heard = listened()
    print(f"control: {CONTROL}, with a probe attached: {heard:+.0f} %")
    return 0 if worst <= GOAL < heard else 1


def listened() -> float:
    """Return how many more instructions (%) a data segment takes with a probe attached."""
    return 100 * (instructions.cost(CONTROL, listen=True) / instructions.cost(CONTROL) - 1)


if __name__ == "__main__":
    sys.exit(main())
