"""The types of values: how a value is written, what its JSON is, and which number stands behind it."""

import ipaddress
from dataclasses import dataclass, field
from typing import Any

from pystack.nft.errors import RulesetError
from pystack.nft.names import service
from pystack_c.filter.nft import names

DECIMAL = -1
_UNITS = (("w", 604800), ("d", 86400), ("h", 3600), ("m", 60), ("s", 1))


@dataclass(frozen=True)
class Type:
    """A type of values. `digits` is the width of its hexadecimal form, and DECIMAL if it has none."""

    name: str
    bits: int
    names: dict[str, int] = field(default_factory=dict)
    #: "number", "address", "string" or "time"
    kind: str = "number"
    #: names are shown, in text and in JSON
    shown: bool = True
    flags: bool = False
    digits: int = DECIMAL
    #: how many elements of a named set a line shows
    per_line: int = 1
    #: the kernel keeps it in the machine's byte order, which counts where concatenations are sorted
    host: bool = False

    def limit(self) -> int:
        """Return the largest number of the type."""
        return (1 << self.bits) - 1


def integer(bits: int, digits: int = DECIMAL, host: bool = False) -> Type:
    """Return the type of a plain number with so many bits."""
    return Type("integer", bits, digits=digits, per_line=5, host=host)


ADDRESS = Type("ipv4_addr", 32, kind="address", per_line=2)
SERVICE = Type("inet_service", 16, per_line=5)
PROTOCOL = Type("inet_proto", 8, names.PROTOCOLS, per_line=5)
MARK = Type("mark", 32, digits=8, per_line=5, host=True)
ICMP_TYPE = Type("icmp_type", 8, names.ICMP_TYPES)
ICMP_CODE = Type("icmp_code", 8, names.ICMP_CODES, shown=False)
CT_STATE = Type("ct_state", 32, names.CT_STATES, flags=True, digits=8, per_line=2, host=True)
CT_STATUS = Type("ct_status", 32, names.CT_STATUS, flags=True, digits=8, per_line=2, host=True)
CT_DIRECTION = Type("ct_dir", 8, names.CT_DIRECTIONS, per_line=5)
TCP_FLAG = Type("tcp_flag", 8, names.TCP_FLAGS, flags=True, digits=1, per_line=5)
PACKET_TYPE = Type("pkt_type", 8, names.PACKET_TYPES, per_line=2)
ADDRESS_TYPE = Type("fib_addrtype", 32, names.ADDRESS_TYPES, host=True)
NF_PROTOCOL = Type("nf_proto", 8, names.NF_PROTOCOLS, per_line=5)
ETHER_TYPE = Type("ether_type", 16, names.ETHER_TYPES, digits=4)
DSCP = Type("dscp", 6, names.DSCP, digits=2)
ECN = Type("ecn", 2, names.ECN, digits=2)
IFNAME = Type("ifname", 128, kind="string", host=True)
IFINDEX = Type("iface_index", 32, kind="string", host=True)
STRING = Type("string", 128, kind="string", host=True)
UID = Type("uid", 32, per_line=5, host=True)
GID = Type("gid", 32, per_line=5, host=True)
TIME = Type("time", 32, kind="time", per_line=5, host=True)
BOOLEAN = Type("boolean", 1, names.BOOLEANS, per_line=5)
VERDICT = Type("verdict", 32, kind="verdict")
NAMED = {
    one.name: one
    for one in (
        ADDRESS,
        SERVICE,
        PROTOCOL,
        MARK,
        ICMP_TYPE,
        ICMP_CODE,
        CT_STATE,
        CT_STATUS,
        CT_DIRECTION,
        TCP_FLAG,
        PACKET_TYPE,
        ADDRESS_TYPE,
        NF_PROTOCOL,
        ETHER_TYPE,
        DSCP,
        ECN,
        IFNAME,
        IFINDEX,
        UID,
        GID,
    )
}
#: what a map may have as its data, besides these types: a verdict, or an object
DATA = {
    **NAMED,
    "verdict": VERDICT,
    **{name: Type(name, 128, kind="string") for name in ("counter", "quota", "limit")},
}


def seconds(text: str) -> int:
    """Return a time such as 1h30m or 90 in seconds. Raises RulesetError. nft rounds milliseconds down."""
    total, digits, unit = 0, "", ""
    sizes = {**{name: size * 1000 for name, size in _UNITS}, "ms": 1}
    for char in f"{text} ":
        if char.isdigit() and not unit:
            digits += char
            continue
        if char.isalpha():
            unit += char
            continue
        total += _part(digits, unit, sizes, text)
        digits, unit = char, ""
    if total > 0xFFFFFFFF * 1000:
        raise RulesetError(f"{text} is too long a time")
    return total // 1000


