"""From nft's JSON to rules: statements, and the sets that they refer to (libnftables-json(5), "STATEMENTS")."""

from typing import Any

import pystack_c.const as C
from pystack_c.filter.nft import datatypes as t
from pystack_c.filter.nft import exprs as e
from pystack_c.filter.nft import fib, mangle, names
from pystack_c.filter.nft import statements as s
from pystack_c.filter.nft.answers import Log, Reject
from pystack_c.filter.nft.datatypes import DataType
from pystack_c.filter.nft.elements import Elements
from pystack_c.filter.nft.errors import NftError
from pystack_c.filter.nft.expressions import (
    IP_FIELDS,
    TRANSPORT,
    Path,
    is_constant,
    number,
    only,
    tcp_option,
    word,
    words,
)
from pystack_c.filter.nft.queueing import Queue
from pystack_c.filter.nft.stateful import OBJECTS, STATEFUL, stateful

_OPS = {"==": s.EQ, "!=": s.NE, "<": s.LT, ">": s.GT, "<=": s.LE, ">=": s.GE, "in": s.ANY, "!": s.NONE}
_VERDICTS = {
    "accept": C.NF_ACCEPT,
    "drop": C.NF_DROP,
    "continue": C.NFT_CONTINUE,
    "return": C.NFT_RETURN,
    "jump": C.NFT_JUMP,
    "goto": C.NFT_GOTO,
}
_NAT = {"snat": C.NAT_SNAT, "dnat": C.NAT_DNAT, "masquerade": C.NAT_MASQUERADE, "redirect": C.NAT_REDIRECT}
_SETTABLE = ("saddr", "daddr", "ttl", "dscp", "ecn")
#: the codes of ICMP for those of icmpx (Linux nft_reject_icmp_code)
_ICMPX = (0, 3, 1, 13)
_LEVELS = ("emerg", "alert", "crit", "err", "warn", "notice", "info", "debug")


