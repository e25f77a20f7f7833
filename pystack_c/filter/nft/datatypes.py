"""The data types of nftables: how the constants of a ruleset become numbers, and numbers become constants again."""

from typing import Any

from pystack_c.base.address import addr_text, v4
from pystack_c.filter.nft import names
from pystack_c.filter.nft.errors import NftError


class DataType:
    """A type: its name in nft, its size in bits, and the symbols for its numbers. `kind` is "number", "address", "ether", "name" or "time".

    If `shown` is False, the symbols are read, but a number is shown as a number.
    """

    def __init__(
        self,
        name: str,
        bits: int,
        symbols: dict[str, int] | None = None,
        flags: bool = False,
        kind: str = "number",
        shown: bool = True,
    ) -> None:
        self.name = name
        self.bits = bits
        self.symbols = symbols or {}
        self.flags = flags
        self.kind = kind
        self.shown = shown

    @property
    def size(self) -> int:
        """The size in bytes."""
        return (self.bits + 7) // 8

    def constant(self, given: Any, path: tuple[Any, ...]) -> Any:
        """Return the number (or name) of a constant. Raises NftError."""
        if isinstance(given, dict) and list(given) == ["|"] or isinstance(given, list):
            parts = given["|"] if isinstance(given, dict) else given
            if self.kind == "name" or not isinstance(parts, list):
                raise NftError(f"{given!r} is no constant of type {self.name}", path)
            total = 0
            for i, part in enumerate(parts):
                total |= self.constant(part, (*path, i))
            return total
        if isinstance(given, bool):
            number: Any = int(given)
        elif isinstance(given, int):
            # JSON has seconds, and packets are compared in milliseconds.
            number = given * 1000 if self.kind == "time" else given
        elif isinstance(given, str):
            number = self._text(given, path)
        else:
            raise NftError(f"{given!r} is no constant of type {self.name}", path)
        if self.kind == "name":
            if not isinstance(number, str) or not 0 < len(number) < 16:
                raise NftError(f"{given!r} is not the name of an interface", path)
            return number
        if not 0 <= number < 1 << self.bits:
            raise NftError(f"{given!r} is out of range for {self.name} ({self.bits} bits)", path)
        return number

    def _text(self, text: str, path: tuple[Any, ...]) -> Any:
        if self.kind == "name":
            return text
        if text in self.symbols:
            return self.symbols[text]
        parts: list[str]
        try:
            if self.kind == "address":
                parts = text.split(".")
                if len(parts) == 4 and all(part.isascii() and part.isdigit() and int(part) < 256 for part in parts):
                    return int.from_bytes(bytes(int(part) for part in parts), "big")
            elif self.kind == "ether":
                parts = text.split(":")
                if len(parts) == 6:
                    return int.from_bytes(bytes(int(part, 16) for part in parts), "big")
            return int(text, 0)
        except ValueError:
            raise NftError(f"{text!r} is no constant of type {self.name}", path) from None

    def interval(self, given: Any, path: tuple[Any, ...]) -> tuple[Any, Any]:
        """Return the first and the last number of a range, a prefix, a name that ends with *, or a constant."""
        if isinstance(given, dict) and list(given) == ["range"]:
            ends = given["range"]
            if not isinstance(ends, list) or len(ends) != 2:
                raise NftError("a range has two ends", path)
            low, high = self.constant(ends[0], (*path, "range", 0)), self.constant(ends[1], (*path, "range", 1))
            if high < low:
                raise NftError("the range ends before it begins", path)
            return low, high
        if isinstance(given, dict) and list(given) == ["prefix"]:
            prefix = given["prefix"]
            if not isinstance(prefix, dict) or sorted(prefix) != ["addr", "len"] or not isinstance(prefix["len"], int):
                raise NftError("a prefix has an addr and a len", path)
            length = prefix["len"]
            if not 0 <= length <= self.bits:
                raise NftError(f"prefix length {length} is not in 0..{self.bits}", (*path, "prefix", "len"))
            low = self.constant(prefix["addr"], (*path, "prefix", "addr"))
            mask = (1 << (self.bits - length)) - 1
            return low & ~mask, low | mask
        if given == "*":
            return ("", "\U0010ffff") if self.kind == "name" else (0, (1 << self.bits) - 1)
        if self.kind == "name" and isinstance(given, str) and given.endswith("*"):
            if given.endswith("\\*"):
                name = given[:-2] + "*"
                return name, name
            return given[:-1], given[:-1] + "\U0010ffff"
        number = self.constant(given, path)
        return number, number

    def show(self, number: Any) -> Any:
        """Return a number as nft's JSON shows it."""
        if self.kind == "name":
            return number
        if self.kind == "time":
            return number // 1000
        if self.flags and number:
            found = [name for name, bit in self.symbols.items() if number & bit]
            if sum(self.symbols[name] for name in found) == number:
                return found[0] if len(found) == 1 else {"|": found}
            return number
        if self.shown:
            for name, value in self.symbols.items():
                if value == number:
                    return name
        if self.kind == "address":
            return addr_text(v4(number)) if number else "0.0.0.0"
        if self.kind == "ether":
            return ":".join(f"{byte:02x}" for byte in number.to_bytes(6, "big"))
        return number

    def show_interval(self, low: Any, high: Any) -> Any:
        """Return an interval as nft's JSON shows it: a constant, a prefix or a range."""
        if low == high:
            return self.show(low)
        if self.kind == "name":
            return low + "*"
        span = high - low + 1
        if low == 0 and span == 1 << self.bits:
            return "*"
        if self.kind == "address" and span & (span - 1) == 0 and low % span == 0:
            return {"prefix": {"addr": self.show(low), "len": self.bits - span.bit_length() + 1}}
        return {"range": [self.show(low), self.show(high)]}


