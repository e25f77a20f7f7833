"""The statements of a rule that are no match: verdicts, counters, limits, logs, translations and the rest, as JSON."""

from typing import Any

from pystack.nft import fields as f
from pystack.nft import types as t
from pystack.nft.errors import RulesetError
from pystack.nft.expressions import ExpressionReader
from pystack.nft.names import LOG_LEVELS
from pystack.nft.source import place_of
from pystack_c.filter.nft import names

MAX_COUNT = (1 << 64) - 1
#: sizes of a limit's burst if none is given
BURST = 5


class StatementReader(ExpressionReader):
    """Reads statements. `family` is that of the table."""

    family = "ip"

    def statement(self, node: Any) -> Any:
        """Return the JSON of a statement. Raises RulesetError."""
        self.budget.spend(node)
        return getattr(self, f"_{node.data}")(node)

    def _verdict(self, node: Any) -> Any:
        return self.verdict(node)

    def _counter(self, node: Any) -> Any:
        packets, octets = node.children
        return {
            "counter": {
                "packets": self.number(packets or "0", high=MAX_COUNT),
                "bytes": self.number(octets or "0", high=MAX_COUNT),
            }
        }

    def _object(self, node: Any, kind: str) -> Any:
        """Return a statement that names an object, or takes its name from a map."""
        target = node.children[0]
        if target.data == "map":
            return {kind: self.map(target, t.DATA[kind])}
        return {kind: self.name(target)}

    def _counter_name(self, node: Any) -> Any:
        return self._object(node, "counter")

    def _limit_name(self, node: Any) -> Any:
        return self._object(node, "limit")

    def _quota_name(self, node: Any) -> Any:
        return self._object(node, "quota")

    def _limit(self, node: Any) -> Any:
        return {"limit": self.rate(node.children[0])}

    def rate(self, node: Any) -> dict[str, Any]:
        """Return the JSON of a rate."""
        if node.data == "packet_rate":
            over, rate, unit, burst = node.children
            body: dict[str, Any] = {
                "rate": self.number(rate, 1),
                "burst": BURST if burst is None else self.number(burst, 1),
                "per": str(unit.children[0]),
            }
            if names.TIME_UNITS[body["per"]] * 10**9 // body["rate"] * body["burst"] >= 1 << 64:
                raise RulesetError("the rate and the burst of the limit are too far apart", place_of(node))
            return body | ({"inv": True} if over else {})
        over, rate, per, burst, unit = node.children
        size, period = str(per).split("/")
        amount, size = _shortest(self.number(rate, 1, 1 << 43), size)
        body = {"rate": amount, "burst": 0, "per": period}
        if over:
            body["inv"] = True
        body["rate_unit"], body["burst_unit"] = size, "bytes"
        if burst is not None:
            body["burst"], body["burst_unit"] = _shortest(self.number(burst), str(unit.children[0]))
        octets = amount * names.BYTE_UNITS[size] + body["burst"] * names.BYTE_UNITS[body["burst_unit"]]
        # The kernel counts nanoseconds times bytes in 64 bits.
        if names.TIME_UNITS[period] * 10**9 * octets >= 1 << 64:
            raise RulesetError("the limit is too large for the kernel, and so for pystack", place_of(node))
        return body

    def _quota(self, node: Any) -> Any:
        return {"quota": self.quota_body(node.children[0])}

    def quota_body(self, node: Any) -> dict[str, Any]:
        """Return the JSON of a quota inside a rule."""
        mode, size, unit, used = node.children
        amount, unit = _shortest(self.number(size, high=1 << 43), str(unit))
        body: dict[str, Any] = {"val": amount, "val_unit": unit}
        if used is not None:
            _, consumed, used_unit = used.children
            if self.number(consumed, high=1 << 43):
                body["used"], body["used_unit"] = _shortest(self.number(consumed, high=1 << 43), str(used_unit))
        return body | ({"inv": True} if str(mode) == "over" else {})

    def _ct_count(self, node: Any) -> Any:
        over, count = node.children
        return {"ct count": {"val": self.number(count)} | ({"inv": True} if over else {})}

    def _log(self, node: Any) -> Any:
        body: dict[str, Any] = {}
        for option in node.children:
            self._log_option(option, body)
        if "level" in body and body.keys() & {"group", "snaplen", "queue-threshold"}:
            raise RulesetError("log has either a level or a group", place_of(node))
        if body.get("level") == "warn":
            # It is the level of a log that names none.
            del body["level"]
        known = ("prefix", "group", "snaplen", "queue-threshold", "level", "flags")
        return {"log": {key: body[key] for key in known if key in body} or None}

    def _log_option(self, node: Any, body: dict[str, Any]) -> None:
        """Read one option of a log into its JSON."""
        key, value = str(node.children[0]), node.children[1]
        if key in body and key != "flags":
            raise RulesetError(f"log has {key} twice", place_of(node))
        if key == "prefix":
            if getattr(value, "data", "") == "variable":
                value = self.scope.resolve(value).children[0]
            body[key] = str(value).strip('"')
            if len(body[key]) > 127:
                raise RulesetError("a prefix has at most 127 characters", place_of(node))
        elif key == "level":
            if str(value) not in LOG_LEVELS:
                raise RulesetError(f"{value} is not a level; levels are {', '.join(LOG_LEVELS)}", place_of(value))
            body[key] = str(value)
        elif key == "flags":
            first, *rest = (str(one.children[0]) if hasattr(one, "children") else str(one) for one in value.children)
            flags = [f"{first} {one}" for one in rest if one != ","] if first in ("tcp", "ip") else [first]
            flags = [*([body[key]] if isinstance(body.get(key), str) else body.get(key, [])), *flags]
            order = ("tcp sequence", "tcp options", "ip options", "skuid", "ether")
            flags = ["all"] if "all" in flags else [flag for flag in order if flag in flags]
            body[key] = flags[0] if len(flags) == 1 else flags
        else:
            body[key] = self.number(value, high=0xFFFF if key == "group" else 0xFFFFFFFF)

    def _reject(self, node: Any) -> Any:
        """Return a reject. One without a reason gets its reason when the whole rule is known (listing.py)."""
        if node.children[0] is None:
            return {"reject": None}
        words = [str(child) for child in node.children[0].children if child is not None]
        if words[0] == "tcp":
            return {"reject": {"type": "tcp reset"}}
        codes = names.ICMP_CODES if words[0] == "icmp" else names.ICMPX_CODES
        if words[0] == "icmpx" and self.family != "inet":
            raise RulesetError("icmpx is for tables of the family inet", place_of(node))
        word = words[-1]
        if word.isdigit():
            word = next((name for name, code in codes.items() if code == int(word)), word)
        if word not in codes or word == "frag-needed":
            raise RulesetError(f"{word!r} is not a reason; the reasons are {', '.join(codes)}", place_of(node))
        return {"reject": {"type": words[0], "expr": word}}

    def _notrack(self, node: Any) -> Any:
        return {"notrack": None}

    # ---- translations

    def _nat(self, node: Any) -> Any:
        kind, family, target, flags = node.children
        body: dict[str, Any] = {}
        if family is not None:
            body["family"] = self._nat_family(family)
        parts = {
            "target_address": (0, None),
            "target_both": (0, 1),
            "target_port": (None, 0),
        }[target.data]
        if parts[0] is not None:
            body["addr"] = self._address(target.children[0])
        if parts[1] is not None:
            body["port"] = self.expression(target.children[parts[1]], t.SERVICE)
        return {str(kind.children[0]): _ordered(body, flags)}

    def _nat_pair(self, node: Any) -> Any:
        kind, family, target, flags = node.children
        if target.data != "target_address":
            raise RulesetError("addr . port takes both from one value", place_of(target))
        body = {"family": self._nat_family(family), "addr": self.expression(target.children[0], [t.ADDRESS, t.SERVICE])}
        return {str(kind.children[0]): _ordered(body, flags)}

    def _nat_family(self, node: Any) -> str:
        family = str(node.children[0])
        if family != "ip":
            raise RulesetError(f"pystack translates addresses of the family ip, not of {family}", place_of(node))
        return family

    def _address(self, node: Any) -> Any:
        """Return the new address of a translation, which a map may join with a port."""
        if node.data == "map":
            pairs = self._pairs_of(node.children[1])
            return self.map(node, [t.ADDRESS, t.SERVICE] if pairs else t.ADDRESS)
        return self.expression(node, [t.ADDRESS, t.SERVICE] if node.data == "concat" else t.ADDRESS)

    def _pairs_of(self, node: Any) -> bool:
        """Return whether the data of a map, in the text, are addresses with ports."""
        if node.data == "set_name":
            return isinstance(self.data_of(str(node.children[0])), list)
        target = node if node.data == "variable" else node.children[0]
        if getattr(target, "data", "") not in ("set_value", "variable", "empty_set"):
            return False
        data = [element.children[-1] for element in self.elements(target)]
        return bool(data) and getattr(data[0], "data", "") == "concat"

    def data_of(self, name: str) -> Any:
        """Return the type of the data of a map, a list for a concatenation, or None."""
        return None

    def _masquerade(self, node: Any) -> Any:
        port, flags = node.children
        body = {} if port is None else {"port": self.expression(port, t.SERVICE)}
        return {"masquerade": _ordered(body, flags) or None}

    def _redirect(self, node: Any) -> Any:
        port, flags = node.children
        body = {} if port is None else {"port": self.expression(port, t.SERVICE)}
        return {"redirect": _ordered(body, flags) or None}

    # ---- queues, sets, values

    def _queue(self, node: Any) -> Any:
        first, target, last = node.children
        body: dict[str, Any] = {"num": 0 if target is None else self.expression(target.children[0], t.integer(16))}
        flags = [_text(flag) for part in (first, last) if part is not None for flag in part.children]
        flags = [flag for flag in ("bypass", "fanout") if flag in flags]
        if "fanout" in flags and not (isinstance(body["num"], dict) and "range" in body["num"]):
            raise RulesetError("fanout needs a range of queues", place_of(node))
        if flags:
            body["flags"] = flags[0] if len(flags) == 1 else flags
        return {"queue": body}

    def _set_update(self, node: Any) -> Any:
        operation, name, selectors, *options, data = node.children
        return self._update(operation, name, selectors, options, data)

    def _set_update_old(self, node: Any) -> Any:
        operation, selectors, *options, name = node.children
        return self._update(operation, name, selectors, options, None)

    def _update(self, operation: Any, name: Any, selectors: Any, options: list[Any], data: Any) -> Any:
        """Return an update of a set, or of a map if there is data."""
        self.uses(str(name), place_of(name))
        key = self.selectors(selectors)
        statements = []
        for option in options:
            if option.data == "update_timeout":
                key = {"elem": {"val": key, "timeout": t.seconds(str(option.children[0]))}}
            else:
                statements.append(self.template(option))
        body: dict[str, Any] = {"op": str(operation.children[0]), "elem": key}
        if data is not None:
            kind = self.data_of(str(name))
            if kind is None:
                raise RulesetError(f"{name} is not a map with values", place_of(name))
            return {"map": body | {"data": self.expression(data, kind), "map": f"@{name}"}}
        body["set"] = f"@{name}"
        return {"set": body | ({"stmt": statements} if statements else {})}

    def template(self, node: Any) -> Any:
        """Return a statement that each new element of a set gets."""
        made = self.statement(node)
        return {"counter": None} if made == {"counter": {"packets": 0, "bytes": 0}} else made

    def _reset_option(self, node: Any) -> Any:
        name = str(node.children[0])
        if name not in f.OPTION:
            raise RulesetError(f"pystack does not know the TCP option {name}", place_of(node))
        return {"reset": {"tcp option": {"name": name}}}

    def _check_value(self, kind: str, types: Any, value: Any, node: Any) -> None:
        """Check that a value which is no constant fits into the field that it is set to."""
        if {"range", "prefix"} & set(value):
            raise RulesetError("a single value is expected here", place_of(node))
        if "|" in value and types.flags:
            return
        source = types if "map" in value else f.type_of(value)
        if types.kind != "number" and source != types:
            raise RulesetError(f"{t.describe(types)} cannot be set to a value of another type", place_of(node))
        if kind == "payload" and types.bits % 16:
            raise RulesetError(
                "this field can be set only to a constant, because it is shorter than 16 bits", place_of(node)
            )

    def _mangle(self, node: Any) -> Any:
        key = self.selector(node.children[0])
        kind, body = next(iter(key.items()))
        writable = kind == "payload" and body["protocol"] != "icmp"
        writable = writable or (kind == "meta" and body["key"] in f.META_WRITABLE)
        writable = writable or (kind == "ct" and body["key"] in f.CT_WRITABLE)
        writable = writable or (kind == "tcp option" and "field" in body)
        if not writable:
            raise RulesetError("this cannot be set", place_of(node.children[0]))
        types = f.type_of(key)
        value = self.expression(node.children[1], types)
        if isinstance(value, dict):
            self._check_value(kind, types, value, node.children[1])
        return {"mangle": {"key": key, "value": value}}


def _shortest(amount: int, unit: str) -> tuple[int, str]:
    """Return an amount of bytes in the largest unit in which it is whole."""
    return names.sized(amount * names.BYTE_UNITS[unit])


def _ordered(body: dict[str, Any], flags: Any) -> dict[str, Any]:
    """Return the JSON of a translation with its flags."""
    if flags is None:
        return body
    given = [str(one.children[0]) for one in flags.children if hasattr(one, "children")]
    found = [flag for flag in ("random", "fully-random", "persistent") if flag in given]
    return body | {"flags": found[0] if len(found) == 1 else found}


def _text(node: Any) -> str:
    """Return the word of a token, or of a rule that is one token."""
    return str(node.children[0]) if hasattr(node, "children") else str(node)
