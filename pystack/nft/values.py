"""Values: trees to JSON. What a word means follows from the type that is expected in its place."""

from typing import Any

from pystack.nft import intervals
from pystack.nft import types as t
from pystack.nft.errors import RulesetError
from pystack.nft.scope import Definitions, ValueBudget
from pystack.nft.source import place_of

#: how deep values may lie in each other, variables included
MAX_DEPTH = 64

Types = t.Type | list[t.Type]


class ValueReader:
    """Reads values of one load."""

    def __init__(self) -> None:
        self.scope = Definitions()
        self.budget = ValueBudget()

    def read(self, node: Any, types: Types, depth: int = 0) -> Any:
        """Return the JSON of one value: a constant, a range, a prefix, flags, or a concatenation. Raises RulesetError."""
        self.budget.spend(node)
        if depth > MAX_DEPTH:
            raise RulesetError(f"values lie more than {MAX_DEPTH} deep in each other", place_of(node))
        try:
            if node.data == "variable":
                return self.read(self.scope.resolve(node), types, depth + 1)
            if isinstance(types, list):
                return self._concat(node, types, depth)
            return self._single(node, types, depth)
        except RulesetError as error:
            if error.place is None:
                error.place = place_of(node)
            raise

    def _concat(self, node: Any, types: list[t.Type], depth: int) -> Any:
        """Return a concatenation."""
        parts = node.children if node.data == "concat" else [node]
        if len(parts) != len(types):
            raise RulesetError(f"a value has {len(parts)} parts here, and {len(types)} are expected")
        return {"concat": [self.read(part, one, depth + 1) for part, one in zip(parts, types, strict=True)]}

    def _single(self, node: Any, type: t.Type, depth: int) -> Any:
        """Return a value of one type."""
        kind = node.data
        if kind == "group":
            return self.read(node.children[0], type, depth + 1)
        if kind == "either":
            left, right = (self.read(child, type, depth + 1) for child in node.children)
            return t.value(type, t.number(type, left) | t.number(type, right))
        if kind == "range":
            return self._range(node, type, depth)
        if kind == "slash":
            return self._prefix(node, type, depth)
        if kind in ("concat", "list", "set_value", "set_name"):
            raise RulesetError(f"one value of {t.describe(type)} is expected here")
        return self._constant(kind, str(node.children[0]), type)

    def _constant(self, kind: str, text: str, type: t.Type) -> Any:
        """Return a value that is one word."""
        if kind == "address6":
            raise RulesetError(f"{text}: pystack has no IPv6")
        if kind == "address":
            if type.kind != "address":
                raise RulesetError(f"an address is no value of {t.describe(type)}")
            return t.value(type, t.address(text))
        if kind == "time":
            if type.kind != "time":
                raise RulesetError(f"a time is no value of {t.describe(type)}")
            return t.seconds(text)
        if kind == "number":
            return self._number(text, type)
        if kind == "string":
            return t.word(type, text[1:-1])
        if kind in ("word", "keyword"):
            return t.word(type, text)
        raise RulesetError(f"one value of {t.describe(type)} is expected here")

    def _number(self, text: str, type: t.Type) -> Any:
        """Return a value that is written as a number."""
        number = t.integer_of(text)
        if type.kind == "string":
            if type in (t.IFINDEX, t.IFNAME):
                return text
            raise RulesetError(f'a name is expected here, in quotes if it begins with a digit: "{text}"')
        if type is t.BOOLEAN and number > 1:
            raise RulesetError("exists or missing is expected here")
        return t.value(type, t.bounded(type, number))

    def _range(self, node: Any, type: t.Type, depth: int) -> Any:
        """Return a range, or the one value that it has."""
        low, high = (self.read(child, type, depth + 1) for child in node.children)
        if type.kind == "string":
            raise RulesetError(f"{t.describe(type)} has no ranges")
        first, last = t.number(type, low), t.number(type, high)
        if first > last:
            raise RulesetError("the range begins behind its end")
        return low if first == last else {"range": [low, high]}

    def _prefix(self, node: Any, type: t.Type, depth: int) -> Any:
        """Return a prefix, without the bits behind its length."""
        base = self.read(node.children[0], type, depth + 1)
        if type.kind != "address" or node.children[1].data != "number":
            raise RulesetError(f"{t.describe(type)} has no prefixes")
        length = t.integer_of(str(node.children[1].children[0]))
        if length > type.bits:
            raise RulesetError(f"the prefix length {length} is not in 0..{type.bits}")
        if length == type.bits:
            return base
        number = t.number(type, base) >> (type.bits - length) << (type.bits - length)
        return {"prefix": {"addr": t.value(type, number), "len": length}}

    # ---- sets

    def elements(self, node: Any, depth: int = 0) -> list[Any]:
        """Return the elements' trees of a set, those of variables in it included. Raises RulesetError."""
        if depth > MAX_DEPTH:
            raise RulesetError(f"sets lie more than {MAX_DEPTH} deep in each other", place_of(node))
        if node.data == "variable":
            return self.elements(self.scope.resolve(node), depth + 1)
        if node.data == "empty_set":
            return []
        if node.data != "set_value":
            raise RulesetError("a set is expected here: { value, value }", place_of(node))
        found: list[Any] = []
        for element in node.children:
            value = element.children[0]
            inner = self.scope.resolve(value) if value.data == "variable" else value
            if inner.data in ("set_value", "empty_set") and len(element.children) == 2 and element.children[1] is None:
                found += self.elements(inner, depth + 1)
            else:
                self.budget.spend(element)
                found.append(element)
        return found

    def set(self, node: Any, types: Types) -> list[Any]:
        """Return the JSON of the elements of a set without data, in the order of the text. Raises RulesetError."""
        found = []
        for element in self.elements(node):
            key, data = self.key(element, types)
            if data is not None:
                raise RulesetError("a set has no data behind a colon; a map has", place_of(element))
            found.append(key)
        return found

    def statement(self, node: Any) -> Any:
        """Return the JSON of a statement. Raises RulesetError."""
        raise NotImplementedError

    def key(self, element: Any, types: Types) -> tuple[Any, Any]:
        """Return an element's key, with its options, and the tree of its data or None. Raises RulesetError."""
        value, *options, data = element.children
        key = self.read(value, types)
        extra: dict[str, Any] = {}
        for option in options:
            name = option.data.removeprefix("element_")
            if name == "comment":
                extra[name] = str(option.children[0])[1:-1]
            elif name == "statement":
                extra |= self.statement(option.children[0])
            else:
                extra[name] = t.seconds(str(option.children[0]))
        return ({"elem": {"val": key, **extra}} if extra else key), data

    def anonymous(self, node: Any, types: Types) -> list[Any]:
        """Return the elements of a set inside a rule, as nft lists them: sorted, and ranges that touch become one."""
        return intervals.merged(self.set(node, types), types)
