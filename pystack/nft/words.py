"""Statements, selectors and values as text, from their JSON, in nft's own form."""

from collections.abc import Callable
from typing import Any

from pystack.nft import fields as f
from pystack.nft import types as t

Types = t.Type | list[t.Type]
_SIGNS = ("&", "|", "^", "<<", ">>")
#: the statements that an element of a set may have
_STATEFUL = ("counter", "limit", "quota", "ct count")
#: how tightly an operator binds; a looser one inside gets brackets
_BINDS = {"|": 0, "^": 1, "&": 2, "<<": 3, ">>": 3}


def statements(family: str, expr: list[Any]) -> str:
    """Return the statements of a rule."""
    return " ".join(_statement(family, one) for one in expr)


def _statement(family: str, one: Any) -> str:
    """Return one statement."""
    kind, body = next(iter(one.items()))
    if kind == "reject":
        return _reject(family, body)
    made = _WRITERS.get(kind)
    return made(body) if made is not None else verdict(one)


def verdict(one: Any) -> str:
    """Return a verdict."""
    kind, body = next(iter(one.items()))
    return f"{kind} {body['target']}" if body else str(kind)


# ---- what a rule looks at


def selector(json: Any) -> str:
    """Return a selector, an operation on one, or a lookup in a map."""
    kind, body = next(iter(json.items()))
    if kind in _SIGNS:
        return expression(json, f.type_of(json))
    writer = _SELECTORS.get(kind)
    return writer(body) if writer is not None else f"{kind}?"


def _payload(body: Any) -> str:
    return f"{body['protocol']} {body['field']}"


def _meta(body: Any) -> str:
    key = body["key"]
    return str(key) if key in f.META_SHOWN_BARE else f"meta {key}"


def _ct(body: Any) -> str:
    return " ".join(["ct", *([body["dir"]] if "dir" in body else []), body["key"]])


def _tcp_option(body: Any) -> str:
    return f"tcp option {body['name']}" + (f" {body['field']}" if "field" in body else "")


def _numgen(body: Any) -> str:
    return f"numgen {body['mode']} mod {body['mod']}" + (f" offset {body['offset']}" if body.get("offset") else "")


def _jhash(body: Any) -> str:
    seed = f" seed 0x{body['seed']:x}" if body.get("seed") else ""
    offset = f" offset {body['offset']}" if body.get("offset") else ""
    return f"jhash {selector(body['expr'])} mod {body['mod']}{seed}{offset}"


def _symhash(body: Any) -> str:
    return f"symhash mod {body['mod']}" + (f" offset {body['offset']}" if body.get("offset") else "")


def _fib(body: Any) -> str:
    flags = body["flags"] if isinstance(body["flags"], list) else [body["flags"]]
    return f"fib {' . '.join(flags)} {body['result']}"


def _rt(body: Any) -> str:
    return f"rt {body['family']} {body['key']}" if "family" in body else f"rt {body['key']}"


def _map(body: Any, types: "Types | None" = None) -> str:
    data = body["data"]
    kinds = f.type_of(body["key"])
    if isinstance(data, str):
        return f"{selector(body['key'])} map {data}"
    shown = ", ".join(element(kinds, types or _guess(data["set"]), one) for one in data["set"])
    return f"{selector(body['key'])} map {{ {shown} }}"


def _guess(elements: list[Any]) -> Types:
    """Return the types of a map's data, if its place does not say them."""
    data = elements[0][1] if elements else None
    return t.STRING if isinstance(data, str) else t.integer(32)


_SELECTORS: dict[str, Callable[[Any], str]] = {
    "payload": _payload,
    "meta": _meta,
    "ct": _ct,
    "tcp option": _tcp_option,
    "numgen": _numgen,
    "jhash": _jhash,
    "symhash": _symhash,
    "fib": _fib,
    "rt": _rt,
    "map": _map,
    "concat": lambda body: " . ".join(selector(one) for one in body),
}

# ---- values


def value(types: Types, json: Any) -> str:
    """Return a constant: one value, a range, a prefix, a set, a list of flags, or a concatenation."""
    if isinstance(json, list):
        return ",".join(value(types, one) for one in json)
    if isinstance(json, str) and json.startswith("@"):
        return json
    if isinstance(json, dict):
        if "concat" in json:
            kinds = types if isinstance(types, list) else [types] * len(json["concat"])
            return " . ".join(value(one, part) for one, part in zip(kinds, json["concat"], strict=True))
        if "range" in json:
            low, high = json["range"]
            return f"{_end(types, low)}-{_end(types, high)}"
        if "prefix" in json:
            return f"{json['prefix']['addr']}/{json['prefix']['len']}"
        if "set" in json:
            return "{ " + ", ".join(element(types, None, one) for one in json["set"]) + " }"
        if set(json) <= {"accept", "drop", "return", "continue", "jump", "goto"}:
            return verdict(json)
    return t.text(types if isinstance(types, t.Type) else t.integer(32), json)


