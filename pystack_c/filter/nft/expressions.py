"""From nft's JSON to expressions (libnftables-json(5), "EXPRESSIONS"). An expression that is not supported raises NftError."""

from typing import Any

import pystack_c.const as C
from pystack_c.filter.nft import datatypes as t
from pystack_c.filter.nft import exprs as e
from pystack_c.filter.nft.datatypes import DataType
from pystack_c.filter.nft.errors import NftError
from pystack_c.filter.nft.numgen import Counting, Drawing, Hash

Path = tuple[Any, ...]
Typed = tuple[e.Expr, list[DataType]]
_ECHO = (0, 8)

IP_FIELDS = {
    "version": (e.VERSION, t.integer(4)),
    "hdrlength": (e.HDRLENGTH, t.integer(4)),
    "dscp": (e.DSCP, t.DSCP_TYPE),
    "ecn": (e.ECN, t.ECN_TYPE),
    "length": (e.LENGTH, t.integer(16)),
    "id": (e.ID, t.integer(16)),
    "frag-off": (e.FRAG_OFF, t.integer(16)),
    "ttl": (e.TTL, t.integer(8)),
    "protocol": (e.PROTOCOL, t.PROTOCOL),
    "checksum": (e.CHECKSUM, t.integer(16)),
    "saddr": (e.SADDR, t.ADDRESS),
    "daddr": (e.DADDR, t.ADDRESS),
}
#: protocol -> (number, field -> (offset in bytes, size, shift, mask, ICMP types that have it, type))
_PORTS: dict[str, Any] = {"sport": (0, 2, 0, 0xFFFF, None, t.SERVICE), "dport": (2, 2, 0, 0xFFFF, None, t.SERVICE)}
TRANSPORT: dict[str, tuple[int, dict[str, Any]]] = {
    "tcp": (
        C.IPPROTO_TCP,
        {
            **_PORTS,
            "sequence": (4, 4, 0, 0xFFFFFFFF, None, t.integer(32)),
            "ackseq": (8, 4, 0, 0xFFFFFFFF, None, t.integer(32)),
            "doff": (12, 1, 4, 0xF, None, t.integer(4)),
            "reserved": (12, 1, 0, 0xF, None, t.integer(4)),
            "flags": (13, 1, 0, 0xFF, None, t.FLAGS),
            "window": (14, 2, 0, 0xFFFF, None, t.integer(16)),
            "checksum": (16, 2, 0, 0xFFFF, None, t.integer(16)),
            "urgptr": (18, 2, 0, 0xFFFF, None, t.integer(16)),
        },
    ),
    "udp": (
        C.IPPROTO_UDP,
        {
            **_PORTS,
            "length": (4, 2, 0, 0xFFFF, None, t.integer(16)),
            "checksum": (6, 2, 0, 0xFFFF, None, t.integer(16)),
        },
    ),
    "sctp": (132, {**_PORTS}),
    "udplite": (136, {**_PORTS}),
    "dccp": (33, {**_PORTS}),
    "th": (0, {**_PORTS}),
    "icmp": (
        C.IPPROTO_ICMP,
        {
            "type": (0, 1, 0, 0xFF, None, t.ICMP_TYPE),
            "code": (1, 1, 0, 0xFF, None, t.ICMP_CODE),
            "checksum": (2, 2, 0, 0xFFFF, None, t.integer(16)),
            "id": (4, 2, 0, 0xFFFF, _ECHO, t.integer(16)),
            "sequence": (6, 2, 0, 0xFFFF, _ECHO, t.integer(16)),
            "gateway": (4, 4, 0, 0xFFFFFFFF, (5,), t.integer(32)),
            "mtu": (6, 2, 0, 0xFFFF, (3,), t.integer(16)),
        },
    ),
}
ETHER_FIELDS = {"saddr": (0, t.ETHER), "daddr": (1, t.ETHER), "type": (2, t.ETHERTYPE)}
#: TCP option -> (kind, field -> (offset, size))
OPTIONS: dict[str, tuple[int, dict[str, tuple[int, int]]]] = {
    "eol": (0, {}),
    "nop": (1, {}),
    "maxseg": (2, {"length": (1, 1), "size": (2, 2)}),
    "window": (3, {"length": (1, 1), "count": (2, 1)}),
    "sack-perm": (4, {"length": (1, 1)}),
    "sack-permitted": (4, {"length": (1, 1)}),
    "sack": (5, {"length": (1, 1), "left": (2, 4), "right": (6, 4)}),
    "timestamp": (8, {"length": (1, 1), "tsval": (2, 4), "tsecr": (6, 4)}),
    "md5sig": (19, {"length": (1, 1)}),
    "mptcp": (30, {"length": (1, 1)}),
    "fastopen": (34, {"length": (1, 1)}),
}
META: dict[str, tuple[int, DataType]] = {
    "length": (e.M_LENGTH, t.integer(32)),
    "nfproto": (e.M_NFPROTO, t.NFPROTO),
    "l4proto": (e.M_L4PROTO, t.PROTOCOL),
    "protocol": (e.M_PROTOCOL, t.ETHERTYPE),
    "mark": (e.M_MARK, t.MARK),
    "iif": (e.M_IIFNAME, t.IFINDEX),
    "oif": (e.M_OIFNAME, t.IFINDEX),
    "iifname": (e.M_IIFNAME, t.IFNAME),
    "oifname": (e.M_OIFNAME, t.IFNAME),
    "pkttype": (e.M_PKTTYPE, t.PKTTYPE),
    "random": (e.M_RANDOM, t.integer(32)),
}
CT: dict[str, tuple[int, DataType]] = {
    "state": (e.CT_STATE, t.STATE),
    "status": (e.CT_STATUS, t.STATUS),
    "mark": (e.CT_MARK, t.MARK),
    "direction": (e.CT_DIRECTION, t.DIRECTION),
    "l3proto": (e.CT_L3PROTO, t.NFPROTO),
    "protocol": (e.CT_PROTOCOL, t.PROTOCOL),
    "expiration": (e.CT_EXPIRATION, t.TIME),
    "packets": (e.CT_PACKETS, t.integer(64)),
    "bytes": (e.CT_BYTES, t.integer(64)),
}
CT_TUPLE: dict[str, tuple[int, DataType]] = {
    "ip saddr": (e.T_SADDR, t.ADDRESS),
    "ip daddr": (e.T_DADDR, t.ADDRESS),
    "saddr": (e.T_SADDR, t.ADDRESS),
    "daddr": (e.T_DADDR, t.ADDRESS),
    "proto-src": (e.T_SPORT, t.SERVICE),
    "proto-dst": (e.T_DPORT, t.SERVICE),
    "packets": (e.T_PACKETS, t.integer(64)),
    "bytes": (e.T_BYTES, t.integer(64)),
}
_BINARY = {"&": e.AND, "|": e.OR, "^": e.XOR, "<<": e.LEFT, ">>": e.RIGHT}


