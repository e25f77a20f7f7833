"""Rulesets as text, byte for byte as `nft list ruleset` prints them, from their JSON."""

from typing import Any

from pystack.nft import types as t
from pystack.nft.known import types_of
from pystack.nft.names import PRIORITIES, PRIORITY_HOOKS
from pystack.nft.words import element, selector, statements
from pystack_c.filter.nft.names import sized

_OBJECTS = ("counter", "quota", "limit")


def text(ruleset: Any, handles: bool = False, gaps: bool = True) -> str:
    """Return a ruleset in JSON as text. With `handles`, each line ends with its handle, as with `nft -a`.

    Without `gaps`, there are no empty lines between the parts of a table, as with `nft list chains`.
    """
    tables: dict[tuple[str, str], dict[str, list[Any]]] = {}
    heads: dict[tuple[str, str], Any] = {}
    for one in ruleset["nftables"]:
        kind, body = next(iter(one.items()))
        if kind == "metainfo":
            continue
        if kind == "table":
            heads[body["family"], body["name"]] = body
            tables.setdefault((body["family"], body["name"]), {})
        else:
            tables.setdefault((body["family"], body["table"]), {}).setdefault(kind, []).append(body)
    out: list[str] = []
    for key, content in tables.items():
        head = heads.get(key, {"family": key[0], "name": key[1]})
        out += _table(head, content, ruleset, handles, gaps)
    return "".join(f"{line}\n" for line in out)


def _handle(body: Any, handles: bool) -> str:
    """Return the end of a line with the handle, or nothing."""
    return f" # handle {body['handle']}" if handles and "handle" in body else ""


def _table(head: Any, content: dict[str, list[Any]], ruleset: Any, handles: bool, gaps: bool) -> list[str]:
    """Return the lines of a table."""
    out = [f"table {head['family']} {head['name']} {{{_handle(head, handles)}"]
    lines = []
    if "flags" in head:
        flags = head["flags"]
        lines.append(f"\tflags {flags if isinstance(flags, str) else ','.join(flags)}")
    if "comment" in head:
        lines.append(f'\tcomment "{head["comment"]}"')
    blocks = [lines] if lines else []
    for kind in _OBJECTS:
        blocks += [_object(kind, body, handles) for body in content.get(kind, [])]
    both = [one for one in ruleset["nftables"] if "set" in one or "map" in one]
    mine = [(kind, body) for one in both for kind, body in one.items() if _inside(body, head)]
    blocks += [_set(kind, body, handles) for kind, body in mine]
    for chain in content.get("chain", []):
        rules = [rule for rule in content.get("rule", []) if rule["chain"] == chain["name"]]
        blocks.append(_chain(chain, rules, handles))
    for at, block in enumerate(blocks):
        out += ([""] if at and gaps else []) + block
    return [*out, "}"]


def _inside(body: Any, head: Any) -> bool:
    """Return whether a body belongs to a table."""
    return (body["family"], body["table"]) == (head["family"], head["name"])


def _object(kind: str, body: Any, handles: bool) -> list[str]:
    """Return the lines of a counter, a quota or a limit."""
    out = [f"\t{kind} {body['name']} {{{_handle(body, handles)}"]
    if "comment" in body:
        out.append(f'\t\tcomment "{body["comment"]}"')
    if kind == "counter":
        out.append(f"\t\tpackets {body['packets']} bytes {body['bytes']}")
    elif kind == "quota":
        line = ("over " if body.get("inv") else "") + _amount(body["bytes"])
        out.append(f"\t\t{line}" + (f" used {_amount(body['used'])}" if body.get("used") else ""))
    else:
        line = statements(body["family"], [{"limit": body}]).removeprefix("limit ")
        # An object shows its burst only if it is not the usual one.
        out.append("\t\t" + line.removesuffix(" burst 5 packets"))
    return [*out, "\t}"]


def _amount(octets: int) -> str:
    """Return an amount of bytes with its unit."""
    number, unit = sized(octets)
    return f"{number} {unit}"


def _types(json: Any) -> str:
    """Return the types of a set's keys or of a map's data."""
    if isinstance(json, list):
        return " . ".join(json)
    return str(json)