def _end(types: Types, json: Any) -> str:
    """Return an end of a range. nft shows times there in seconds."""
    if types is t.TIME:
        return f"{json}s"
    return value(types, json)


def element(types: Types, data: "Types | None", json: Any) -> str:
    """Return an element of a set, or of a map with its data."""
    if isinstance(json, list):
        key, datum = json
        shown = (
            verdict(datum) if isinstance(datum, dict) and data in (None, t.VERDICT) else value(data or t.STRING, datum)
        )
        return f"{element(types, None, key)} : {shown}"
    if not isinstance(json, dict) or "elem" not in json:
        return value(types, json)
    body = json["elem"]
    out = value(types, body["val"])
    for name in _STATEFUL:
        if body.get(name) is not None:
            out += f" {_statement('', {name: body[name]})}"
    for name in ("timeout", "expires"):
        if name in body:
            out += f" {name} {t.time_text(body[name])}"
    return out + (f' comment "{body["comment"]}"' if "comment" in body else "")


def expression(json: Any, types: Types) -> str:
    """Return an expression whose value goes somewhere."""
    if isinstance(json, dict) and len(json) == 1:
        kind, body = next(iter(json.items()))
        if kind in _SIGNS and not _flags(json):
            left, right = body
            shown = expression(left, types)
            inner = next(iter(left)) if isinstance(left, dict) else ""
            if inner in _BINDS and _BINDS[inner] < _BINDS[kind]:
                shown = f"({shown})"
            kinds = f.type_of(left)
            constant = t.text(_constant_type(kind, inner, kinds), right)
            return f"{shown} {kind} " + (f"({constant})" if _flags(right) else constant)
        if kind == "map":
            return _map(body, types)
        if kind in _SELECTORS and kind != "concat":
            return selector(json)
    return value(types, json)


def _constant_type(sign: str, inner: str, types: Types) -> t.Type:
    """Return the type of a constant in an operation. A value that was shifted is a plain number to nft."""
    if sign in ("<<", ">>"):
        return t.integer(32)
    return t.integer(32, digits=1) if inner in ("<<", ">>") else _single(types)


def _single(types: Types) -> t.Type:
    return types if isinstance(types, t.Type) else types[0]


def _flags(json: Any) -> bool:
    """Return whether a value is several flags."""
    return isinstance(json, dict) and "|" in json and all(isinstance(one, str) for one in json["|"])


# ---- statements


def _match(body: Any) -> str:
    left, relation, right = body["left"], body["op"], body["right"]
    types = f.type_of(left)
    masked = isinstance(left, dict) and next(iter(left)) in _SIGNS
    sign = "" if relation == "in" or (relation == "==" and not masked and not _exact(types, right)) else f"{relation} "
    return f"{selector(left)} {sign}{value(types, right)}"


def _exact(types: Types, right: Any) -> bool:
    """Return whether == has to be written, because a flag alone would mean: this flag among others."""
    if not isinstance(types, t.Type) or not types.flags:
        return False
    if isinstance(right, dict):
        return False
    return not (isinstance(right, str) and right.startswith("@"))


def _mangle(body: Any) -> str:
    return f"{selector(body['key'])} set {expression(body['value'], f.type_of(body['key']))}"


def _vmap(body: Any) -> str:
    data = body["data"]
    if isinstance(data, str):
        return f"{selector(body['key'])} vmap {data}"
    kinds = f.type_of(body["key"])
    return f"{selector(body['key'])} vmap {{ {', '.join(element(kinds, None, one) for one in data['set'])} }}"


def _counter(body: Any) -> str:
    if body is None:
        return "counter"
    return _named("counter", body) or f"counter packets {body['packets']} bytes {body['bytes']}"


def _named(kind: str, body: Any) -> str:
    """Return a statement that names an object, or "" if it is one with numbers of its own."""
    if isinstance(body, str):
        return f'{kind} name "{body}"'
    return f"{kind} name {_map(body['map'], t.STRING)}" if "map" in body else ""


