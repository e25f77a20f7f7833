"""A ruleset as `nft -j list ruleset` shows it."""

from collections.abc import Iterable
from typing import Any

from pystack_c.filter.hooks import NAMES
from pystack_c.filter.nft.stateful import STATEFUL, counter_json, limit_json, shown

_POLICIES = ("drop", "accept")


def listing(tables: Iterable[Any], at: int) -> list[dict[str, Any]]:
    """Return the objects of all tables, in nft's order."""
    found: list[dict[str, Any]] = []
    for table in tables:
        base = {"family": table.family, "table": table.name}
        one: dict[str, Any] = {"family": table.family, "name": table.name, "handle": table.handle}
        if table.dormant:
            one["flags"] = "dormant"
        found.append({"table": _commented(one, table.comment)})
        found += [{"chain": _chain(chain, base)} for chain in table.chains.values()]
        for kind in ("counter", "quota", "limit"):
            found += [{kind: _object(item, base)} for item in table.objects.values() if item.kind == kind]
        found += [{"map" if model.is_map else "set": _set(model, base, at)} for model in table.sets.values()]
        for chain in table.chains.values():
            for rule in chain.rules:
                shown_rule = {**base, "chain": chain.name, "handle": rule.handle}
                if rule.comment is not None:
                    shown_rule["comment"] = rule.comment
                shown_rule["expr"] = [
                    _statement(given, live) for given, live in zip(rule.expr, rule.statements, strict=True)
                ]
                found.append({"rule": shown_rule})
    return found


def _commented(item: dict[str, Any], comment: Any) -> dict[str, Any]:
    return item if comment is None else {**item, "comment": comment}


def _chain(chain: Any, base: dict[str, Any]) -> dict[str, Any]:
    found = {**base, "name": chain.name, "handle": chain.handle}
    if chain.kind:
        found |= {"type": chain.kind, "hook": NAMES[chain.place], "prio": chain.priority}
        found["policy"] = _POLICIES[chain.policy]
    return _commented(found, chain.comment)


def _object(item: Any, base: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {"family": base["family"], "name": item.name, "table": base["table"], "handle": item.handle}
    if item.kind == "counter":
        found |= counter_json(item.live)
    elif item.kind == "quota":
        found |= {"bytes": item.live.octets, "used": min(item.live.used, item.live.octets), "inv": item.live.over}
    else:
        found |= limit_json(item.live)
    return _commented(found, item.comment)


def _set(model: Any, base: dict[str, Any], at: int) -> dict[str, Any]:
    found: dict[str, Any] = {"family": base["family"], "name": model.name, "table": base["table"]}
    found["type"] = model.declared["type"]
    found["handle"] = model.handle
    if model.is_map:
        found["map"] = model.declared["map"]
    for name in ("policy", "size", "comment", "stmt"):
        if name in model.declared:
            found[name] = model.declared[name]
    if model.flags:
        found["flags"] = model.flags
    if model.live.timeout:
        found["timeout"] = model.live.timeout // 1_000_000_000
    if "gc-interval" in model.declared:
        found["gc-interval"] = model.declared["gc-interval"]
    if model.auto_merge:
        found["auto-merge"] = True
    elements = model.show_elements(at)
    if elements:
        found["elem"] = elements
    return found


def _statement(given: Any, live: Any) -> Any:
    """Return a statement of a rule, with the numbers that it has by now."""
    [(name, body)] = given.items()
    if name in STATEFUL and not isinstance(body, str) and not (isinstance(body, dict) and "map" in body):
        return shown(live)
    return given
