"""Expressions of breakpoints and watchpoints: a small, safe part of Python over the event and the state.

    tcb.cwnd < 2*tcb.mss            event.kind == "retransmit"          state == TIME_WAIT and host == "a"
    frame.number == 12              event.fields.length > 1000          b.rcv_wnd == 0

Names: `event` (kind, time, host, subject, reason, rfc, fields, layer, frame, conn, endpoint, index), `tcb` (the fields
of the event's connection), `state` (its state), `frame` (the event's frame), `conn`, `host`, `time` (seconds since the
start), `kind`, the names of the states, and ms, us and s as units for times in ns. A host's name stands for its text;
with a dot and a field it stands for the host's connection whose event is the latest. A name that has no value at an
event makes each comparison with it false.
"""

import ast
import warnings
from collections.abc import Callable
from typing import Any

from pystack.stepper import snapshot
from pystack.stepper.scope import Missing, Scope
from pystack_c.tcp.snapshot import STATE_NAMES

MAX_LENGTH = 1000
MAX_NUMBER = 10**30
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "len": len,
    "min": min,
    "max": max,
    "abs": abs,
    "any": any,
    "all": all,
    "int": int,
}
STATES = {name.replace("-", "_"): name for name in STATE_NAMES.values()}
UNITS = {"us": 1_000, "ms": 1_000_000, "s": 1_000_000_000}
EVENT = (
    "kind",
    "time",
    "host",
    "subject",
    "reason",
    "rfc",
    "fields",
    "layer",
    "frame",
    "conn",
    "endpoint",
    "index",
    "record",
)
FRAME = (
    "number", "time", "arrival", "host", "to", "iface", "length", "gso_size", "summary", "reasons", "drops", "fate",
    "altered", "index", "conn",
)  # fmt: skip
_NAMES = ("event", "tcb", "state", "frame", "time", "conn", "host", "kind")
_COMPARE: dict[type, Callable[[Any, Any], Any]] = {
    ast.Eq: lambda a, b: a == b,
    ast.NotEq: lambda a, b: a != b,
    ast.Lt: lambda a, b: a < b,
    ast.LtE: lambda a, b: a <= b,
    ast.Gt: lambda a, b: a > b,
    ast.GtE: lambda a, b: a >= b,
    ast.In: lambda a, b: any(a == one for one in b) if not isinstance(b, str) else str(a) in b,
    ast.NotIn: lambda a, b: not _COMPARE[ast.In](a, b),
    ast.Is: lambda a, b: a is b,
    ast.IsNot: lambda a, b: a is not b,
}
_ARITHMETIC: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.Div: lambda a, b: a / b,
    ast.FloorDiv: lambda a, b: a // b,
    ast.Mod: lambda a, b: a % b,
    ast.BitAnd: lambda a, b: a & b,
    ast.BitOr: lambda a, b: a | b,
}


class ExpressionError(ValueError):
    """An error in an expression. The message is one line. `column` is the place (from 0), and `caret()` shows it."""

    def __init__(self, text: str, column: int, what: str):
        super().__init__(f"{what} (at column {column + 1} of {text!r})")
        self.text = text
        self.column = column
        self.what = what

    def caret(self) -> str:
        """Return the expression with a caret under the place, and what is wrong."""
        return f"{self.text}\n{' ' * self.column}^ {self.what}"


Value = Callable[[Scope], Any]