def only(given: Any, path: Path, needed: str, allowed: str = "", more: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return a JSON object after a look at its names: `needed` must be there, `allowed` and `more` may be, and nothing else."""
    if not isinstance(given, dict):
        raise NftError(f"an object with {needed or allowed or 'names'} is needed here", path)
    for name in needed.split():
        if name not in given:
            raise NftError(f"{name!r} is missing", path)
    known = needed.split() + allowed.split()
    for name in given:
        if name not in known and name not in more:
            raise NftError(f"{name!r} is not known here", (*path, name))
    return given


def number(given: Any, path: Path, low: int, high: int) -> int:
    """Return an integer in a range."""
    if not isinstance(given, int) or isinstance(given, bool) or not low <= given <= high:
        raise NftError(f"{given!r} is not an integer in {low}..{high}", path)
    return given


def word(given: Any, path: Path) -> str:
    """Return a text."""
    if not isinstance(given, str):
        raise NftError(f"{given!r} is no text", path)
    return given


def words(given: Any, path: Path) -> list[str]:
    """Return texts from a list of them, or from one alone."""
    return [word(one, path) for one in (given if isinstance(given, list) else [given])]


class ExpressionBuilder:
    """Makes expressions. `wants_ct` is set if one of them needs connection tracking."""

    def __init__(self) -> None:
        self.wants_ct = False

    def expression(self, given: Any, path: Path, wanted: list[DataType] | None = None) -> Typed:
        """Return the expression and its types. `wanted` are the types of a constant."""
        if not isinstance(given, dict) or len(given) != 1:
            return self._constant(given, path, wanted)
        [(name, body)] = given.items()
        inner = (*path, name)
        made = getattr(self, "_" + name.replace(" ", "_"), None) if name in _KNOWN else None
        if made is not None:
            found: Typed = made(body, inner)
            return found
        if name == "concat":
            return self._concat(body, inner, wanted)
        if name == "map":
            return self._map(body, inner, wanted)
        if name in _BINARY:
            if wanted is not None and is_constant(given):
                return self._constant(given, path, wanted)
            return self._binary(name, body, inner, wanted)
        if name in ("prefix", "range", "set", "elem"):
            raise NftError(f"a {name} cannot stand here", inner)
        raise NftError(f"the expression {name!r} is not supported", inner)

    def _constant(self, given: Any, path: Path, wanted: list[DataType] | None) -> Typed:
        if wanted is None:
            raise NftError(f"{given!r} is a constant without a type here", path)
        if len(wanted) != 1:
            raise NftError(f"a concatenation of {len(wanted)} parts is needed here", path)
        return e.Const(wanted[0].constant(given, path)), wanted

    def _concat(self, body: Any, path: Path, wanted: list[DataType] | None) -> Typed:
        if not isinstance(body, list) or len(body) < 2:
            raise NftError("a concatenation has two parts or more", path)
        if wanted is not None and len(wanted) != len(body):
            raise NftError(f"a concatenation of {len(wanted)} parts is needed here", path)
        parts, types = [], []
        for i, one in enumerate(body):
            part, kinds = self.expression(one, (*path, i), None if wanted is None else [wanted[i]])
            parts.append(part)
            types += kinds
        if len(types) != len(parts):
            raise NftError("a concatenation cannot contain another one", path)
        return e.Concat(parts, [kind.size for kind in types]), types

    def _binary(self, name: str, body: Any, path: Path, wanted: list[DataType] | None) -> Typed:
        if not isinstance(body, list) or len(body) < 2:
            raise NftError(f"{name} has two operands or more", path)
        left, types = self.expression(body[0], (*path, 0), wanted)
        for i in range(1, len(body)):
            kinds = [t.integer(32)] if name in ("<<", ">>") else types
            right, _ = self.expression(body[i], (*path, i), kinds)
            left = e.Binary(_BINARY[name], left, right)
        return left, types

    def _map(self, body: Any, path: Path, wanted: list[DataType] | None) -> Typed:
        raise NotImplementedError

    def _fib(self, body: Any, path: Path) -> Typed:
        raise NotImplementedError

    def _payload(self, body: Any, path: Path) -> Typed:
        if isinstance(body, dict) and "base" in body:
            only(body, path, "base offset len")
            offset, bits = (
                number(body["offset"], (*path, "offset"), 0, 2040),
                number(body["len"], (*path, "len"), 1, 128),
            )
            if body["base"] not in ("nh", "th"):
                raise NftError(f"the base {body['base']!r} is not supported, only nh and th", (*path, "base"))
            return e.RawField(body["base"] == "nh", offset, bits), [t.integer(bits)]
        only(body, path, "protocol field")
        protocol, field = word(body["protocol"], (*path, "protocol")), word(body["field"], (*path, "field"))
        if protocol == "ip" and field in IP_FIELDS:
            code, kind = IP_FIELDS[field]
            return e.NetField(code), [kind]
        if protocol == "ether" and field in ETHER_FIELDS:
            code, kind = ETHER_FIELDS[field]
            return e.EtherField(code), [kind]
        proto, fields = TRANSPORT.get(protocol, (0, {}))
        if field not in fields:
            raise NftError(f"the field {protocol} {field} is not supported", path)
        offset, size, shift, mask, types, kind = fields[field]
        return e.TransportField(proto, offset, size, shift, mask, types), [kind]

    def _tcp_option(self, body: Any, path: Path) -> Typed:
        kind, field = tcp_option(body, path)
        if field is None:
            return e.HasTcpOption(kind), [t.BOOLEAN]
        return e.OptionField(kind, *field), [t.integer(field[1] * 8)]

    def _meta(self, body: Any, path: Path) -> Typed:
        only(body, path, "key")
        key = word(body["key"], (*path, "key"))
        if key not in META:
            raise NftError(f"meta {key} is not supported", (*path, "key"))
        code, kind = META[key]
        return e.Meta(code), [kind]

    def _ct(self, body: Any, path: Path) -> Typed:
        only(body, path, "key", "dir family")
        self.wants_ct = True
        key, way, family = word(body["key"], (*path, "key")), body.get("dir"), body.get("family", "ip")
        if family != "ip":
            raise NftError(f"the family {family!r} is not supported", (*path, "family"))
        if way is None:
            if key not in CT:
                raise NftError(f"ct {key} is not supported", (*path, "key"))
            code, kind = CT[key]
            return e.Ct(code), [kind]
        if way not in ("original", "reply"):
            raise NftError(f"{way!r} is no direction", (*path, "dir"))
        if key not in CT_TUPLE:
            raise NftError(f"ct {way} {key} is not supported", (*path, "key"))
        code, kind = CT_TUPLE[key]
        return e.CtTuple(code, C.CT_ORIGINAL if way == "original" else C.CT_REPLY), [kind]

    def _rt(self, body: Any, path: Path) -> Typed:
        only(body, path, "key", "family")
        if body.get("family", "ip") != "ip" or body["key"] not in ("mtu", "nexthop"):
            raise NftError(f"rt {body['key']} is not supported", path)
        return e.Rt(body["key"] == "mtu"), [t.integer(16) if body["key"] == "mtu" else t.ADDRESS]

    def _numgen(self, body: Any, path: Path) -> Typed:
        only(body, path, "mode mod", "offset")
        modulus = number(body["mod"], (*path, "mod"), 1, 0xFFFFFFFF)
        offset = number(body.get("offset", 0), (*path, "offset"), 0, 0xFFFFFFFF - modulus + 1)
        if body["mode"] not in ("inc", "random"):
            raise NftError("the mode is inc or random", (*path, "mode"))
        made = Counting(modulus, offset) if body["mode"] == "inc" else Drawing(modulus, offset)
        return made, [t.integer(32)]

    def _jhash(self, body: Any, path: Path) -> Typed:
        only(body, path, "mod expr", "offset seed")
        modulus = number(body["mod"], (*path, "mod"), 1, 0xFFFFFFFF)
        offset = number(body.get("offset", 0), (*path, "offset"), 0, 0xFFFFFFFF - modulus + 1)
        seed = number(body.get("seed", 0), (*path, "seed"), 0, 0xFFFFFFFF)
        inner, types = self.expression(body["expr"], (*path, "expr"))
        if any(kind.kind == "name" for kind in types):
            raise NftError("a hash of names of interfaces is not supported", (*path, "expr"))
        if any(kind in (t.MARK, t.STATE) or kind.bits % 8 for kind in types):
            raise NftError("a hash of a value in the byte order of the machine is not supported", (*path, "expr"))
        return Hash(inner, [kind.size for kind in types], modulus, seed, offset), [t.integer(32)]


_KNOWN = ("payload", "tcp option", "meta", "ct", "rt", "numgen", "jhash", "fib")


def tcp_option(body: Any, path: Path) -> tuple[int, tuple[int, int] | None]:
    """Return the kind of a TCP option, and (offset, size) of its field, or None for the option itself."""
    only(body, path, "name", "field")
    name, field = word(body["name"], (*path, "name")), body.get("field")
    if name not in OPTIONS:
        raise NftError(f"the TCP option {name!r} is not supported", (*path, "name"))
    kind, fields = OPTIONS[name]
    if field is None or field == "kind":
        return kind, None
    if word(field, (*path, "field")) not in fields:
        raise NftError(f"the field {field!r} of the TCP option {name} is not supported", (*path, "field"))
    return kind, fields[field]


def is_constant(given: Any) -> bool:
    """Return True if the JSON is a constant: it reads nothing from a packet."""
    if isinstance(given, dict):
        return list(given) == ["|"] and isinstance(given["|"], list) and all(is_constant(one) for one in given["|"])
    return not isinstance(given, list) or all(is_constant(one) for one in given)
