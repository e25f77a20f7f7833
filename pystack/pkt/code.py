"""The Python in %{ }%: assertions over tcp_info, run where they stand, in a namespace that cannot reach anything."""

import ast
import textwrap
from typing import Any

from pystack.pkt.errors import Failure, ScriptError, Unsupported
from pystack.pkt.symbols import CODE_NAMES

_CALLABLE: dict[str, Any] = {f.__name__: f for f in (abs, min, max, len, int, float, str, sum, round, all, any, bool)}

_ALLOWED = (
    ast.Module, ast.Expr, ast.Assert, ast.Assign, ast.AugAssign, ast.If, ast.Pass, ast.Name, ast.Load, ast.Store,
    ast.Constant, ast.JoinedStr, ast.FormattedValue, ast.Tuple, ast.List, ast.Dict, ast.Subscript, ast.Slice,
    ast.Call, ast.keyword, ast.Compare, ast.BoolOp, ast.BinOp, ast.UnaryOp, ast.IfExp, ast.operator, ast.unaryop,
    ast.boolop, ast.cmpop,
)  # fmt: skip


def run_code(text: str, line: int, info: dict[str, Any], names: dict[str, Any], output: list[str]) -> None:
    """Run a block. `names` is what the script's earlier blocks assigned; an assertion that fails is a Failure."""
    source = text.strip(" \t\r\n\\")
    line += text[: len(text) - len(text.lstrip())].count("\n")
    try:
        tree = ast.parse(source)
    except SyntaxError:
        try:
            tree = ast.parse(textwrap.dedent(text.strip("\n").rstrip(" \t\\\n")))
        except SyntaxError as error:
            raise ScriptError(line + (error.lineno or 1) - 1, f"in the code: {error.msg}") from None
    _check(tree, line)
    scope: dict[str, Any] = dict(CODE_NAMES)
    scope.update(info)
    scope.update(names)
    scope.update(_CALLABLE)
    scope["print"] = lambda *args: output.append(" ".join(str(a) for a in args))
    scope["__builtins__"] = {}
    before = set(scope) - set(names)
    for statement in tree.body:
        at = line + statement.lineno - 1
        try:
            exec(compile(ast.Module([statement], []), "script", "exec"), scope)  # noqa: S102 (checked above)
        except AssertionError as error:
            raise Failure(
                at,
                f"assertion failed: {ast.unparse(statement).removeprefix('assert ')}",
                actual=_values(statement, scope, error),
            ) from None
        except NameError as error:
            raise Unsupported(at, f"code asks for {error.name}, which is not told here") from None
        except Exception as error:
            raise ScriptError(at, f"in the code: {type(error).__name__}: {error}") from None
    names.update({k: v for k, v in scope.items() if k not in before and not k.startswith("__")})


def _check(tree: ast.AST, line: int) -> None:
    for node in ast.walk(tree):
        where = line + getattr(node, "lineno", 1) - 1
        if not isinstance(node, _ALLOWED):
            raise Unsupported(where, f"code with {type(node).__name__} is not supported")
        if isinstance(node, ast.Call) and not isinstance(node.func, ast.Name):
            raise Unsupported(where, "code may only call plain functions")
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow | ast.LShift):
            # the only operators that can make a number without bound
            right = node.right.value if isinstance(node.right, ast.Constant) else None
            if not isinstance(right, int) or not 0 <= right <= 64:
                raise Unsupported(where, "code with a large power or shift is not supported")
        if isinstance(node, ast.Name) and node.id.startswith("__"):
            raise Unsupported(where, f"code must not use {node.id}")


def _values(statement: ast.stmt, scope: dict[str, Any], error: AssertionError) -> str:
    """What the names in an assertion stood for."""
    names = {n.id for n in ast.walk(statement) if isinstance(n, ast.Name)}
    known = [f"{n} = {scope[n]}" for n in sorted(names) if n not in _CALLABLE and n in scope and n not in CODE_NAMES]
    return ", ".join(known) or str(error)
