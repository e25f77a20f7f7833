"""A rule as nft lists it. The kernel keeps no text, so `nft list` shows what it can conclude from the kernel's instructions.

- A match of the protocol disappears if the next match needs this protocol anyhow: "meta l4proto tcp tcp dport 22".
- A statement that needs a protocol gets a match of it, if nothing else in the rule says so.
- Operations on the bits of a mark become one AND, one XOR and one OR.
- `reject` without a reason gets the one that fits.
"""

from collections.abc import Callable, Iterator
from typing import Any

from pystack.nft import fields as f
from pystack.nft import types as t
from pystack.nft.errors import NftError

_PORTS = ("tcp", "udp", "sctp", "dccp", "udplite")
#: protocols whose headers nft knows
_HEADERS = (*_PORTS, "icmp", "igmp", "esp", "ah", "ipcomp")
_TRANSPORT = ("tcp", "udp", "icmp")
#: the only type of messages that has a field
_ICMP_TYPE = {"mtu": "destination-unreachable", "gateway": "redirect"}
_TERMINAL = ("accept", "drop", "return", "jump", "goto", "reject", "snat", "dnat", "masquerade", "redirect", "queue")
#: (protocol, field) -> first byte and length, of fields that nft joins into one comparison if they are neighbours
_AT = {
    ("ip", "length"): (2, 2),
    ("ip", "id"): (4, 2),
    ("ip", "frag-off"): (6, 2),
    ("ip", "ttl"): (8, 1),
    ("ip", "protocol"): (9, 1),
    ("ip", "checksum"): (10, 2),
    ("tcp", "sport"): (0, 2),
    ("tcp", "dport"): (2, 2),
    ("tcp", "sequence"): (4, 4),
    ("tcp", "ackseq"): (8, 4),
    ("tcp", "flags"): (13, 1),
    ("tcp", "window"): (14, 2),
    ("tcp", "checksum"): (16, 2),
    ("tcp", "urgptr"): (18, 2),
    ("udp", "sport"): (0, 2),
    ("udp", "dport"): (2, 2),
    ("udp", "length"): (4, 2),
    ("udp", "checksum"): (6, 2),
    ("icmp", "type"): (0, 1),
    ("icmp", "code"): (1, 1),
    ("icmp", "checksum"): (2, 2),
    ("icmp", "id"): (4, 2),
    ("icmp", "sequence"): (6, 2),
}


