"""What a rule looks at, and expressions whose value goes somewhere: trees to JSON."""

from typing import Any

from pystack.nft import fields as f
from pystack.nft import intervals
from pystack.nft import types as t
from pystack.nft.errors import NftError
from pystack.nft.names import RESERVED
from pystack.nft.source import place_of
from pystack.nft.values import MAX_DEPTH, Types, Values

_OPERATORS = {
    "and": "&",
    "or": "|",
    "xor": "^",
    "lshift": "<<",
    "rshift": ">>",
    "or_": "|",
    "xor_": "^",
    "and_": "&",
    "left_": "<<",
    "right_": ">>",
}


def operator(word: str) -> str:
    """Return the sign of an operator that may be written as a word."""
    return _OPERATORS.get(word, word)


class Expressions(Values):
    """Reads selectors and expressions."""

    def selectors(self, node: Any) -> Any:
        """Return the JSON of one selector or of a concatenation of several."""
        found = [self.selector(child) for child in node.children]
        return found[0] if len(found) == 1 else {"concat": found}

    def selector(self, node: Any) -> Any:
        """Return the JSON of a selector. Raises NftError."""
        self.budget.spend(node)
        return getattr(self, f"_{node.data}")(node)

    def _payload(self, node: Any) -> Any:
        protocol, field = node.children[0].children
        return {"payload": {"protocol": str(protocol), "field": str(field)}}

    def _meta(self, node: Any) -> Any:
        key = node.children[0]
        while hasattr(key, "children"):
            key = key.children[0]
        return {"meta": {"key": str(key)}}

    def _ct(self, node: Any) -> Any:
        words = [str(child.children[0]) if hasattr(child, "children") else str(child) for child in node.children[1:]]
        direction = words.pop(0) if len(words) > 1 else ""
        key = " ".join(words)
        if not direction and key in f.CT_DIRECTED:
            raise NftError(f"ct {key} needs a direction: ct original {key}", place_of(node))
        if direction and key not in (*f.CT_DIRECTED, *f.CT_EITHER, "protocol", "l3proto"):
            raise NftError(f"ct {key} has no direction", place_of(node))
        # The protocols are the same in both directions, so nft lists them without one.
        if not direction or key in ("protocol", "l3proto"):
            return {"ct": {"key": key}}
        return {"ct": {"key": key, "dir": direction}}

    def _tcp_option(self, node: Any) -> Any:
        name = str(node.children[0].children[0])
        if name not in f.OPTION:
            raise NftError(f"pystack does not know the TCP option {name}", place_of(node.children[0]))
        if node.children[1] is None:
            return {"tcp option": {"name": name}}
        field = str(node.children[1].children[0])
        if field not in f.OPTION[name]:
            raise NftError(f"the TCP option {name} has no field {field!r}", place_of(node.children[1]))
        return {"tcp option": {"name": name, "field": field}}

    def number(self, token: Any, low: int = 0, high: int = 0xFFFFFFFF) -> int:
        """Return the number of a token. Raises NftError if it is not in the range."""
        value = t.integer_of(str(token))
        if not low <= value <= high:
            raise NftError(f"the number {token} is not in {low}..{high}", place_of(token))
        return value

    def _numgen(self, node: Any) -> Any:
        mode, modulus, offset = node.children
        body: dict[str, Any] = {"mode": str(mode.children[0]), "mod": self.number(modulus, 1), "offset": 0}
        if offset is not None:
            body["offset"] = self._offset(offset, body["mod"])
        return {"numgen": body}

    def _offset(self, token: Any, modulus: int) -> int:
        """Return the number that is added to a result, which must stay within 32 bits."""
        value = self.number(token)
        if value + modulus - 1 > 0xFFFFFFFF:
            raise NftError("mod and offset together are above 4294967295", place_of(token))
        return value

    def _jhash(self, node: Any) -> Any:
        what, modulus, seed, offset = node.children
        body: dict[str, Any] = {"mod": self.number(modulus, 1)}
        if seed is not None and self.number(seed):
            body["seed"] = self.number(seed)
        if offset is not None and self._offset(offset, body["mod"]):
            body["offset"] = self.number(offset)
        body["expr"] = self.selectors(what)
        return {"jhash": body}

    def _symhash(self, node: Any) -> Any:
        modulus, offset = node.children
        body = {"mod": self.number(modulus, 1)}
        if offset is not None and self._offset(offset, body["mod"]):
            body["offset"] = self.number(offset)
        return {"symhash": body}

    def _fib(self, node: Any) -> Any:
        *flags, result = (str(child.children[0]) for child in node.children)
        if ("saddr" in flags) == ("daddr" in flags):
            raise NftError("fib needs one of saddr and daddr", place_of(node))
        if "iif" in flags and "oif" in flags:
            raise NftError("fib cannot have both iif and oif", place_of(node))
        known = ("saddr", "daddr", "mark", "iif", "oif")
        return {"fib": {"result": result, "flags": [flag for flag in known if flag in flags]}}

    def _rt(self, node: Any) -> Any:
        words = [str(child) for child in node.children[1:]]
        if words == ["nexthop"]:
            raise NftError("rt nexthop needs a family: rt ip nexthop", place_of(node))
        return {"rt": {"key": words[-1], "family": "ip"} if len(words) == 2 else {"key": words[-1]}}

    # ---- expressions

    def expression(self, node: Any, types: Types, depth: int = 0) -> Any:
        """Return the JSON of an expression whose value has the types. Raises NftError."""
        if depth > MAX_DEPTH:
            raise NftError(f"expressions lie more than {MAX_DEPTH} deep in each other", place_of(node))
        if node.data == "selectors":
            return self.selectors(node)
        if node.data == "map":
            return self.map(node, types)
        if node.data == "group":
            return self.expression(node.children[0], types, depth + 1)
        if node.data == "concat":
            return self._joined(node, types, depth)
        if node.data in _OPERATORS:
            return self._binary(node, types, depth)
        return self.read(node, types)

    def _joined(self, node: Any, types: Types, depth: int) -> Any:
        """Return a concatenation of expressions."""
        if not isinstance(types, list) or len(types) != len(node.children):
            raise NftError("a concatenation is not expected here", place_of(node))
        parts = zip(node.children, types, strict=True)
        return {"concat": [self.expression(child, one, depth + 1) for child, one in parts]}

    def _binary(self, node: Any, types: Types, depth: int) -> Any:
        """Return an operation on bits. One of constants alone is their result."""
        sign = operator(node.data)
        if isinstance(types, list):
            raise NftError(f"{sign} needs a single value", place_of(node))
        left = self.expression(node.children[0], types, depth + 1)
        inner = types if _constant(left) or "map" in left else f.type_of(left)
        if isinstance(inner, list):
            raise NftError(f"{sign} needs a single value", place_of(node))
        shift = t.integer(32) if sign in ("<<", ">>") else inner
        right = self.expression(node.children[1], shift, depth + 1)
        if _constant(right) and _constant(left):
            result = _compute(sign, t.number(types, left), t.number(shift, right))
            return t.value(types, result & types.limit())
        if not _constant(right):
            raise NftError(f"the right side of {sign} must be a constant", place_of(node.children[1]))
        if _constant(left):
            raise NftError(f"the left side of {sign} must be a field, not a constant", place_of(node.children[0]))
        return {sign: [left, right]}

    def map(self, node: Any, types: Types) -> Any:
        """Return a lookup in a map. The types are those of its data."""
        key = self.selectors(node.children[0])
        return {"map": {"key": key, "data": self.reference(node.children[1], f.type_of(key), types)}}

    def reference(self, node: Any, keys: Types, data: "Types | None") -> Any:
        """Return the map behind `map` or `vmap`: the name of one, or its elements."""
        target = self.scope.resolve(node) if node.data == "variable" else node.children[0]
        if node.data == "set_name" or getattr(target, "data", "") == "set_name":
            name = target.children[0] if hasattr(target, "children") else target
            self.uses(str(name), place_of(node))
            return f"@{name}"
        return {"set": self.pairs(target, keys, data)}

    def pairs(self, node: Any, keys: Types, data: "Types | None", interval: bool = False) -> list[Any]:
        """Return the elements of a map. `data` is None if they are verdicts. Raises NftError."""
        found = []
        for element in self.elements(node):
            key, tree = self.key(element, keys)
            if tree is None:
                raise NftError("a map needs data behind each key: { key : data }", place_of(element))
            found.append([key, self.datum(tree, data)])
        if intervals.kept([one[0] for one in found], keys, interval):
            ordered = found
        else:
            ordered = sorted(found, key=lambda one: intervals.order(keys, one[0]))
        if isinstance(keys, t.Type) and keys.kind != "string" and any(intervals.is_interval(one[0]) for one in found):
            try:
                return intervals.checked(ordered, keys, lambda one: one[0])
            except NftError as error:
                error.place = place_of(node)
                raise
        for one, other in zip(ordered, ordered[1:], strict=False):
            if one[0] == other[0] and one != other:
                raise NftError("a key has two different data", place_of(node))
        return [one for at, one in enumerate(ordered) if at == 0 or one != ordered[at - 1]]

    def datum(self, tree: Any, data: "Types | None") -> Any:
        """Return the data of one element of a map."""
        if data is None:
            if tree.data != "verdict":
                raise NftError("a verdict is expected here: accept, drop, jump NAME", place_of(tree))
            return self.verdict(tree)
        if tree.data == "verdict":
            raise NftError("a verdict is no data of this map", place_of(tree))
        return self.read(tree, data)

    def verdict(self, node: Any) -> Any:
        """Return the JSON of a verdict."""
        word, *rest = node.children
        if not rest:
            return {str(word): None}
        return {str(word): {"target": self.name(rest[0])}}

    def name(self, node: Any) -> str:
        """Return the name of a table, a chain, a set or an object. Raises NftError."""
        if node.data == "variable":
            found = self.scope.resolve(node)
            if found.data not in ("word", "string"):
                raise NftError("a name is expected here", place_of(node))
            node = found
        text = str(node.children[0]).strip('"')
        if node.data == "ident" and text in RESERVED:
            raise NftError(f"{text!r} is a word of the language, so nothing can have it as its name", place_of(node))
        if not 0 < len(text) < 256:
            raise NftError("a name has between 1 and 255 characters", place_of(node))
        return text

    def keys_of(self, name: str) -> Any:
        """Return the type of the keys of a set or a map, a list for a concatenation."""
        return None

    def uses(self, name: str, place: Any) -> None:
        """Note that a rule refers to a set. Raises NftError if there is none with this name."""


def _constant(json: Any) -> bool:
    """Return whether a value is a constant. Flags with | between them are one."""
    return not isinstance(json, dict) or (set(json) == {"|"} and all(isinstance(one, str) for one in json["|"]))


def _compute(sign: str, left: int, right: int) -> int:
    """Return the result of an operation on two numbers. A shift moves by at most 31 bits."""
    if sign == "&":
        return left & right
    if sign == "|":
        return left | right
    if sign == "^":
        return left ^ right
    if right > 31:
        raise NftError("a shift moves by at most 31 bits")
    return left << right if sign == "<<" else left >> right
