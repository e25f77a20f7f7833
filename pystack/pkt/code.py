"""The Python in %{ }%: assertions over tcp_info, run in a namespace from which they cannot reach anything else.

A script may come from anybody, so its code is limited: no number has more than MAX_BITS bits, no text and no list (with
everything in it) more than MAX_SIZE parts, and there are no loops. So the work for each line is proportional to its
length.
"""

import ast
import re
import textwrap
import warnings
from collections.abc import Callable
from copy import deepcopy
from typing import Any

from pystack.pkt.errors import Failure, ScriptError, Unsupported
from pystack.symbols import CODE_NAMES

MAX_BITS = 4096
MAX_SIZE = 4096
MAX_LENGTH = 10_000
#: how many lines the code of one script may print
MAX_OUTPUT = 1000

_ALLOWED = (
    ast.Module, ast.Expr, ast.Assert, ast.Assign, ast.AugAssign, ast.If, ast.Pass, ast.Name, ast.Load, ast.Store,
    ast.Constant, ast.JoinedStr, ast.FormattedValue, ast.Tuple, ast.List, ast.Dict, ast.Subscript, ast.Slice,
    ast.Call, ast.keyword, ast.Compare, ast.BoolOp, ast.BinOp, ast.UnaryOp, ast.IfExp, ast.operator, ast.unaryop,
    ast.boolop, ast.cmpop,
)  # fmt: skip
#: the formats that are allowed: a width and a precision of up to three digits each
_FORMAT = re.compile(r"[^0-9{}]{0,3}[0-9]{0,3}[,_]?(?:\.[0-9]{0,3})?[a-zA-Z%]?")
#: the name by which the code calls `_checked`; a script cannot write it
_CHECK = "__checked"


class TooMuch(Exception):
    """A value that would be too large."""


def _size(value: Any, left: int = MAX_SIZE) -> int:
    """Return the number of parts of a value, including nested ones; TooMuch if there are more than MAX_SIZE."""
    if isinstance(value, (str, bytes)):
        count = len(value)
    elif isinstance(value, (list, tuple)):
        count = 1
        for item in value:
            count += _size(item, left - count)
    elif isinstance(value, dict):
        count = 1
        for key, item in value.items():
            count += _size(key, left - count)
            count += _size(item, left - count)
    else:
        count = 1 + (value.bit_length() // 32 if isinstance(value, int) else 0)
    if count > left:
        raise TooMuch(f"a value of more than {MAX_SIZE} parts")
    return count


def _bits(value: Any) -> int:
    """Return the number of bits of an int that is an operand."""
    count = value.bit_length() if isinstance(value, int) else 0
    if count > MAX_BITS:
        raise TooMuch(f"a number of more than {MAX_BITS} bits")
    return count


def _add(left: Any, right: Any) -> Any:
    if not isinstance(left, (int, float)) and _size(left) + _size(right) > MAX_SIZE:
        raise TooMuch(f"a value of more than {MAX_SIZE} parts")
    return left + right


def _multiply(left: Any, right: Any) -> Any:
    for many, times in ((left, right), (right, left)):
        if isinstance(many, (str, bytes, list, tuple)) and isinstance(times, int) and _size(many) * times > MAX_SIZE:
            raise TooMuch(f"a value of more than {MAX_SIZE} parts")
    if _bits(left) + _bits(right) > MAX_BITS:
        raise TooMuch(f"a number of more than {MAX_BITS} bits")
    return left * right


def _power(left: Any, right: Any) -> Any:
    _bits(right)
    if isinstance(left, int) and isinstance(right, int) and right > 0 and left not in (-1, 0, 1):
        if _bits(left) * right > MAX_BITS:
            raise TooMuch(f"a number of more than {MAX_BITS} bits")
    return left**right


def _shift(left: Any, right: Any) -> Any:
    if isinstance(right, int) and _bits(left) + right > MAX_BITS:
        raise TooMuch(f"a number of more than {MAX_BITS} bits")
    return left << right


def _modulo(left: Any, right: Any) -> Any:
    if isinstance(left, (str, bytes)):
        raise TooMuch('a text formatted with %; use f"..." instead')
    return left % right


_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "Add": _add,
    "Sub": lambda left, right: left - right,
    "Mult": _multiply,
    "Div": lambda left, right: left / right,
    "FloorDiv": lambda left, right: left // right,
    "Mod": _modulo,
    "Pow": _power,
    "LShift": _shift,
    "RShift": lambda left, right: left >> right,
    "BitAnd": lambda left, right: left & right,
    "BitOr": lambda left, right: left | right,
    "BitXor": lambda left, right: left ^ right,
}


def _checked(name: str, left: Any, right: Any) -> Any:
    """Carry out an operation of the code, unless its result would be larger than a script may make."""
    result = _OPERATORS[name](left, right)
    if isinstance(result, int):
        _bits(result)
    return result


def _sum(values: Any, start: Any = 0) -> Any:
    """Return the sum() of numbers."""
    total = start
    for value in values:
        if not isinstance(value, (int, float)):
            raise TypeError("sum accepts only numbers here")
        total = total + value
        _bits(total)
    return total


def _round(value: Any, digits: Any = None) -> Any:
    """Return round(), up to a maximum of digits."""
    if digits is not None and not -400 <= digits <= 400:
        raise TooMuch("a round to more than 400 digits")
    return round(value, digits)


def _int(value: Any = 0, *base: int) -> int:
    """Return int() of a text that is not too long."""
    _size(value)
    result = int(value, *base)
    _bits(result)
    return result


_CALLABLE: dict[str, Any] = {f.__name__: f for f in (abs, min, max, len, float, str, all, any, bool)}
_CALLABLE.update(sum=_sum, round=_round, int=_int)


