"""Matches: a selector, an operator and values. nft lists several of them in another form than they were written in."""

from typing import Any

from pystack.nft import fields as f
from pystack.nft import intervals
from pystack.nft import types as t
from pystack.nft.errors import NftError
from pystack.nft.expressions import operator
from pystack.nft.source import place_of
from pystack.nft.statements import Statements

_RELATIONS = {"eq": "==", "ne": "!=", "lt": "<", "gt": ">", "le": "<=", "ge": ">="}


class Matches(Statements):
    """Reads matches and verdict maps."""

    def _match_plain(self, node: Any) -> Any:
        left, right = node.children
        return self._match(self.selectors(left), None, right)

    def _match_relation(self, node: Any) -> Any:
        left, relation, right = node.children
        return self._match(self.selectors(left), _relation(relation), right)

    def _match_bits(self, node: Any) -> Any:
        left, *bits, relation, right = node.children
        key = self._masked_key(left, bits)
        if relation is None and right.data not in ("set_value", "set_name", "variable"):
            # Flags under a mask are compared with ==.
            return self._match(key, "==", right)
        return self._match(key, None if relation is None else _relation(relation), right)

    def _masked_key(self, left: Any, bits: list[Any]) -> Any:
        """Return a selector with operations on its bits."""
        key = self.selectors(left)
        types = f.type_of(key)
        if bits and isinstance(types, list):
            raise NftError("a concatenation has no bits", place_of(left))
        for part in bits:
            sign = operator(str(part.children[0]))
            kind = t.integer(8) if sign in ("<<", ">>") else types
            key = {sign: [key, self.read(part.children[1], kind)]}
        return key

    def _match(self, left: Any, relation: str | None, right: Any) -> Any:
        """Return a match as nft lists it."""
        types = f.type_of(left)
        if right.data == "variable":
            right = self.scope.resolve(right)
        if right.data == "set_name":
            return self._match_set(left, relation, right, types)
        if right.data in ("set_value", "empty_set"):
            return self._match_elements(left, relation, right, types)
        if isinstance(types, list):
            raise NftError("a concatenation is compared with a set: { value . value }", place_of(right))
        if types.flags:
            return self._match_flags(left, relation, right, types)
        if right.data == "list":
            raise NftError(f"several values of {t.describe(types)} need braces: {{ value, value }}", place_of(right))
        if (
            isinstance(left, dict)
            and "fib" in left
            and right.data == "word"
            and str(right.children[0]) in t.BOOLEAN.names
        ):
            types = t.BOOLEAN
        value = self.read(right, types)
        if relation in ("<", ">", "<=", ">=") and (types.kind == "string" or intervals.is_interval(value)):
            raise NftError(f"{relation} needs a single number", place_of(right))
        if relation == "!":
            raise NftError("! is for flags", place_of(right))
        return _match(*_masked(left, types, relation or "==", value))

    def _match_set(self, left: Any, relation: str | None, right: Any, types: Any) -> Any:
        """Return a match with a named set."""
        name = str(right.children[0])
        self.uses(name, place_of(right))
        if relation not in (None, "==", "!="):
            raise NftError(f"{relation} cannot compare with a set", place_of(right))
        keys = self.keys_of(name)
        if _shape(keys) != _shape(types):
            raise NftError(f"the set {name!r} holds {_shape(keys)}, and {_shape(types)} is compared", place_of(right))
        return _match(left, relation or "==", f"@{name}")

    def _match_elements(self, left: Any, relation: str | None, right: Any, types: Any) -> Any:
        """Return a match with a set inside the rule. One with a single value is a match with this value."""
        if relation not in (None, "==", "!="):
            raise NftError(f"{relation} cannot compare with a set", place_of(right))
        elements = self.anonymous(right, types)
        if not elements:
            raise NftError("the set is empty", place_of(right))
        tree = self.elements(right)
        if len(elements) == 1 and len(tree) == 1 and isinstance(types, t.Type) and "elem" not in str(elements[0]):
            # nft makes this exception for the states of connections alone.
            relation = relation or ("in" if types is t.CT_STATE else "==")
            return _match(left, relation, elements[0])
        return _match(left, relation or "==", {"set": elements})

    def _match_flags(self, left: Any, relation: str | None, right: Any, types: t.Type) -> Any:
        """Return a match of flags: of some of them, of none, of a mask, or of exactly these."""
        parts = right.children if right.data == "list" else [right]
        at = next((number for number, part in enumerate(parts) if part.data == "slash"), None)
        if at is not None:
            wanted = self._flags([*parts[:at], parts[at].children[0]], types)
            if at == len(parts) - 1:
                raise NftError("a mask of flags has several: syn / syn,ack", place_of(parts[at]))
            mask = self._flags([parts[at].children[1], *parts[at + 1 :]], types)
            masked = {"&": [left, t.value(types, mask)]}
            return _match(masked, relation or "==", t.value(types, wanted))
        if relation in ("<", ">", "<=", ">=") or any(part.data == "range" for part in parts):
            number = self.read(right, types)
            return _match(left, relation or "==", number)
        number = self._flags(parts, types)
        if relation in (None, "!"):
            return _match(left, relation or "in", _list(types, number))
        masked = isinstance(left, dict) and "&" in left
        if masked and not number and relation in ("==", "!="):
            mask = t.number(types, left["&"][1])
            return _match(left["&"][0], "!" if relation == "==" else "in", _list(types, mask))
        value = t.value(types, number)
        if isinstance(value, dict) and isinstance(left, dict) and "payload" in left:
            # nft finds no names for several flags of a header at once.
            value = number
        return _match(left, relation, value)

    def _flags(self, parts: list[Any], types: t.Type) -> int:
        """Return the bits of a list of flags."""
        number = 0
        for part in parts:
            number |= t.number(types, self.read(part, types))
        return number

    def _vmap(self, node: Any) -> Any:
        left, *bits, reference = node.children
        key = self._masked_key(left, bits)
        return {"vmap": {"key": key, "data": self.reference(reference, f.type_of(key), None)}}


def _shape(types: Any) -> str:
    """Return the names of types, for a comparison. All plain numbers are alike."""
    return " . ".join(one.name for one in (types if isinstance(types, list) else [types]))


def _relation(node: Any) -> str:
    """Return the sign of a relation."""
    word = str(node.children[0])
    return _RELATIONS.get(word, word)


def _match(left: Any, relation: str, right: Any) -> Any:
    """Return the JSON of a match."""
    return {"match": {"op": relation, "left": left, "right": right}}


def _list(types: t.Type, number: int) -> Any:
    """Return flags of which one is enough: a name, or a list of names."""
    value = t.value(types, number)
    return value["|"] if isinstance(value, dict) else value


def _masked(left: Any, types: t.Type, relation: str, value: Any) -> tuple[Any, str, Any]:
    """Return a match; an address under the mask of a network is one with a prefix."""
    if types.kind != "address" or relation not in ("==", "!=") or not isinstance(left, dict) or "&" not in left:
        return left, relation, value
    mask = t.number(types, left["&"][1])
    length = mask.bit_count()
    number = t.number(types, value) if isinstance(value, str) else 0
    if mask != (0xFFFFFFFF >> (32 - length) << (32 - length) if length else 0) or number & ~mask:
        return left, relation, value
    if length == 32:
        return left["&"][0], relation, value
    return left["&"][0], relation, {"prefix": {"addr": value, "len": length}}