def _part(digits: str, unit: str, sizes: dict[str, int], text: str) -> int:
    """Return one part of a time, such as 30m, in milliseconds."""
    if not digits or len(digits) > 12 or unit not in {"": 1, **sizes}:
        raise RulesetError(f"{text!r} is not a time: write it as 1d2h3m4s")
    return int(digits) * sizes[unit or "s"]


def time_text(value: int) -> str:
    """Return seconds as nft writes them: 5400 is 1h30m."""
    if value <= 0:
        return "0s"
    parts = []
    for unit, size in _UNITS[1:]:
        if value >= size:
            parts.append(f"{value // size}{unit}")
            value %= size
    return "".join(parts)


def integer_of(text: str) -> int:
    """Return a number that is written in decimal or hexadecimal."""
    if len(text) > 24:
        raise RulesetError(f"the number {text[:24]}... is too large")
    # A leading zero means an octal number to nft.
    if text.startswith("0") and len(text) > 1 and text[1] not in "xX":
        if any(digit not in "01234567" for digit in text):
            raise RulesetError(f"{text} begins with 0, so it must be an octal number")
        return int(text, 8)
    return int(text, 0)


def bounded(type: Type, number: int) -> int:
    """Return the number if it fits into the type. Raises RulesetError otherwise."""
    if not 0 <= number <= type.limit():
        raise RulesetError(f"the value {number} is not in the range 0-{type.limit()} of {describe(type)}")
    return number


def describe(type: Type) -> str:
    """Return the type's name for an error message."""
    return f"a number with {type.bits} bits" if type.name == "integer" else f"the type {type.name}"


def value(type: Type, number: int) -> Any:
    """Return the JSON of a number of the type."""
    if type.kind == "address":
        return str(ipaddress.IPv4Address(number))
    if type is BOOLEAN:
        return bool(number)
    if type.flags:
        return flags_value(type, number)
    if type.shown:
        for name, known in type.names.items():
            if known == number:
                return name
    return number


def flags_value(type: Type, number: int) -> Any:
    """Return flags as JSON: one name, several with |, or a number if a bit has no name."""
    found = [name for name, bit in sorted(type.names.items(), key=lambda item: item[1]) if number & bit]
    if sum(type.names[name] for name in found) != number or not found:
        return number
    return found[0] if len(found) == 1 else {"|": found}


def number(type: Type, json: Any) -> int:
    """Return the number behind a JSON value of the type. Raises RulesetError if it has none."""
    if isinstance(json, bool):
        return int(json)
    if isinstance(json, int):
        return bounded(type, json)
    if isinstance(json, dict) and set(json) == {"|"}:
        return sum(number(type, one) for one in json["|"])
    if isinstance(json, str):
        if type.kind == "address":
            return address(json)
        if json in type.names:
            return type.names[json]
    raise RulesetError(f"{json!r} is not a value of {describe(type)}")


def address(text: str) -> int:
    """Return the number of an IPv4 address. Raises RulesetError."""
    try:
        return int(ipaddress.IPv4Address(text))
    except ValueError:
        raise RulesetError(f"{text!r} is not an IPv4 address") from None


def word(type: Type, name: str) -> Any:
    """Return the JSON of a value that is written as a word. Raises RulesetError if the type has no such word."""
    if type.kind == "string":
        longest = 15 if type in (IFNAME, IFINDEX) else 255
        if not 0 < len(name.removesuffix("*")) <= longest:
            raise RulesetError(f"a name here has between 1 and {longest} characters")
        return name
    if name in type.names:
        return value(type, type.names[name])
    if type is SERVICE:
        port = service(name)
        if port is not None:
            return port
        raise RulesetError(f"{name!r} is not a service that this system knows")
    if type.kind == "address":
        raise RulesetError(f"{name!r} is not an IPv4 address; names of hosts are not looked up")
    if type.names:
        known = ", ".join(list(type.names)[:30])
        raise RulesetError(f"{name!r} is not a value of {describe(type)}; it has: {known}")
    raise RulesetError(f"{name!r} is not a value of {describe(type)}")


def text(type: Type, json: Any) -> str:
    """Return a JSON value of the type as nft writes it."""
    if isinstance(json, bool):
        return "exists" if json else "missing"
    if isinstance(json, dict) and "|" in json:
        return " | ".join(text(type, one) for one in json["|"])
    if type.kind == "time" and isinstance(json, int):
        return time_text(json)
    if isinstance(json, int):
        if type.digits == DECIMAL:
            return str(json)
        return f"0x{json:0{type.digits}x}"
    if type.kind == "string" and not (type is IFINDEX and str(json).isdigit()):
        return f'"{json}"'
    return str(json)