class _Guard(ast.NodeTransformer):
    """Turns operators into calls of `_checked`."""

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        """Replace left + right."""
        self.generic_visit(node)
        return ast.copy_location(self._call(node.op, node.left, node.right), node)

    def visit_AugAssign(self, node: ast.AugAssign) -> ast.AST:
        """Replace name += value."""
        self.generic_visit(node)
        if not isinstance(node.target, ast.Name):
            return node
        left = ast.copy_location(ast.Name(node.target.id, ast.Load()), node)
        value = ast.copy_location(self._call(node.op, left, node.value), node)
        return ast.copy_location(ast.Assign([node.target], value), node)

    def _call(self, op: ast.operator, left: ast.expr, right: ast.expr) -> ast.Call:
        call = ast.Call(ast.Name(_CHECK, ast.Load()), [ast.Constant(type(op).__name__), left, right], [])
        return call


def _parse(text: str, line: int) -> ast.Module:
    if len(text) > MAX_LENGTH:
        raise Unsupported(line, f"code of more than {MAX_LENGTH} characters is not supported")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _tree(text)
    except SyntaxError as error:
        raise ScriptError(line + (error.lineno or 1) - 1, f"in the code: {error.msg}") from None
    except ValueError as error:
        raise ScriptError(line, f"in the code: {error}") from None
    except (RecursionError, MemoryError):
        raise ScriptError(line, "in the code: nested too deeply") from None


def _tree(text: str) -> ast.Module:
    try:
        return ast.parse(text.strip(" \t\r\n\\"))
    except SyntaxError:
        return ast.parse(textwrap.dedent(text.strip("\n").rstrip(" \t\\\n")))


def run_code(text: str, line: int, info: dict[str, Any], names: dict[str, Any], output: list[str]) -> None:
    """Run a block. `names` holds what earlier blocks of the script assigned. An assertion that fails raises Failure."""
    line += text[: len(text) - len(text.lstrip())].count("\n")
    tree = _parse(text, line)
    _check(tree, line)
    scope: dict[str, Any] = dict(CODE_NAMES)
    scope.update(info)
    scope.update(names)
    scope.update(_CALLABLE)

    def tell(*args: Any) -> None:
        _size(args)
        if len(output) >= MAX_OUTPUT:
            raise TooMuch(f"more than {MAX_OUTPUT} lines of output")
        output.append(" ".join(str(a) for a in args))

    scope["print"] = tell
    scope["__builtins__"] = {}
    scope[_CHECK] = _checked
    before = set(scope) - set(names)
    for statement in tree.body:
        at = line + statement.lineno - 1
        try:
            _run(statement, scope)
            for node in ast.walk(statement):
                if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node.id in scope:
                    _size(scope[node.id])
        except AssertionError as error:
            raise Failure(
                at,
                f"assertion failed: {ast.unparse(statement).removeprefix('assert ')}",
                actual=_values(statement, scope, error),
            ) from None
        except NameError as error:
            raise Unsupported(at, f"the code uses {error.name}, which is not available") from None
        except TooMuch as error:
            raise Unsupported(at, f"code that makes {error} is not supported") from None
        except (RecursionError, MemoryError):
            raise ScriptError(at, "in the code: nested too deeply") from None
        except Exception as error:
            raise ScriptError(at, f"in the code: {type(error).__name__}: {error}") from None
    names.update({k: v for k, v in scope.items() if k not in before and not k.startswith("__")})


def _run(statement: ast.stmt, scope: dict[str, Any]) -> None:
    guarded = ast.fix_missing_locations(_Guard().visit(deepcopy(statement)))
    exec(compile(ast.Module([guarded], []), "script", "exec"), scope)  # noqa: S102 (its contents were checked)


def _check(tree: ast.AST, line: int) -> None:
    for node in ast.walk(tree):
        where = line + getattr(node, "lineno", 1) - 1
        if not isinstance(node, _ALLOWED):
            raise Unsupported(where, f"code with {type(node).__name__} is not supported")
        if isinstance(node, ast.Call) and not isinstance(node.func, ast.Name):
            raise Unsupported(where, "code may only call plain functions")
        if isinstance(node, ast.BinOp | ast.AugAssign) and type(node.op).__name__ not in _OPERATORS:
            raise Unsupported(where, f"code with {type(node.op).__name__} is not supported")
        if isinstance(node, ast.AugAssign | ast.Assign):
            targets = [node.target] if isinstance(node, ast.AugAssign) else node.targets
            if not all(isinstance(target, ast.Name) for target in targets):
                raise Unsupported(where, "code may only assign to names")
        if isinstance(node, ast.FormattedValue) and not _plain_format(node):
            raise Unsupported(where, "code with such a format is not supported")
        if isinstance(node, ast.Name) and node.id.startswith("__"):
            raise Unsupported(where, f"code must not use {node.id}")


def _plain_format(node: ast.FormattedValue) -> bool:
    """Return True if the format cannot make a long text: it is constant and has small numbers."""
    spec = node.format_spec
    if spec is None:
        return True
    parts = spec.values if isinstance(spec, ast.JoinedStr) else []
    text = "".join(str(part.value) for part in parts if isinstance(part, ast.Constant))
    return all(isinstance(part, ast.Constant) for part in parts) and _FORMAT.fullmatch(text) is not None


def _values(statement: ast.stmt, scope: dict[str, Any], error: AssertionError) -> str:
    """Describe the values of the names in an assertion."""
    names = {n.id for n in ast.walk(statement) if isinstance(n, ast.Name)}
    known = [f"{n} = {scope[n]}" for n in sorted(names) if n not in _CALLABLE and n in scope and n not in CODE_NAMES]
    return ", ".join(known) or str(error)
