"""`ip route` and `ip rule` for a stack, with the words and the output of Linux's command.

`run(host, words)` is one command. It changes the stack by Host.setup, so a recording contains the change, and it returns the
lines that the command prints. A wrong command raises IpError, and a refused one raises it with the kernel's words.
"""

import errno
import ipaddress
import os
from typing import Any, NamedTuple

import pystack_c.const as C
from pystack.addresses import parse_addr
from pystack_c.base.address import addr_text
from pystack_c.ip import routing
from pystack_c.ip.policy import DEFAULT_PRIORITY, MAIN_PRIORITY

#: the names of tables
TABLES = {"local": C.RT_TABLE_LOCAL, "main": C.RT_TABLE_MAIN, "default": C.RT_TABLE_DEFAULT}
#: the types of routes; all but unicast reject packets
TYPES = {
    "unicast": C.RT_UNICAST,
    "blackhole": C.RT_BLACKHOLE,
    "unreachable": C.RT_UNREACHABLE,
    "prohibit": C.RT_PROHIBIT,
    "throw": C.RT_THROW,
}
_TABLE_NAMES = {number: name for name, number in TABLES.items()}
_TYPE_NAMES = {number: name for name, number in TYPES.items()}
_REFUSALS = {name: TYPES[name] for name in ("blackhole", "unreachable", "prohibit")}
#: words of a route with a value that has no meaning here
_IGNORED = ("proto", "protocol", "scope", "realm", "realms")


class IpError(ValueError):
    """The command is wrong, or the stack refused it."""


class HopWords(NamedTuple):
    """A next hop as it was written."""

    gateway: int
    iface: Any
    weight: int


class RouteWords:
    """A route as it was written. `kind` 0 means that no type was given, and `metric` -1 no metric."""

    def __init__(self) -> None:
        self.dst = 0
        self.length = 0
        self.kind = 0
        self.gateway = 0
        self.iface: Any = None
        self.src = 0
        self.metric = -1
        self.table = C.RT_TABLE_MAIN
        self.metrics = {"mtu": 0, "advmss": 0, "initcwnd": 0}
        self.hops: list[HopWords] = []


class _Words:
    """The words of a command, taken one after the other."""

    def __init__(self, stack: Any, words: list[str]):
        self.stack = stack
        self.words = words
        self.at = 0

    def more(self) -> bool:
        return self.at < len(self.words)

    def peek(self) -> str:
        return self.words[self.at] if self.more() else ""

    def take(self, what: str) -> str:
        if not self.more():
            raise IpError(f"the command ends where {what} should follow")
        self.at += 1
        return self.words[self.at - 1]

    def number(self, what: str, most: int = C.M32) -> int:
        word = self.take(what)
        try:
            value = int(word, 0)
        except ValueError:
            value = -1
        if not 0 <= value <= most:
            raise IpError(f"{what}: {word!r} is not a number in 0..{most}")
        return value

    def table(self) -> int:
        word = self.peek()
        if word in TABLES:
            self.at += 1
            return TABLES[word]
        number = self.number("the number of a table")
        return number if number else C.RT_TABLE_MAIN

    def addr(self, what: str) -> int:
        word = self.take(what)
        try:
            return parse_addr(word)
        except ValueError:
            raise IpError(f"{what}: {word!r} is not an IPv4 address") from None

    def prefix(self, what: str, strict: bool = False) -> tuple[int, int]:
        word = self.take(what)
        if word in ("default", "all", "any"):
            return 0, 0
        try:
            found = ipaddress.IPv4Interface(word)
        except ValueError:
            raise IpError(f"{what}: {word!r} is not an IPv4 prefix") from None
        if strict and found.ip != found.network.network_address:
            raise IpError(f"RTNETLINK answers: {os.strerror(errno.EINVAL)}")
        return parse_addr(str(found.network.network_address)), found.network.prefixlen

    def iface(self) -> Any:
        word = self.take("the name of an interface")
        try:
            return self.stack.iface(word)
        except KeyError:
            raise IpError(f'Cannot find device "{word}"') from None


def run(host: Any, words: list[str]) -> list[str]:
    """Run one command, such as ["route", "add", "10.1.0.0/16", "via", "10.0.0.2"], and return the lines that it prints."""
    args = _Words(host.stack, _plain(words))
    noun = args.take("`route` or `rule`")
    verb = args.take("a command") if args.more() else "show"
    try:
        if _short(noun, "route"):
            return _route(host, verb, args)
        if _short(noun, "rule"):
            return _rule(host, verb, args)
    except OSError as error:
        number = errno.ESRCH if error.errno is None else error.errno
        raise IpError(f"RTNETLINK answers: {os.strerror(number)}") from None
    raise IpError(f"{noun!r} is neither `route` nor `rule`")