class Expression:
    """A compiled expression. `momentary` is true if it refers to the event itself, not only to the state that stays."""

    def __init__(self, text: str, hosts: "list[str] | tuple[str, ...]" = ()):
        self.text = text
        self.hosts = list(hosts)
        self.momentary = False
        if len(text) > MAX_LENGTH:
            raise ExpressionError(text[:40], 0, f"the expression is longer than {MAX_LENGTH} characters")
        try:
            with warnings.catch_warnings():
                # Python would print its warnings about the text on the terminal.
                warnings.simplefilter("ignore")
                tree = ast.parse(text.strip() or "", mode="eval")
        except SyntaxError as error:
            column = error.offset - 1 if error.offset else len(text)  # (offset 0 means the end)
            raise ExpressionError(text, min(column, len(text)), f"not an expression: {error.msg}") from None
        except (ValueError, RecursionError, MemoryError):
            raise ExpressionError(text, 0, "not an expression") from None
        self.text = text = text.strip()
        try:
            self._value = self._compile(tree.body)
        except RecursionError:
            raise ExpressionError(text, 0, "the expression is nested too deeply") from None
        #: the kinds of events (full or short names) for which it can be true; None: any kind
        self.kinds = _kinds(tree.body)

    def possible(self, kind: str) -> bool:
        """Return False if it cannot be true at an event of this kind, so that nobody needs to evaluate it."""
        return self.kinds is None or kind in self.kinds or kind.rpartition(".")[2] in self.kinds

    def value(self, scope: Scope) -> Any:
        """Return the value at an event, or None if something that it names is not there."""
        try:
            return self._value(scope)
        except Missing:
            return None
        except TypeError:
            return None

    # -- compiling ---------------------------------------------------------------------------------------------------

    def _fail(self, node: ast.AST, what: str) -> ExpressionError:
        return ExpressionError(self.text, getattr(node, "col_offset", 0), what)

    def _compile(self, node: ast.expr) -> Value:
        method = getattr(self, "_" + type(node).__name__.lower(), None)
        if method is None:
            raise self._fail(node, f"{type(node).__name__} is not allowed here")
        made: Value = method(node)
        return made

    def _constant(self, node: ast.Constant) -> Value:
        value = node.value
        if not isinstance(value, (int, float, str, type(None))):
            raise self._fail(node, f"a {type(value).__name__} is not allowed here")
        if isinstance(value, int) and abs(value) > MAX_NUMBER:
            raise self._fail(node, "the number is too large")
        return lambda scope: value

    def _name(self, node: ast.Name) -> Value:
        name = node.id
        if name in STATES:
            text = STATES[name]
            return lambda scope: text
        if name in UNITS:
            unit = UNITS[name]
            return lambda scope: unit
        if name in ("True", "False", "None"):
            return lambda scope: {"True": True, "False": False, "None": None}[name]
        if name in _NAMES:
            if name not in ("tcb", "state", "conn"):
                self.momentary = True
            return {
                "event": lambda scope: scope.event(),
                "tcb": lambda scope: scope.conn() or None,
                "state": lambda scope: scope.tcb("state"),
                "frame": lambda scope: scope.frame(),
                "time": lambda scope: scope.time(),
                "conn": lambda scope: scope.conn(),
                "host": lambda scope: scope.event().host,
                "kind": lambda scope: scope.event().kind,
            }[name]
        if name in self.hosts:
            return lambda scope: name
        if name.upper() in STATES:
            raise self._fail(node, f"no name {name!r}; the state is called {name.upper()}")
        if name in snapshot.FIELDS:
            raise self._fail(node, f"no name {name!r}; the field is called tcb.{name}")
        known = ", ".join((*_NAMES, *self.hosts, *UNITS, *FUNCTIONS))
        raise self._fail(node, f"no name {name!r}; there are {known}, and the states such as ESTABLISHED")

    def _attribute(self, node: ast.Attribute) -> Value:
        attr = node.attr
        if attr.startswith("_"):
            raise self._fail(node, f"{attr!r} is not allowed: it begins with an underscore")
        base = node.value
        if isinstance(base, ast.Name):
            if base.id == "tcb" or base.id in self.hosts:
                if attr not in snapshot.FIELDS:
                    raise self._fail(node, f"a connection has no field {attr!r}; {_near(attr, snapshot.FIELDS)}")
                if base.id == "tcb":
                    return lambda scope: scope.tcb(attr)
                host = base.id
                return lambda scope: scope.of_host(host, attr)
            if base.id == "event":
                return self._of(node, attr, EVENT, "an event")
            if base.id == "frame":
                return self._of(node, attr, FRAME, "a frame")
        if isinstance(base, ast.Attribute) and base.attr in ("fields", "timers"):
            inner = self._compile(base)
            return lambda scope: _item(inner(scope), attr)
        raise self._fail(
            node, f"{attr!r}: only event, frame, tcb, their fields and timers, and hosts may be followed by a dot"
        )

    def _of(self, node: ast.Attribute, attr: str, known: tuple[str, ...], what: str) -> Value:
        if attr not in known:
            raise self._fail(node, f"{what} has no {attr!r}; {_near(attr, known)}")
        inner = self._compile(node.value)
        return lambda scope: getattr(inner(scope), attr)

    def _subscript(self, node: ast.Subscript) -> Value:
        if isinstance(node.slice, ast.Slice):
            raise self._fail(node, "a slice is not allowed here")
        inner, key = self._compile(node.value), self._compile(node.slice)
        return lambda scope: _item(inner(scope), key(scope))

    def _call(self, node: ast.Call) -> Value:
        if not isinstance(node.func, ast.Name) or node.func.id not in FUNCTIONS or node.keywords:
            raise self._fail(node, f"only {', '.join(FUNCTIONS)} can be called")
        fn, args = FUNCTIONS[node.func.id], [self._compile(arg) for arg in node.args]
        return lambda scope: fn(*(arg(scope) for arg in args))

    def _starred(self, node: ast.Starred) -> Value:
        raise self._fail(node, "a star is not allowed here")

    def _list(self, node: "ast.List | ast.Tuple") -> Value:
        items = [self._compile(item) for item in node.elts]
        return lambda scope: [item(scope) for item in items]

    _tuple = _list

    def _boolop(self, node: ast.BoolOp) -> Value:
        parts = [self._compile(part) for part in node.values]
        wanted = isinstance(node.op, ast.Or)

        def value(scope: Scope) -> Any:
            result: Any = None
            for part in parts:
                try:
                    result = part(scope)
                except (Missing, TypeError):
                    result = None
                if bool(result) is wanted:
                    return result
            return result

        return value

    def _unaryop(self, node: ast.UnaryOp) -> Value:
        inner = self._compile(node.operand)
        if isinstance(node.op, ast.Not):
            return lambda scope: not inner(scope)
        if isinstance(node.op, ast.USub):
            return lambda scope: -inner(scope)
        raise self._fail(node, "only - and not are allowed here")

    def _binop(self, node: ast.BinOp) -> Value:
        op = _ARITHMETIC.get(type(node.op))
        if op is None:
            raise self._fail(node, f"{type(node.op).__name__} is not allowed here; there are + - * / // % & |")
        left, right = self._compile(node.left), self._compile(node.right)
        return lambda scope: op(_number(left(scope)), _number(right(scope)))

    def _compare(self, node: ast.Compare) -> Value:
        first = self._compile(node.left)
        rest = [(_COMPARE[type(op)], self._compile(other)) for op, other in zip(node.ops, node.comparators)]

        def value(scope: Scope) -> bool:
            left = first(scope)
            for op, other in rest:
                right = other(scope)
                if not op(left, right):
                    return False
                left = right
            return True

        return value

    def _ifexp(self, node: ast.IfExp) -> Value:
        test, body, orelse = self._compile(node.test), self._compile(node.body), self._compile(node.orelse)
        return lambda scope: body(scope) if test(scope) else orelse(scope)