class Rule:
    """Puts the statements of one rule into nft's form.

    `places` has where each statement stands in the text, and `data_of` returns the type of a named map's data.
    """

    def __init__(self, family: str, places: list[Any], data_of: Callable[[str], Any]):
        self.family = family
        self.places = places
        self.data_of = data_of
        self.out: list[Any] = []
        #: the protocol that is known, and the place in `out` of the match that may disappear
        self.transport = ""
        self.either = False
        #: the protocols of a set, one of which is known
        self.several: list[str] = []
        self.pending: int | None = None
        self.network = "ip" if family == "ip" else ""
        self.pending_network: int | None = None

    def listed(self, statements: list[Any]) -> list[Any]:
        """Return the statements in nft's form. Raises NftError if they contradict each other."""
        last = len(statements) - 1
        for at, statement in enumerate(statements):
            try:
                self._check_terminal(statements, at)
                self._take(statement, at == last)
            except NftError as error:
                if error.place is None:
                    error.place = self.places[at]
                raise
        return _joined(_bounded([one for one in self.out if one is not None]))

    def _check_terminal(self, statements: list[Any], at: int) -> None:
        """Refuse a statement behind one that ends the rule."""
        if at and next(iter(statements[at - 1])) in _TERMINAL:
            raise NftError("a statement behind one that ends the rule has no effect")

    def _take(self, statement: Any, last: bool) -> None:
        """Add one statement."""
        kind = next(iter(statement))
        if kind == "match" and self._protocol_match(statement["match"], last):
            return
        network = self.network
        self._need(statement)
        if kind == "mangle":
            statement = {"mangle": statement["mangle"] | {"value": folded(statement["mangle"]["value"])}}
        elif kind == "match":
            statement = {"match": statement["match"] | {"left": folded(statement["match"]["left"])}}
        elif kind == "vmap":
            statement = {"vmap": statement["vmap"] | {"key": folded(statement["vmap"]["key"])}}
        elif kind == "reject":
            statement = self._reject(statement)
        elif kind in ("snat", "dnat", "masquerade", "redirect"):
            statement = self._translation(kind, statement, network)
        self.out.append(statement)
        if kind not in ("match", "vmap"):
            # What stands before a counter counts, so it cannot move behind it.
            self.pending = self.pending_network = None

    def _protocol_match(self, match: Any, last: bool) -> bool:
        """Take a match of a protocol, and return whether it was one."""
        left, right = match["left"], match["right"]
        meta = left.get("meta", {}).get("key") if isinstance(left, dict) else None
        if meta == "nfproto" and self.family != "inet":
            raise NftError("meta nfproto is only for tables of the family inet")
        plain = match["op"] == "==" and isinstance(right, str) and not right.startswith("@")
        if meta == "protocol" and plain and right == "ip" and self.family == "ip":
            # Every packet of this family is one. nft leaves the match out, except at the end of a rule.
            if last and not any(one == {"match": match} for one in self.out):
                self.out.append({"match": match})
            return True
        if meta == "nfproto" and plain:
            self.network = {"ipv4": "ip", "ipv6": "ip6"}.get(right, "")
            self.pending_network = len(self.out)
            self.out.append({"match": match})
            return True
        protocol = left == {"payload": {"protocol": "ip", "field": "protocol"}}
        if meta == "l4proto" or protocol:
            if protocol:
                self._need_network()
            self._transport_match(match["op"], right, removable=not protocol or self.family == "ip")
            self.out.append({"match": match})
            return True
        return False

    def _transport_match(self, relation: str, right: Any, removable: bool) -> None:
        """Note the transport protocol of a match."""
        if relation != "==":
            return
        if isinstance(right, dict) and "set" in right:
            self.several = [one for one in right["set"] if one in _HEADERS]
            self.either = bool(self.several) and all(one in _PORTS for one in right["set"][:1])
        elif isinstance(right, str) and not right.startswith("@"):
            self.transport = right
            self.pending = len(self.out) if removable else None

    def _need(self, statement: Any) -> None:
        """Note the headers that a statement reads, and remove the matches that they make superfluous."""
        for payload in payloads(statement):
            protocol = payload["protocol"]
            if protocol == "th" and self.transport in ("tcp", "udp"):
                payload["protocol"] = protocol = self.transport
            if protocol == "ip":
                self._need_network()
            elif protocol in _TRANSPORT:
                self._need_transport(protocol, payload["field"])

    def _need_network(self) -> None:
        """Note that the IPv4 header is read."""
        if self.network == "ip6":
            raise NftError("the rule asks for IPv6, and reads the IPv4 header")
        self.network = "ip"
        if self.pending_network is not None:
            self.out[self.pending_network] = None
        self.pending_network = None

    def _need_transport(self, protocol: str, field: str) -> None:
        """Note that a transport header is read."""
        other = next((one for one in (self.transport, *self.several) if one not in ("", protocol)), "")
        if other:
            raise NftError(f"conflicting transport protocols: {other} and {protocol}")
        if self.pending is not None:
            self.out[self.pending] = None
            self.pending = None
        self.transport = protocol
        if protocol == "icmp" and field in ("id", "sequence"):
            self._need_echo()
        if protocol == "icmp" and field in _ICMP_TYPE:
            self._need_type(_ICMP_TYPE[field])

    def _need_type(self, kind: str) -> None:
        """Leave out the match of the only type of messages that has a field. nft adds it by itself."""
        match = {"op": "==", "left": {"payload": {"protocol": "icmp", "field": "type"}}, "right": kind}
        if self.out and self.out[-1] == {"match": match}:
            self.out[-1] = None

    def _need_echo(self) -> None:
        """Add the types of messages that have an identifier, unless the rule has a type."""
        kind = {"payload": {"protocol": "icmp", "field": "type"}}
        for one in self.out:
            if one is not None and one.get("match", {}).get("left") == kind:
                right = one["match"]["right"]
                if isinstance(right, str) and right not in ("echo-request", "echo-reply"):
                    raise NftError(f"a message of the type {right} has no identifier and no sequence number")
                return
        self.out.append({"match": {"op": "==", "left": kind, "right": {"set": ["echo-reply", "echo-request"]}}})

    def _reject(self, statement: Any) -> Any:
        """Give a reject the reason that fits, and a TCP reset its protocol."""
        body = statement["reject"]
        inet = self.family == "inet"
        if body is None:
            body = {"type": "icmp" if self.network == "ip" else "icmpx", "expr": "port-unreachable"}
            if self.network == "ip6":
                raise NftError("pystack cannot reject IPv6")
        if body["type"] == "tcp reset":
            other = next((one for one in (self.transport, *self.several) if one not in ("", "tcp")), "")
            if other:
                raise NftError(f"a TCP reset cannot answer {other}")
            if self.pending is not None and not inet:
                self.out[self.pending] = None
            if inet and not self.transport:
                left = {"meta": {"key": "l4proto"}}
                self.out.append({"match": {"op": "==", "left": left, "right": "tcp"}})
        elif body["type"] == "icmp" and self.pending_network is not None:
            self.out[self.pending_network] = None
        return {"reject": body}

    def _translation(self, kind: str, statement: Any, network: str) -> Any:
        """Check that a translation knows its protocols, and put its family where nft shows it.

        `network` is what the rule knew before this statement.
        """
        body = statement[kind]
        if body is None:
            return statement
        if "port" in body and self.transport not in ("tcp", "udp") and not self.either:
            raise NftError(
                f"{kind} with a port needs a match of the transport protocol before it, such as tcp dport 80"
            )
        if kind in ("masquerade", "redirect") or "addr" not in body:
            return statement
        mapped = isinstance(body["addr"], dict) and "map" in body["addr"]
        if mapped and [one["payload"]["protocol"] for one in (body["addr"]["map"]["key"],) if "payload" in one] == [
            "ip"
        ]:
            network = "ip"
        if self.family == "inet":
            if "family" not in body and network != "ip":
                raise NftError(f"{kind} in a table of the family inet needs one: {kind} ip to ...")
            return {kind: {"family": "ip", **{key: value for key, value in body.items() if key != "family"}}}
        body = {key: value for key, value in body.items() if key != "family"}
        if mapped and self._has_port(body["addr"]["map"]["data"]):
            body = {"family": "ip", **body}
        return {kind: body}

    def _has_port(self, data: Any) -> bool:
        """Return whether the data of a map are addresses with ports."""
        if isinstance(data, str):
            return isinstance(self.data_of(data[1:]), list)
        return bool(data["set"]) and isinstance(data["set"][0][1], dict) and "concat" in data["set"][0][1]