def changes(words: list[str]) -> bool:
    """Return True if the command changes the stack."""
    plain = _plain(words)
    return len(plain) > 1 and not _shows(plain[1]) and not _short(plain[1], "get")


def _plain(words: list[str]) -> list[str]:
    """Return the words of a command without the name of the program and the options that change nothing here."""
    words = [word for word in words if word not in ("-4", "-n")]
    return words[1:] if words[:1] == ["ip"] else words


def _short(word: str, full: str) -> bool:
    """Return True for a word or its beginning, as `ip` accepts it. `ru` is the shortest form of `rule`."""
    return full.startswith(word) and (len(word) > 1 or full == "route") if word else False


def _shows(verb: str) -> bool:
    """Return True for the commands that only print."""
    return any(_short(verb, full) for full in ("show", "list", "lst"))


def _route(host: Any, verb: str, args: _Words) -> list[str]:
    if _short(verb, "get"):
        return [route_get(host, args)]
    if _shows(verb):
        return _show_routes(args)
    if verb in ("add", "a", "replace", "change"):
        _add_route(host, _parse_route(args), verb in ("replace", "change"))
    elif _short(verb, "delete"):
        _del_route(host, _parse_route(args))
    elif _short(verb, "flush"):
        _flush_routes(host, args)
    else:
        raise IpError(f"ip route: {verb!r} is not a command; use add, replace, del, flush, show or get")
    return []


def _parse_route(args: _Words) -> RouteWords:
    found = RouteWords()
    if args.peek() in TYPES:
        found.kind = TYPES[args.take("a type")]
    found.dst, found.length = args.prefix("the destination", strict=True)
    while args.more():
        word = args.take("a word")
        if word == "via":
            found.gateway = args.addr("the gateway")
        elif word == "dev":
            found.iface = args.iface()
        elif word == "src":
            found.src = args.addr("the source address")
        elif word in ("metric", "preference", "priority"):
            found.metric = args.number("the metric")
        elif word == "table":
            found.table = args.table()
        elif word in found.metrics:
            found.metrics[word] = args.number(word)
        elif word == "nexthop":
            found.hops.append(_parse_hop(args))
        elif word in _IGNORED:
            args.take(f"the value of {word}")
        elif word != "onlink":
            raise IpError(f"ip route: the word {word!r} is not known")
    return found


def _parse_hop(args: _Words) -> HopWords:
    gateway, iface, weight = 0, None, 1
    while args.peek() in ("via", "dev", "weight", "onlink"):
        word = args.take("a word")
        if word == "via":
            gateway = args.addr("the gateway")
        elif word == "dev":
            iface = args.iface()
        elif word == "weight":
            weight = args.number("the weight", 256)
    if not gateway and iface is None:
        raise IpError("ip route: a nexthop needs `via ADDRESS` or `dev INTERFACE`")
    return HopWords(gateway, iface, weight)


def _add_route(host: Any, new: RouteWords, replace: bool) -> None:
    kind = new.kind or C.RT_UNICAST
    metrics = new.metrics["mtu"], new.metrics["advmss"], new.metrics["initcwnd"]
    hops = tuple(tuple(hop) for hop in new.hops)
    metric = max(0, new.metric)
    if kind == C.RT_UNICAST and not hops and new.iface is None and not new.gateway:
        raise IpError(f"RTNETLINK answers: {os.strerror(errno.ENODEV)}")
    try:
        host.setup(
            "add_route", new.dst, new.length, new.gateway, new.iface, metric, new.src, kind, *metrics, replace, new.table, hops
        )  # fmt: skip
    except ValueError as error:
        raise IpError(f"Error: {error}.") from None


def _fits(route: Any, old: RouteWords) -> bool:
    return (
        (old.kind == 0 or route.kind == old.kind)
        and (not old.gateway or route.gateway == old.gateway)
        and (old.iface is None or route.iface is old.iface)
        and (old.metric < 0 or route.metric == old.metric)
    )


def _del_route(host: Any, old: RouteWords) -> None:
    """Remove the first route that fits, as the kernel does."""
    if old.table not in all_tables(host.stack):
        raise IpError("Error: FIB table does not exist.")
    for route in _routes(host.stack, old.table):
        if route.dst == old.dst and route.prefixlen == old.length and _fits(route, old):
            host.setup("del_route", old.dst, old.length, -1, None, old.table, route.metric)
            return
    raise ProcessLookupError(errno.ESRCH, "there is no such route")


