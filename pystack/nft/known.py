"""The sets and maps of a ruleset that exists already, with the types of their elements."""

from typing import Any

from pystack.nft import fields as f
from pystack.nft import types as t

Known = dict[tuple[str, str, str], tuple[Any, Any, bool]]


def known_sets(ruleset: Any) -> Known:
    """Return (family, table, name) -> (type of the keys, type of the data or None, whether it holds intervals)."""
    found: Known = {}
    for one in [] if ruleset is None else ruleset["nftables"]:
        for kind in ("set", "map"):
            body = one.get(kind)
            if body is not None:
                data = types_of(body["map"]) if kind == "map" else None
                interval = "interval" in body.get("flags", [])
                found[body["family"], body["table"], body["name"]] = (types_of(body["type"]), data, interval)
    return found


def types_of(json: Any) -> Any:
    """Return the types that the JSON of a set gives by name or by an example."""
    if isinstance(json, dict):
        return f.type_of(json["typeof"])
    if isinstance(json, list):
        return [types_of(one) for one in json]
    return t.DATA.get(json, t.integer(32))