def _kinds(node: ast.expr) -> "list[str] | None":
    """Return the kinds of events that an expression demands: `kind == "x"`, `event.kind in ("x", "y")`, alone or with
    `and`.
    """
    if isinstance(node, ast.BoolOp):
        found = [_kinds(part) for part in node.values]
        known = [kinds for kinds in found if kinds is not None]
        if isinstance(node.op, ast.And):
            return known[0] if known else None
        return [kind for kinds in known for kind in kinds] if len(known) == len(found) else None
    if not isinstance(node, ast.Compare) or len(node.ops) != 1:
        return None
    left, right = node.left, node.comparators[0]
    named = left.id if isinstance(left, ast.Name) else left.attr if isinstance(left, ast.Attribute) else ""
    if named != "kind" or (isinstance(left, ast.Attribute) and not isinstance(left.value, ast.Name)):
        return None
    if isinstance(node.ops[0], ast.Eq):
        items: list[ast.expr] = [right]
    elif isinstance(node.ops[0], ast.In) and isinstance(right, (ast.Tuple, ast.List)):
        items = right.elts
    else:
        return None
    texts = [item.value for item in items if isinstance(item, ast.Constant) and isinstance(item.value, str)]
    return texts if len(texts) == len(items) else None


def _number(value: Any) -> Any:
    if not isinstance(value, (int, float)):
        raise TypeError(f"{type(value).__name__} in arithmetic")
    if abs(value) > MAX_NUMBER:
        raise TypeError("the number is too large")
    return value


def _item(value: Any, key: Any) -> Any:
    if isinstance(value, dict):
        if isinstance(key, str) and key not in value and key.replace("_", "-") in value:
            key = key.replace("_", "-")
        if key not in value:
            raise Missing(str(key))
        return value[key]
    if isinstance(value, (list, str)) and isinstance(key, int):
        return value[key]
    raise TypeError(f"{type(value).__name__} has no items")


def _near(name: str, known: tuple[str, ...]) -> str:
    """Suggest the names that are similar, or some of them."""
    import difflib

    close = difflib.get_close_matches(name, known, 5, 0.5)
    return f"did you mean {', '.join(close)}?" if close else f"there are {', '.join(known)}"


def names(hosts: "list[str] | tuple[str, ...]" = ()) -> dict[str, list[str]]:
    """Return all names by group, for completion and help."""
    return {
        "names": [*_NAMES, *hosts],
        "tcb": list(snapshot.FIELDS),
        "event": list(EVENT),
        "frame": list(FRAME),
        "states": list(STATES),
        "units": list(UNITS),
        "functions": list(FUNCTIONS),
    }


__all__ = ["Expression", "ExpressionError", "Scope", "names"]