def payloads(json: Any) -> Iterator[dict[str, Any]]:
    """Yield the header fields that a JSON value reads, in its order."""
    if isinstance(json, list):
        for one in json:
            yield from payloads(one)
    elif isinstance(json, dict):
        if "payload" in json:
            yield json["payload"]
        else:
            for one in json.values():
                yield from payloads(one)


def folded(json: Any) -> Any:
    """Return operations with constants on a field as one AND, one XOR and one OR, as the kernel keeps them."""
    steps = []
    field = json
    while isinstance(field, dict) and len(field) == 1 and next(iter(field)) in ("&", "|", "^"):
        sign, (inner, constant) = next(iter(field.items()))
        steps.append((sign, constant))
        field = inner
    if not steps:
        return json
    types = f.type_of(field)
    if not isinstance(types, t.Type):
        return json
    full = types.limit()
    mask, flip = full, 0
    for sign, constant in reversed(steps):
        number = t.number(types, constant)
        if sign == "&":
            mask, flip = mask & number, flip & number
        elif sign == "|":
            mask, flip = mask & ~number, (flip & ~number) | number
        else:
            flip ^= number
    return _unfolded(field, types, mask, flip)


def _unfolded(field: Any, types: t.Type, mask: int, flip: int) -> Any:
    """Return (field & mask) ^ flip in the operators that nft lists."""
    either = (mask & flip) ^ flip
    flip &= mask
    mask |= either
    if mask != types.limit():
        field = {"&": [field, t.value(types, mask)]}
    if flip:
        field = {"^": [field, t.value(types, flip)]}
    return {"|": [field, t.value(types, either)]} if either else field


def _place(statement: Any) -> tuple[str, int, int] | None:
    """Return the header, the first byte and the length that a statement compares with one value, or None."""
    match = statement.get("match")
    if match is None or match["op"] != "==" or not isinstance(match["left"], dict):
        return None
    payload = match["left"].get("payload")
    right = match["right"]
    if payload is None or isinstance(right, (dict, list)) or (isinstance(right, str) and right.startswith("@")):
        return None
    at = _AT.get((payload["protocol"], payload["field"]))
    return None if at is None else (payload["protocol"], *at)


def _bounded(statements: list[Any]) -> list[Any]:
    """Return the statements with `field >= low` and `field <= high` behind it as a range."""
    out: list[Any] = []
    for statement in statements:
        one, other = (out[-1] if out else {}).get("match"), statement.get("match")
        if one and other and (one["op"], other["op"]) == (">=", "<=") and one["left"] == other["left"]:
            out[-1] = {"match": {"op": "==", "left": one["left"], "right": {"range": [one["right"], other["right"]]}}}
        else:
            out.append(statement)
    return out


def _joined(statements: list[Any]) -> list[Any]:
    """Return the statements with neighbouring fields in the order of the header, which nft compares in one step.

    A step has at most four bytes, and stands at the place of its first field. nft looks for neighbours between two statements that are no matches.
    """
    out: list[Any] = []
    run: list[Any] = []
    for statement in [*statements, None]:
        if statement is not None and "match" in statement:
            run.append(statement)
        else:
            out += [*_joined_run(run), *([] if statement is None else [statement])]
            run = []
    return out


def _joined_run(matches: list[Any]) -> list[Any]:
    """Return matches with neighbouring fields beside each other."""
    found = [(place, at) for at, match in enumerate(matches) if (place := _place(match)) is not None]
    groups: list[list[int]] = []
    end: tuple[str, int] | None = None
    size = 0
    for (header, first, length), at in sorted(found):
        if (header, first) == end and size + length <= 4:
            groups[-1].append(at)
            size += length
        else:
            groups.append([at])
            size = length
        end = header, first + length
    moved = {at for group in groups for at in group[1:]}
    follow = {group[0]: group[1:] for group in groups}
    out: list[Any] = []
    for at, match in enumerate(matches):
        if at not in moved:
            out += [match, *(matches[other] for other in follow.get(at, []))]
    return out