class RuleBuilder(Elements):
    """Makes the statements of one rule. `uses` collects what the rule refers to."""

    def rule(self, given: Any, path: Path) -> list[Any]:
        """Return the statements of a rule."""
        if not isinstance(given, list) or not given:
            raise NftError("a rule has a list of statements", path)
        return [self.statement(one, (*path, i)) for i, one in enumerate(given)]

    def statement(self, given: Any, path: Path) -> Any:
        """Return one statement."""
        if not isinstance(given, dict) or len(given) != 1:
            raise NftError("a statement is an object with one name", path)
        [(name, body)] = given.items()
        inner = (*path, name)
        if name in _VERDICTS:
            return self.verdict(given, path)
        if name in STATEFUL:
            if isinstance(body, str):
                return self.named(name, body, inner).live
            if isinstance(body, dict) and "map" in body and name in OBJECTS:
                return self._object_map(name, only(body, inner, "map")["map"], (*inner, "map"))
            self.wants_ct = self.wants_ct or name == "ct count"
            return stateful(name, body, inner)
        if name in _NAT:
            return self._nat(name, body, inner)
        if name not in _METHODS:
            raise NftError(f"the statement {name!r} is not supported", inner)
        return getattr(self, _METHODS[name])(body, inner)

    def verdict(self, given: Any, path: Path) -> Any:
        """Return a verdict."""
        if not isinstance(given, dict) or len(given) != 1 or next(iter(given)) not in _VERDICTS:
            raise NftError(f"{given!r} is no verdict", path)
        [(name, body)] = given.items()
        target = None
        if name in ("jump", "goto"):
            only(body, (*path, name), "target")
            target = self.chain(body["target"], (*path, name, "target"))
        elif body is not None:
            raise NftError(f"{name} has no parameters", (*path, name))
        return s.VerdictStatement(_VERDICTS[name], target)

    def _match(self, body: Any, path: Path) -> Any:
        only(body, path, "op left right")
        if word(body["op"], (*path, "op")) not in _OPS:
            raise NftError(f"{body['op']!r} is no operator", (*path, "op"))
        op = _OPS[body["op"]]
        left, types = self.expression(body["left"], (*path, "left"))
        right, at = body["right"], (*path, "right")
        if isinstance(left, fib.Fib) and left.result == fib.OIF:
            if isinstance(right, bool):
                left.result = fib.PRESENT
                return s.Comparison(left, op, int(right))
            if right == "0":
                return s.Comparison(left, op, "")
        if isinstance(right, str) and right.startswith("@") or isinstance(right, dict) and "set" in right:
            if op not in (s.EQ, s.NE, s.ANY):
                raise NftError("a set is compared with == or !=", (*path, "op"))
            return s.SetLookup(left, self.set_for(right, types, at).live, op == s.NE)
        if len(types) == 1 and isinstance(right, dict) and ("range" in right or "prefix" in right):
            return self._between(left, types[0], op, right, (*path, "op"), at)
        if len(types) == 1 and types[0].kind == "name" and isinstance(right, str):
            low, high = types[0].interval(right, at)
            if low != high:
                return self._between(left, types[0], op, right, (*path, "op"), at)
            right = low
        if len(types) == 1 and is_constant(right):
            return self._constant_match(left, types[0], op, right, path)
        other, kinds = self.expression(right, at, types)
        if len(kinds) != len(types):
            raise NftError("the two sides have different numbers of parts", at)
        return s.Comparison(left, op, other)

    def _between(self, left: Any, kind: DataType, op: int, right: Any, op_path: Path, path: Path) -> Any:
        if op not in (s.EQ, s.NE, s.ANY):
            raise NftError("a range is compared with == or !=", op_path)
        low, high = kind.interval(right, path)
        return s.Between(left, low, high, op == s.NE)

    def _constant_match(self, left: Any, kind: DataType, op: int, right: Any, path: Path) -> Any:
        value = kind.constant(right, (*path, "right"))
        if op == s.ANY and not kind.flags:
            op = s.EQ
        if op in (s.LT, s.GT, s.LE, s.GE, s.ANY, s.NONE) and kind.kind == "name":
            raise NftError("names are compared with == or !=", (*path, "op"))
        return s.Comparison(left, op, value)

    def _vmap(self, body: Any, path: Path) -> Any:
        only(body, path, "key data")
        key, types = self.expression(body["key"], (*path, "key"))
        model = self.set_for(body["data"], types, (*path, "data"), "verdict")
        return s.VerdictMap(key, model.live)

    def _object_map(self, kind: str, body: Any, path: Path) -> Any:
        only(body, path, "key data")
        key, types = self.expression(body["key"], (*path, "key"))
        return s.ObjectMap(key, self.set_for(body["data"], types, (*path, "data"), kind).live)

    def _fib(self, body: Any, path: Path) -> Any:
        only(body, path, "result flags")
        flags, result = words(body["flags"], (*path, "flags")), word(body["result"], (*path, "result"))
        for flag in flags:
            if flag not in ("saddr", "daddr", "mark", "iif", "oif"):
                raise NftError(f"the flag {flag!r} is not supported", (*path, "flags"))
        if ("saddr" in flags) == ("daddr" in flags) or ("iif" in flags and "oif" in flags):
            raise NftError("fib has one of saddr and daddr, and at most one of iif and oif", (*path, "flags"))
        if result not in ("oif", "oifname", "type"):
            raise NftError(f"fib {result} is not supported", (*path, "result"))
        if result != "type" and "oif" in flags:
            raise NftError("fib with the flag oif gives only a type", path)
        places: tuple[int, ...] = (C.HOOK_PREROUTING, C.HOOK_INPUT, C.HOOK_FORWARD)
        if "oif" in flags:
            places = (C.HOOK_FORWARD, C.HOOK_OUTPUT, C.HOOK_POSTROUTING)
        if result != "type" or "iif" in flags or "oif" in flags:
            self.confined.append((f"fib {' . '.join(flags)} {result}", places))
        code = fib.TYPE if result == "type" else fib.OIF
        made = fib.Fib(self.packets.helper, code, "saddr" in flags, "mark" in flags, "iif" in flags, "oif" in flags)
        return made, [t.FIB_TYPE if result == "type" else t.IFINDEX if result == "oif" else t.IFNAME]

    def _mangle(self, body: Any, path: Path) -> Any:
        only(body, path, "key value")
        key, at = body["key"], (*path, "key")
        if not isinstance(key, dict) or len(key) != 1:
            raise NftError("the key of a mangle statement is an expression", at)
        [(name, what)] = key.items()
        inner = (*at, name)
        if name == "meta":
            return self._set_meta(what, body["value"], inner, (*path, "value"))
        if name == "ct":
            only(what, inner, "key")
            if what["key"] != "mark":
                raise NftError(f"ct {what['key']} cannot be set", inner)
            self.wants_ct = True
            return mangle.SetCtMark(self.typed(body["value"], (*path, "value"), t.MARK))
        if name == "payload":
            return self._set_payload(what, body["value"], inner, (*path, "value"))
        if name == "tcp option":
            kind, field = tcp_option(what, inner)
            if field is None or field[1] not in (1, 2, 4):
                raise NftError("this field of a TCP option cannot be set", inner)
            value = self.typed(body["value"], (*path, "value"), t.integer(field[1] * 8))
            return mangle.SetTcpOption(kind, *field, value)
        raise NftError(f"{name!r} cannot be set", inner)

    def _set_meta(self, what: Any, value: Any, inner: Path, path: Path) -> Any:
        only(what, inner, "key")
        if what["key"] == "mark":
            return mangle.SetMark(self.typed(value, path, t.MARK))
        if what["key"] == "nftrace":
            return mangle.SetTrace(number(value, path, 0, 1) == 1)
        raise NftError(f"meta {what['key']} cannot be set", inner)

    def _set_payload(self, what: Any, value: Any, inner: Path, path: Path) -> Any:
        only(what, inner, "protocol field")
        protocol, field = word(what["protocol"], (*inner, "protocol")), word(what["field"], (*inner, "field"))
        if protocol == "ip" and field in _SETTABLE:
            code, kind = IP_FIELDS[field]
            return mangle.SetNet(code, self.typed(value, path, kind))
        proto, fields = TRANSPORT.get(protocol, (0, {}))
        if field not in fields or field in ("doff", "length", "checksum"):
            raise NftError(f"{protocol} {field} cannot be set", inner)
        offset, size, shift, mask, _, kind = fields[field]
        return mangle.SetTransport(proto, offset, size, shift, mask, self.typed(value, path, kind))

    def typed(self, given: Any, path: Path, kind: DataType) -> Any:
        """Return an expression with one number."""
        found, types = self.expression(given, path, [kind])
        if len(types) != 1:
            raise NftError("one number is needed here, not a concatenation", path)
        return found

    def _reject(self, body: Any, path: Path) -> Any:
        body = body or {}
        only(body, path, "", "type expr")
        kind, code = word(body.get("type", "icmpx"), (*path, "type")), body.get("expr", "port-unreachable")
        self.rejects = True
        if kind == "tcp reset":
            if "expr" in body:
                raise NftError("a reset has no parameter", (*path, "expr"))
            return Reject(self.packets, True, 0)
        codes = {"icmp": names.ICMP_CODES, "icmpx": names.ICMPX_CODES}.get(kind)
        if codes is None or not isinstance(code, (str, int)) or (isinstance(code, str) and code not in codes):
            raise NftError(f"reject with {kind} {code} is not supported", path)
        code = codes[code] if isinstance(code, str) else number(code, path, 0, 15 if kind == "icmp" else 3)
        return Reject(self.packets, False, code if kind == "icmp" else _ICMPX[code])

    def _log(self, body: Any, path: Path) -> Any:
        body = body or {}
        only(body, path, "", "prefix level flags group")
        prefix, level = body.get("prefix", ""), body.get("level", "warn")
        if not isinstance(prefix, str) or len(prefix) > 127:
            raise NftError("a prefix is a text of at most 127 characters", (*path, "prefix"))
        if level not in _LEVELS:
            raise NftError(f"{level!r} is no level", (*path, "level"))
        return Log(self.packets, prefix, level, number(body.get("group", 0), (*path, "group"), 0, 65535))

    def _queue(self, body: Any, path: Path) -> Any:
        body = body or {}
        only(body, path, "", "num flags")
        given, at = body.get("num", 0), (*path, "num")
        flags = words(body.get("flags", []), (*path, "flags"))
        for flag in flags:
            if flag not in ("bypass", "fanout"):
                raise NftError(f"the flag {flag!r} is not supported", (*path, "flags"))
        if isinstance(given, int):
            low = high = number(given, at, 0, 65535)
        else:
            low, high = t.integer(16).interval(given, at)
        self.queues = True
        return Queue(self.packets, low, high, "bypass" in flags)

    def _notrack(self, body: Any, path: Path) -> Any:
        if body is not None:
            raise NftError("notrack has no parameters", path)
        self.wants_ct = True
        return mangle.Notrack()

    # Sets that packets change.

    def _set_update(self, body: Any, path: Path) -> Any:
        only(body, path, "op elem set", "stmt")
        return self._update(body, body["set"], (*path, "set"), None, path)

    def _map_update(self, body: Any, path: Path) -> Any:
        only(body, path, "op elem data map", "stmt")
        return self._update(body, body["map"], (*path, "map"), body["data"], path)

    def _update(self, body: Any, name: Any, name_path: Path, data: Any, path: Path) -> Any:
        ops = {"add": s.ADD, "update": s.UPDATE, "delete": s.DELETE}
        if word(body["op"], (*path, "op")) not in ops:
            raise NftError(f"{body['op']!r} is no operation on a set", (*path, "op"))
        model = self.model(name, name_path)
        elem, at, timeout = body["elem"], (*path, "elem"), 0
        if isinstance(elem, dict) and "elem" in elem:
            only(elem["elem"], (*at, "elem"), "val", "timeout")
            timeout = number(elem["elem"].get("timeout", 0), (*at, "elem", "timeout"), 0, 1 << 32)
            elem, at = elem["elem"]["val"], (*at, "elem", "val")
        key, types = self.expression(elem, at, model.types)
        if model.live.interval or [kind.bits for kind in types] != [kind.bits for kind in model.types]:
            raise NftError(f"the set {model.name} has other keys", at)
        if timeout and "timeout" not in model.flags:
            raise NftError(f"the set {model.name} has no timeouts", at)
        templates = model.templates
        if "stmt" in body:
            templates = self.all_templates(body["stmt"], (*path, "stmt"))
        value = None
        if data is not None:
            if not model.data_types:
                raise NftError(f"{model.name} is no map with numbers", name_path)
            value, _ = self.expression(data, (*path, "data"), model.data_types)
        return s.SetUpdate(model.live, key, ops[body["op"]], timeout * 1_000_000_000, templates, value)

    # Address translation.

    def _nat(self, name: str, body: Any, path: Path) -> Any:
        body = body or {}
        only(body, path, "", "family addr port flags type_flags" if name in ("snat", "dnat") else "port flags")
        if body.get("family", "ip") != "ip":
            raise NftError(f"the family {body['family']!r} is not supported", (*path, "family"))
        if "type_flags" in body:
            raise NftError("the translation of prefixes is not supported", (*path, "type_flags"))
        self.wants_ct = True
        # Where translations may stand is checked when the whole ruleset is known: other chains may jump to this one.
        self.nat_kinds.append(_NAT[name])
        if name in ("snat", "dnat") and "addr" not in body and "port" not in body:
            raise NftError("an address or a port is needed here", path)
        addr, pair = None, False
        if "addr" in body:
            addr, pair = self._nat_address(body["addr"], (*path, "addr"))
        port = self._nat_part(body["port"], (*path, "port"), t.SERVICE) if "port" in body else None
        made = mangle.Translate(_NAT[name], addr, port, pair)
        for flag in words(body.get("flags", []), (*path, "flags")):
            if flag in ("random", "fully-random"):
                made.fully_random = True
            elif flag == "persistent":
                made.persistent = True
            else:
                raise NftError(f"the flag {flag!r} is not supported", (*path, "flags"))
        return made

    def _nat_address(self, given: Any, path: Path) -> tuple[Any, bool]:
        if isinstance(given, dict) and "map" in given:
            found, types = self.expression(given, path)
            if [kind.bits for kind in types] not in ([32], [32, 16]):
                raise NftError("the map must give an address, or an address and a port", path)
            return found, len(types) == 2
        return self._nat_part(given, path, t.ADDRESS), False

    def _nat_part(self, given: Any, path: Path, kind: DataType) -> Any:
        if isinstance(given, dict) and ("range" in given or "prefix" in given):
            return e.Const(kind.interval(given, path))
        return self.typed(given, path, kind)


#: statements, and the methods that read them. A map is an expression, too, which has the method _map.
_METHODS = {
    "match": "_match",
    "vmap": "_vmap",
    "mangle": "_mangle",
    "reject": "_reject",
    "log": "_log",
    "notrack": "_notrack",
    "queue": "_queue",
    "set": "_set_update",
    "map": "_map_update",
}