def _flush_routes(host: Any, args: _Words) -> None:
    if args.take("`table`") != "table":
        raise IpError("ip route flush: only `table TABLE` is supported")
    number = args.table()
    for route in _routes(host.stack, number):
        host.setup("del_route", route.dst, route.prefixlen, -1, None, number, route.metric)


def _routes(stack: Any, table: int) -> list[Any]:
    if table == C.RT_TABLE_MAIN:
        return list(stack.routes.all())
    found = None if stack.policy is None else stack.policy.tables.get(table)
    return [] if found is None else list(found.all())


def _show_routes(args: _Words) -> list[str]:
    stack, table, every = args.stack, C.RT_TABLE_MAIN, False
    while args.more():
        word = args.take("a word")
        if word != "table":
            raise IpError(f"ip route show: the word {word!r} is not known")
        if args.peek() == "all":
            args.take("`all`")
            every = True
        else:
            table = args.table()
    lines = []
    for number in sorted(all_tables(stack)) if every else [table]:
        for route in reversed(_routes(stack, number)):
            if route.iface is not stack.lo:
                lines += route_lines(route, every)
    return lines


def all_tables(stack: Any) -> list[int]:
    """Return the numbers of the tables of a stack, without the table local."""
    return [C.RT_TABLE_MAIN] if stack.policy is None else list(stack.policy.tables)


def table_name(number: int) -> str:
    """Return the name of a table, or its number."""
    return _TABLE_NAMES.get(number, str(number))


def prefix_text(dst: int, length: int) -> str:
    """Return a prefix as `ip` writes it: "default", an address, or an address with a length."""
    if length == 0:
        return "default"
    return addr_text(dst) if length == 32 else f"{addr_text(dst)}/{length}"


def route_lines(route: Any, with_table: bool = False) -> list[str]:
    """Return the lines of `ip route show` about one route."""
    words = [] if route.kind == C.RT_UNICAST else [_TYPE_NAMES[route.kind]]
    words.append(prefix_text(route.dst, route.prefixlen))
    if route.hops is None and route.kind == C.RT_UNICAST:
        words += _way(route.gateway, route.iface)
    if with_table and route.table != C.RT_TABLE_MAIN:
        words += ["table", table_name(route.table)]
    if route.hops is None and route.kind == C.RT_UNICAST and not route.gateway:
        words += ["scope", "link"]
    if route.src:
        words += ["src", addr_text(route.src)]
    if route.metric:
        words += ["metric", str(route.metric)]
    for name in ("mtu", "advmss", "initcwnd"):
        if getattr(route, name):
            words += [name, str(getattr(route, name))]
    lines = [" ".join(words)]
    for hop in route.hops or ():
        lines.append("\tnexthop " + " ".join([*_way(hop.gateway, hop.iface), "weight", str(hop.weight)]))
    return lines


def _way(gateway: int, iface: Any) -> list[str]:
    return ["via", addr_text(gateway), "dev", iface.name] if gateway else ["dev", iface.name]


def route_get(host: Any, args: _Words) -> str:
    """Return the line of `ip route get`. It changes nothing, neither caches nor random numbers."""
    stack = args.stack
    if args.peek() == "to":
        args.take("`to`")
    addr = args.addr("the destination")
    src = mark = proto = sport = dport = 0
    iif = oif = None
    while args.more():
        word = args.take("a word")
        if word == "from":
            src = args.addr("the source address")
        elif word == "iif":
            iif = args.iface()
        elif word in ("oif", "dev"):
            oif = args.iface()
        elif word == "mark":
            mark = args.number("the mark")
        elif word == "ipproto":
            name = args.take("a protocol")
            proto = {"tcp": C.IPPROTO_TCP, "udp": C.IPPROTO_UDP}.get(name, 0)
        elif word == "sport":
            sport = args.number("the port", 65535)
        elif word == "dport":
            dport = args.number("the port", 65535)
        else:
            raise IpError(f"ip route get: the word {word!r} is not known")
    dst = routing.decide(stack, addr, src, oif, mark, iif, proto, sport, dport)
    if dst is None:
        raise OSError(stack.route_error, "there is no route")
    words = ["local"] if dst.kind == C.DST_LOCAL else []
    words += ["broadcast"] if dst.kind == C.DST_BROADCAST else []
    words += ["multicast"] if dst.kind == C.DST_MULTICAST else []
    words.append(addr_text(addr))
    if src:
        words += ["from", addr_text(src)]
    words += _way(0 if dst.next_hop == addr else dst.next_hop, dst.iface)
    if dst.route is not None and dst.route.table != C.RT_TABLE_MAIN:
        words += ["table", table_name(dst.route.table)]
    if not src:
        words += ["src", addr_text(dst.src)]
    if mark:
        words += ["mark", hex(mark)]
    if iif is not None:
        words += ["iif", iif.name]
    return " ".join(words)


