"""Sets of values in the order in which nft lists them, with ranges that overlap or touch joined."""

import functools
import json as _json
from collections.abc import Callable
from typing import Any

from pystack.nft import types as t
from pystack.nft.errors import NftError

Types = t.Type | list[t.Type]


def bounds(type: t.Type, json: Any) -> tuple[int, int]:
    """Return the first and the last number of a value, a range or a prefix. Raises NftError."""
    if isinstance(json, dict):
        if "elem" in json:
            return bounds(type, json["elem"]["val"])
        if "range" in json:
            low, high = json["range"]
            return t.number(type, low), t.number(type, high)
        if "prefix" in json:
            low = t.number(type, json["prefix"]["addr"])
            return low, low + (1 << (type.bits - json["prefix"]["len"])) - 1
    number = t.number(type, json)
    return number, number


def is_interval(json: Any) -> bool:
    """Return whether a value covers more than one number."""
    if not isinstance(json, dict):
        return isinstance(json, str) and json.endswith("*") and not json.endswith("\\*")
    if "elem" in json:
        return is_interval(json["elem"]["val"])
    if "concat" in json:
        return any(is_interval(part) for part in json["concat"])
    return "range" in json or "prefix" in json


def _octets(type: t.Type, json: Any) -> bytes:
    """Return a value as the bytes in which the kernel keeps it."""
    if isinstance(json, dict) and "range" in json:
        json = json["range"][0]
    if isinstance(json, dict) and "prefix" in json:
        json = json["prefix"]["addr"]
    if type.kind == "string":
        return str(json).encode()[:16].ljust(type.bits // 8, b"\0")
    return t.number(type, json).to_bytes((type.bits + 7) // 8, "little" if type.host else "big")


def order(types: Types, json: Any) -> int:
    """Return the number by which nft sorts an element."""
    if isinstance(json, dict) and "elem" in json:
        json = json["elem"]["val"]
    if isinstance(types, list):
        octets = b"".join(_octets(one, part) for one, part in zip(types, json["concat"], strict=True))
        return int.from_bytes(octets, "little")
    if types.kind == "string":
        return int.from_bytes(_octets(types, json), "little")
    if types.flags and isinstance(json, dict) and "|" in json:
        # nft looks at the first flag alone.
        return types.names[json["|"][0]]
    return bounds(types, json)[0]


def span(type: t.Type, low: int, high: int) -> Any:
    """Return a range of numbers as JSON: one value, a prefix if it is one of addresses, or a range."""
    if low == high:
        return t.value(type, low)
    size = high - low + 1
    if type.kind == "address" and size & (size - 1) == 0 and low % size == 0:
        return {"prefix": {"addr": t.value(type, low), "len": type.bits - size.bit_length() + 1}}
    return {"range": [t.value(type, low), t.value(type, high)]}


def kept(elements: list[Any], types: Types, interval: bool) -> bool:
    """Return whether elements stay in the order of the text: concatenations in a set that holds intervals."""
    return isinstance(types, list) and (interval or any(is_interval(element) for element in elements))


def unique(elements: list[Any], types: Types, interval: bool = False) -> list[Any]:
    """Return elements sorted, and each once. `interval` says that the set holds intervals."""
    if kept(elements, types, interval):
        seen = {_json.dumps(element): element for element in elements}
        return list(seen.values())
    found: list[Any] = []
    key: Callable[[Any], Any] = functools.partial(order, types)
    if isinstance(types, t.Type) and types.kind == "string" and any(is_interval(element) for element in elements):
        # Names with * are intervals, which nft sorts by their first letters.
        key = str
    for element in sorted(elements, key=key):
        if element not in found[-1:]:
            found.append(element)
    return found


def merged(elements: list[Any], types: Types) -> list[Any]:
    """Return elements sorted; if one of them is a range, those that touch are joined."""
    plain = (
        isinstance(types, list)
        or types.kind == "string"
        or any("elem" in one for one in elements if isinstance(one, dict))
    )
    if plain or not any(is_interval(element) for element in elements):
        return unique(elements, types)
    assert isinstance(types, t.Type)
    joined: list[list[int]] = []
    for low, high in sorted(bounds(types, element) for element in elements):
        if joined and low <= joined[-1][1] + 1:
            joined[-1][1] = max(joined[-1][1], high)
        else:
            joined.append([low, high])
    return [span(types, low, high) for low, high in joined]


def checked(elements: list[Any], type: t.Type, keys: Any = lambda element: element) -> list[Any]:
    """Return the elements of a named interval set or of a map, sorted. Raises NftError if two of them overlap."""
    spans = sorted(((bounds(type, keys(element)), at) for at, element in enumerate(elements)), key=lambda one: one[0])
    found: list[Any] = []
    last: tuple[int, int] | None = None
    for both, at in spans:
        if last is not None and both == last and elements[at] == found[-1]:
            continue
        if last is not None and both[0] <= last[1]:
            raise NftError(f"the intervals {_shown(type, last)} and {_shown(type, both)} overlap")
        found.append(elements[at])
        last = both
    return found


def _shown(type: t.Type, both: tuple[int, int]) -> str:
    """Return an interval for an error message."""
    return "-".join(t.text(type, t.value(type, one)) for one in dict.fromkeys(both))