def integer(bits: int) -> DataType:
    """Return the type of plain numbers of a size."""
    return DataType("integer", bits)


ADDRESS = DataType("ipv4_addr", 32, kind="address")
ETHER = DataType("ether_addr", 48, kind="ether")
ETHERTYPE = DataType("ether_type", 16, names.ETHER_TYPES)
SERVICE = DataType("inet_service", 16, names.SERVICES, shown=False)
PROTOCOL = DataType("inet_proto", 8, names.PROTOCOLS)
MARK = DataType("mark", 32)
STATE = DataType("ct_state", 32, names.CT_STATES, flags=True)
STATUS = DataType("ct_status", 32, names.CT_STATUS, flags=True)
DIRECTION = DataType("ct_dir", 8, names.CT_DIRECTIONS)
IFNAME = DataType("ifname", 128, kind="name")
IFINDEX = DataType("iface_index", 32, kind="name")
FLAGS = DataType("tcp_flag", 8, names.TCP_FLAGS, flags=True)
ICMP_TYPE = DataType("icmp_type", 8, names.ICMP_TYPES)
ICMP_CODE = DataType("icmp_code", 8, names.ICMP_CODES, shown=False)
DSCP_TYPE = DataType("dscp", 6, names.DSCP)
ECN_TYPE = DataType("ecn", 2, names.ECN)
PKTTYPE = DataType("pkt_type", 8, names.PACKET_TYPES)
FIB_TYPE = DataType("fib_addrtype", 32, names.ADDRESS_TYPES)
NFPROTO = DataType("nf_proto", 8, names.NF_PROTOCOLS)
TIME = DataType("time", 64, kind="time")
BOOLEAN = DataType("boolean", 1, names.BOOLEANS)
#: the types that a set may be declared with
DECLARED = {
    item.name: item
    for item in (
        ADDRESS,
        ETHER,
        ETHERTYPE,
        SERVICE,
        PROTOCOL,
        MARK,
        STATE,
        STATUS,
        DIRECTION,
        IFNAME,
        IFINDEX,
        FLAGS,
        ICMP_TYPE,
        ICMP_CODE,
        DSCP_TYPE,
        ECN_TYPE,
        PKTTYPE,
        FIB_TYPE,
        NFPROTO,
        TIME,
    )
}
