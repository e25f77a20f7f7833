"""What `list` commands show: parts of a ruleset, as text or as JSON."""

from typing import Any

from pystack.nft.errors import NftError
from pystack.nft.printer import text

_PLURALS = {
    "chains": "chain",
    "sets": "set",
    "maps": "map",
    "counters": "counter",
    "quotas": "quota",
    "limits": "limit",
}


def listed(ruleset: list[Any], kind: str, body: Any, handles: bool = False) -> str:
    """Return the text of a `list` command, such as `list table ip filter`. Raises NftError if there is no such thing."""
    if kind == "tables":
        tables = [one["table"] for one in chosen(ruleset, kind, body)]
        return "".join(f"table {one['family']} {one['name']}\n" for one in tables)
    return text({"nftables": chosen(ruleset, kind, body, heads=True)}, handles, gaps=kind not in _PLURALS)


def chosen(ruleset: list[Any], kind: str, body: Any, heads: bool = False) -> list[Any]:
    """Return the objects that a `list` command shows. With `heads`, the tables that they are in belong to them."""
    family = (body or {}).get("family")
    mine = [one for one in ruleset if family is None or next(iter(one.values())).get("family") == family]
    if kind == "ruleset":
        return mine
    if kind == "tables":
        return [one for one in mine if "table" in one]
    if kind in _PLURALS:
        found = [one for one in mine if _PLURALS[kind] in one]
        if not heads or kind in ("counters", "quotas", "limits"):
            return found
        # nft shows every table here, also one that has nothing of the kind, but without its own properties.
        return [*({"table": _bare(one["table"])} for one in mine if "table" in one), *found]
    found = [one for one in mine if _belongs(one, kind, body)]
    if not any(kind in one for one in found):
        raise NftError(f"there is no {kind} {' '.join(str(word) for word in body.values())}")
    if kind == "table" or not heads:
        return found
    return [
        *({"table": _bare(one["table"])} for one in mine if one.get("table", {}).get("name") == body["table"]),
        *found,
    ]


def _bare(table: Any) -> Any:
    """Return a table with its names alone."""
    return {name: table[name] for name in ("family", "name")}


def _belongs(one: Any, kind: str, body: Any) -> bool:
    """Return whether an object is the one that is asked for, or lies in it."""
    found, its = next(iter(one.items()))
    if kind == "table":
        return bool((its["name"] if found == "table" else its["table"]) == body["name"])
    if found == "table" or its["table"] != body["table"]:
        return False
    if kind == "chain" and found == "rule":
        return bool(its["chain"] == body["name"])
    return bool(found == kind and its["name"] == body["name"])