def _rule(host: Any, verb: str, args: _Words) -> list[str]:
    if _shows(verb):
        return rule_lines(host.stack)
    if verb in ("add", "a"):
        _add_rule(host, args)
    elif _short(verb, "delete"):
        values = _parse_rule(args)
        host.setup("del_rule", *[values[name] for name in _RULE[:12]])
    elif _short(verb, "flush"):
        policy = host.stack.policy
        priorities = [MAIN_PRIORITY, DEFAULT_PRIORITY] if policy is None else [rule.priority for rule in policy.rules]
        for priority in priorities:
            host.setup("del_rule", priority)
    else:
        raise IpError(f"ip rule: {verb!r} is not a command; use add, del, flush or show")
    return []


#: the arguments of Stack.add_rule, in their order
_RULE = (
    "priority", "table", "action", "src", "src_length", "dst", "dst_length", "mark", "mask", "iif", "oif", "invert", "suppress",
    "target",
)  # fmt: skip


def _parse_rule(args: _Words) -> dict[str, Any]:
    found: dict[str, Any] = dict.fromkeys(_RULE, 0)
    found.update(priority=-1, action=C.RULE_TABLE, iif=None, oif=None, invert=False, suppress=-1)
    while args.more():
        word = args.take("a word")
        if word in ("from", "to"):
            side = "src" if word == "from" else "dst"
            found[side], found[side + "_length"] = args.prefix(f"the prefix of {word}")
        elif word in ("priority", "preference", "order", "pref", "prio"):
            found["priority"] = args.number("the priority")
        elif word in ("table", "lookup"):
            found["table"] = args.table()
        elif word == "fwmark":
            found["mark"], found["mask"] = _mark(args)
        elif word in ("iif", "dev", "oif"):
            found["oif" if word == "oif" else "iif"] = args.iface()
        elif word == "not":
            found["invert"] = True
        elif word == "goto":
            found["action"], found["target"] = C.RULE_GOTO, args.number("the priority")
        elif word == "nop":
            found["action"] = C.RULE_NOP
        elif word in _REFUSALS:
            found["action"] = _REFUSALS[word]
        elif word in ("suppress_prefixlength", "sup_pl"):
            found["suppress"] = args.number("a prefix length", 32)
        else:
            raise IpError(f"ip rule: the word {word!r} is not known")
    return found


def _mark(args: _Words) -> tuple[int, int]:
    value, _, mask = args.take("a mark").partition("/")
    try:
        return int(value, 0), int(mask, 0) if mask else C.M32
    except ValueError:
        raise IpError(f"fwmark: {value!r} is not a number") from None


def _add_rule(host: Any, args: _Words) -> None:
    values = _parse_rule(args)
    if values["action"] == C.RULE_TABLE and not values["table"]:
        values["table"] = C.RT_TABLE_MAIN
    try:
        host.setup("add_rule", *values.values())
    except ValueError as error:
        raise IpError(f"Error: {error}.") from None


def rule_lines(stack: Any) -> list[str]:
    """Return the lines of `ip rule show`."""
    lines = ["0:\tfrom all lookup local"]
    if stack.policy is None:
        return [*lines, f"{MAIN_PRIORITY}:\tfrom all lookup main", f"{DEFAULT_PRIORITY}:\tfrom all lookup default"]
    return lines + [rule_line(rule) for rule in stack.policy.rules]


def rule_line(rule: Any) -> str:
    """Return the line of `ip rule show` about one rule."""
    words = ["not"] if rule.invert else []
    words += ["from", prefix_text(rule.src, rule.src_length) if rule.src_length else "all"]
    if rule.dst_length:
        words += ["to", prefix_text(rule.dst, rule.dst_length)]
    if rule.mask:
        mark = hex(rule.mark) if rule.mark else "0"
        words += ["fwmark", mark if rule.mask == C.M32 else f"{mark}/{rule.mask:#x}"]
    for name, iface in (("iif", rule.iif), ("oif", rule.oif)):
        words += [] if iface is None else [name, iface.name]
    if rule.action == C.RULE_TABLE:
        words += ["lookup", table_name(rule.table)]
        words += ["suppress_prefixlength", str(rule.suppress)] if rule.suppress >= 0 else []
    elif rule.action == C.RULE_GOTO:
        words += ["goto", str(rule.target)]
    else:
        words.append("nop" if rule.action == C.RULE_NOP else _TYPE_NAMES[rule.action])
    return f"{rule.priority}:\t{' '.join(words)}"