def _limit(body: Any) -> str:
    named = _named("limit", body)
    if named:
        return named
    over = "over " if body.get("inv") else ""
    if body.get("rate_unit", "packets") == "packets":
        return f"limit rate {over}{body['rate']}/{body['per']} burst {body.get('burst', 5)} packets"
    line = f"limit rate {over}{body['rate']} {body['rate_unit']}/{body['per']}"
    return line + (f" burst {body['burst']} {body['burst_unit']}" if body.get("burst") else "")


def _quota(body: Any) -> str:
    named = _named("quota", body)
    if named:
        return named
    line = f"quota {'over ' if body.get('inv') else ''}{body['val']} {body['val_unit']}"
    return line + (f" used {body['used']} {body['used_unit']}" if body.get("used") else "")


def _ct_count(body: Any) -> str:
    return f"ct count {'over ' if body.get('inv') else ''}{body['val']}"


def _log(body: Any) -> str:
    if body is None:
        return "log"
    out = ["log"]
    if "prefix" in body:
        out.append(f'prefix "{body["prefix"]}"')
    for key in ("group", "snaplen", "queue-threshold", "level"):
        if key in body:
            out.append(f"{key} {body[key]}")
    if "flags" in body:
        flags = body["flags"] if isinstance(body["flags"], list) else [body["flags"]]
        tcp = [flag.removeprefix("tcp ") for flag in flags if flag.startswith("tcp ")]
        parts = ([f"tcp {','.join(tcp)}"] if tcp else []) + [flag for flag in flags if not flag.startswith("tcp ")]
        out += [f"flags {part}" for part in parts]
    return " ".join(out)


def _reject(family: str, body: Any) -> str:
    if body is None or (
        body.get("expr") == "port-unreachable" and body["type"] == ("icmp" if family == "ip" else "icmpx")
    ):
        return "reject"
    return f"reject with {body['type']}" + (f" {body['expr']}" if "expr" in body else "")


def _nat(kind: str) -> Callable[[Any], str]:
    def write(body: Any) -> str:
        if body is None:
            return kind
        out = [kind]
        if "family" in body:
            out.append(body["family"])
        if "addr" in body or "port" in body:
            target = _address(body["addr"]) if "addr" in body else ""
            out.append(f"to {target}" + (f":{expression(body['port'], t.SERVICE)}" if "port" in body else ""))
        if "flags" in body:
            out.append(body["flags"] if isinstance(body["flags"], str) else ",".join(body["flags"]))
        return " ".join(out)

    return write


def _address(json: Any) -> str:
    """Return the new address of a translation, which may be one with a port."""
    pairs = isinstance(json, dict) and "map" in json and isinstance(json["map"]["data"], dict)
    if pairs and any(isinstance(one[1], dict) and "concat" in one[1] for one in json["map"]["data"]["set"]):
        return _map(json["map"], [t.ADDRESS, t.SERVICE])
    return expression(json, t.ADDRESS)


def _queue(body: Any) -> str:
    if body is None:
        return "queue to 0"
    flags = body.get("flags", [])
    shown = f" flags {flags if isinstance(flags, str) else ','.join(flags)}" if flags else ""
    return f"queue{shown} to {expression(body['num'], t.integer(16))}"


def _set_update(body: Any) -> str:
    return f"{body['op']} {body['set']} {{ {_update_key(body)}{_update_statements(body)} }}"


def _map_update(body: Any) -> str:
    data = body["data"]
    types = f.type_of(data) if isinstance(data, dict) else t.MARK if isinstance(data, int) else t.ADDRESS
    return f"{body['op']} {body['map']} {{ {_update_key(body)}{_update_statements(body)} : {expression(data, types)} }}"


def _update_key(body: Any) -> str:
    key = body["elem"]
    if "elem" not in key:
        return selector(key)
    return f"{selector(key['elem']['val'])} timeout {t.time_text(key['elem']['timeout'])}"


def _update_statements(body: Any) -> str:
    return "".join(f" {_statement('', one)}" for one in body.get("stmt", []))


_WRITERS: dict[str, Callable[[Any], str]] = {
    "match": _match,
    "mangle": _mangle,
    "vmap": _vmap,
    "counter": _counter,
    "limit": _limit,
    "quota": _quota,
    "ct count": _ct_count,
    "log": _log,
    "snat": _nat("snat"),
    "dnat": _nat("dnat"),
    "masquerade": _nat("masquerade"),
    "redirect": _nat("redirect"),
    "queue": _queue,
    "set": _set_update,
    "map": _map_update,
    "reset": lambda body: f"reset {selector(body)}",
}