def _set(kind: str, body: Any, handles: bool) -> list[str]:
    """Return the lines of a set or a map."""
    out = [f"\t{kind} {body['name']} {{{_handle(body, handles)}"]
    family = body["family"]
    if isinstance(body["type"], dict):
        line = f"typeof {selector(body['type']['typeof'])}"
        if kind == "map":
            line += f" : {_data_example(body['map'])}"
    else:
        line = f"type {_types(body['type'])}"
        if kind == "map":
            line += f" : {_types(body['map'])}"
    out.append(f"\t\t{line}")
    if "size" in body:
        out.append(f"\t\tsize {body['size']}")
    if body.get("flags"):
        flags = body["flags"]
        shown = [flags] if isinstance(flags, str) else sorted(flags)
        # The timeout itself says that there are timeouts.
        if shown != ["timeout"] or "timeout" not in body:
            out.append(f"\t\tflags {','.join(shown)}")
    if "timeout" in body:
        out.append(f"\t\ttimeout {t.time_text(body['timeout'])}")
    if "gc-interval" in body:
        out.append(f"\t\tgc-interval {t.time_text(body['gc-interval'])}")
    if body.get("auto-merge"):
        out.append("\t\tauto-merge")
    if "comment" in body:
        out.append(f'\t\tcomment "{body["comment"]}"')
    if body.get("stmt"):
        out.append("\t\t" + statements(family, body["stmt"]))
    if body.get("elem"):
        out.append(_elements(kind, body))
    return [*out, "\t}"]


def _data_example(json: Any) -> str:
    """Return the data of a map whose types are given by examples. The JSON has only the names of their types."""
    examples = {"mark": "meta mark", "verdict": "verdict", "ipv4_addr": "ip daddr", "inet_service": "tcp dport"}
    parts = json if isinstance(json, list) else [json]
    return " . ".join(examples.get(one, str(one)) for one in parts)


def _elements(kind: str, body: Any) -> str:
    """Return the lines with the elements of a set: several in a line if they are short."""
    types = types_of(body["type"])
    data = types_of(body["map"]) if kind == "map" else None
    shown = [element(types, data, one) for one in body["elem"]]
    plain = kind == "set" and isinstance(types, t.Type)
    per_line = (
        types.per_line if plain and isinstance(types, t.Type) and not any(_extra(one) for one in body["elem"]) else 1
    )
    rows = [", ".join(shown[at : at + per_line]) for at in range(0, len(shown), per_line)]
    separator = ",\n\t\t\t     "
    return f"\t\telements = {{ {separator.join(rows)} }}"


def _extra(one: Any) -> bool:
    """Return whether an element has options."""
    return isinstance(one, dict) and "elem" in one


def priority(number: int, hook: str) -> str:
    """Return a priority by name if it is at most 10 away from one with a name."""
    for name, base in PRIORITIES.items():
        if hook not in PRIORITY_HOOKS.get(name, (hook,)) or abs(number - base) > 10:
            continue
        if number == base:
            return name
        return f"{name} {'+' if number > base else '-'} {abs(number - base)}"
    return str(number)


def _chain(chain: Any, rules: list[Any], handles: bool) -> list[str]:
    """Return the lines of a chain."""
    out = [f"\tchain {chain['name']} {{{_handle(chain, handles)}"]
    if "comment" in chain:
        out.append(f'\t\tcomment "{chain["comment"]}"')
    if "hook" in chain:
        order = priority(chain["prio"], chain["hook"])
        device = f' device "{chain["dev"]}"' if isinstance(chain.get("dev"), str) else ""
        out.append(f"\t\ttype {chain['type']} hook {chain['hook']}{device} priority {order}; policy {chain['policy']};")
    out += [f"\t\t{rule_text(rule)}{_handle(rule, handles)}" for rule in rules]
    return [*out, "\t}"]


def rule_text(rule: Any) -> str:
    """Return one rule as text, with its comment."""
    line = statements(rule["family"], rule["expr"])
    return line + (f' comment "{rule["comment"]}"' if "comment" in rule else "")
