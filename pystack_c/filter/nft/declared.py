"""From nft's JSON to what a table contains: base chains, sets, maps and named objects."""

from typing import Any

import pystack_c.const as C
from pystack_c.filter.hooks import NAMES
from pystack_c.filter.nft.datatypes import DECLARED, DataType
from pystack_c.filter.nft.elements import SetModel
from pystack_c.filter.nft.errors import NftError
from pystack_c.filter.nft.expressions import Path, number, only, word, words
from pystack_c.filter.nft.names import CHAIN_TYPES
from pystack_c.filter.nft.rules import RuleBuilder
from pystack_c.filter.nft.sets import SIZE_MAX, Element, NftSet
from pystack_c.filter.nft.stateful import OBJECTS, stateful

_SECOND = 1_000_000_000
_SET_NAMES = "family handle type map policy flags elem timeout gc-interval size auto-merge comment stmt"


class Named:
    """A named counter, quota or limit. `live` is the statement that rules share."""

    def __init__(self, kind: str, name: str, handle: int, live: Any, comment: Any) -> None:
        self.kind = kind
        self.name = name
        self.handle = handle
        self.live = live
        self.comment = comment


def checked_name(name: Any, path: Path) -> None:
    """Raise NftError unless the name is one that nft accepts."""
    if not isinstance(name, str) or not 0 < len(name) < 256 or not name.isprintable() or " " in name:
        raise NftError(f"{name!r} is no name", path)


def policy(given: Any, path: Path) -> int:
    """Return the verdict of a policy."""
    if given not in ("accept", "drop"):
        raise NftError("a policy is accept or drop", path)
    return C.NF_ACCEPT if given == "accept" else C.NF_DROP


def base_chain(chain: Any, what: dict[str, Any], path: Path) -> None:
    """Set the type, hook, priority and policy of a base chain."""
    names = [name for name in ("type", "hook", "prio") if name in what]
    if not names:
        if "policy" in what:
            raise NftError("only a base chain has a policy", (*path, "policy"))
        return
    only({name: what[name] for name in names}, path, "type hook prio")
    kind, hook = word(what["type"], (*path, "type")), what["hook"]
    if kind not in CHAIN_TYPES:
        raise NftError(f"the type {kind!r} is not supported", (*path, "type"))
    if hook not in CHAIN_TYPES[kind]:
        raise NftError(f"a chain of type {kind} is impossible at {hook!r}", (*path, "hook"))
    chain.kind = kind
    chain.place = NAMES.index(hook)
    chain.priority = number(what["prio"], (*path, "prio"), -(1 << 29), 1 << 29)
    if kind == "nat" and chain.priority <= -200:
        raise NftError("a chain of type nat comes after connection tracking (priority above -200)", (*path, "prio"))
    chain.policy = policy(what.get("policy", "accept"), (*path, "policy"))


def types_of(builder: RuleBuilder, given: Any, path: Path) -> list[DataType]:
    """Return the types of keys or data: a name, a list of names, or {"typeof": expression}."""
    if isinstance(given, dict):
        only(given, path, "typeof")
        inner = given["typeof"]
        if isinstance(inner, list):
            inner = {"concat": inner}
        return builder.expression(inner, (*path, "typeof"))[1]
    found = []
    for i, name in enumerate(given if isinstance(given, list) else [given]):
        at = (*path, i) if isinstance(given, list) else path
        if word(name, at) not in DECLARED:
            raise NftError(f"the type {name!r} is not supported", at)
        found.append(DECLARED[name])
    return found


def set_of(ruleset: Any, table: Any, kind: str, what: dict[str, Any], path: Path) -> SetModel:
    """Return a new set or map without its elements."""
    only(what, path, "table name type" + (" map" if kind == "map" else ""), _SET_NAMES)
    if kind == "set" and "map" in what:
        raise NftError("a set has no data", (*path, "map"))
    builder = RuleBuilder(ruleset, table)
    flags = words(what.get("flags", []), (*path, "flags"))
    for flag in flags:
        if flag not in ("constant", "interval", "timeout", "dynamic"):
            raise NftError(f"the flag {flag!r} is not supported", (*path, "flags"))
    types = types_of(builder, what["type"], (*path, "type"))
    live = NftSet(what["name"], "interval" in flags, len(types))
    live.timeout = number(what.get("timeout", 0), (*path, "timeout"), 0, 1 << 32) * _SECOND
    if live.timeout and "timeout" not in flags:
        flags.insert(0, "timeout")
    live.size = number(what.get("size", SIZE_MAX), (*path, "size"), 1, 1 << 20)
    model = SetModel(what["name"], ruleset.new_handle(table), types, live)
    model.flags = flags
    model.auto_merge = bool(what.get("auto-merge", False))
    model.is_map = kind == "map"
    if model.is_map and what["map"] == "verdict":
        model.verdicts = True
    elif model.is_map and what["map"] in OBJECTS:
        model.objects = what["map"]
        if "dynamic" in flags:
            raise NftError("packets cannot change a map of objects", (*path, "flags"))
    elif model.is_map:
        model.data_types = types_of(builder, what["map"], (*path, "map"))
    names = ("type", "map", "policy", "gc-interval", "size", "comment", "stmt")
    model.declared = {name: what[name] for name in names if name in what}
    model.templates = builder.all_templates(what.get("stmt", []), (*path, "stmt"))
    return model


def key_only(builder: RuleBuilder, given: Any, model: SetModel, path: Path) -> Element:
    """Return the element of a map that a key names."""
    if isinstance(given, dict) and "elem" in given:
        given = only(given["elem"], path, "val", "timeout expires comment counter limit quota", ("ct count",))["val"]
    return Element(*builder.key(given, model, path))


def object_of(ruleset: Any, table: Any, kind: str, what: dict[str, Any], path: Path) -> Named:
    """Return a new named counter, quota or limit."""
    base = "family handle comment"
    if kind == "counter":
        only(what, path, "table name", base + " packets bytes")
        body: dict[str, Any] = {name: what[name] for name in ("packets", "bytes") if name in what}
    elif kind == "quota":
        only(what, path, "table name bytes", base + " used inv")
        body = {"val": what["bytes"], "val_unit": "bytes", "used": what.get("used", 0), "inv": what.get("inv", False)}
    else:
        only(what, path, "table name rate per", base + " burst rate_unit burst_unit unit inv")
        names = ("rate", "per", "burst", "rate_unit", "burst_unit", "inv")
        body = {name: what[name] for name in names if name in what}
    live = stateful(kind, body, path)
    return Named(kind, what["name"], ruleset.new_handle(table), live, what.get("comment"))
