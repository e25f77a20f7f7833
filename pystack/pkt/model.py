"""A parsed script: events with their times, packets, system calls, commands, code."""

from dataclasses import dataclass, field
from typing import Any

#: kinds of event time
RELATIVE, ABSOLUTE, ANY, ABSOLUTE_RANGE, RELATIVE_RANGE = range(5)

#: TCP flag bits; AE is the ninth (RFC 9768)
FIN, SYN, RST, PSH, ACK, URG, ECE, CWR, AE = (1 << i for i in range(9))
FLAG_LETTERS = {"F": FIN, "S": SYN, "R": RST, "P": PSH, ".": ACK, "U": URG, "E": ECE, "W": CWR, "A": AE}

#: the values that the ECN field of an outbound packet may have
TOS_ANY, TOS_ECN, TOS_ECT01, TOS_ALL, TOS_DSCP = range(5)


@dataclass
class EventTime:
    """When an event happens, in microseconds."""

    kind: int
    start: int = 0
    end: int = 0


@dataclass
class IpInfo:
    """The IP header of a packet line."""

    check: int = TOS_ANY
    tos: int = 0
    ttl: int = 0
    #: what an ICMP message quotes: sequence number and length (the older notation)
    quoted: "tuple[int, int] | None" = None


@dataclass
class TcpOption:
    """One TCP option: its kind and the bytes after the length."""

    kind: int
    data: bytes = b""


@dataclass
class TcpSpec:
    """The TCP segment of a packet line, in the script's numbers."""

    flags: int = 0
    #: the ACE counter if the flags have a digit (RFC 9768), else None
    ace: int | None = None
    seq: int = 0
    length: int = 0
    seq_absolute: bool = False
    seq_ignored: bool = False
    ack: int = 0
    #: -1 if not given: it is not compared (outbound), or is zero (inbound)
    window: int = -1
    urg: int = 0
    #: None for `<...>`: the options are not compared
    options: "list[TcpOption] | None" = field(default_factory=list)
    ts_val_ignored: bool = False
    #: source and destination port of the UDP datagram around it, or None
    udp: "tuple[int, int] | None" = None
    ts_ecr_absolute: bool = False


@dataclass
class UdpSpec:
    """A UDP datagram. Only its length matters."""

    length: int


@dataclass
class IcmpSpec:
    """An ICMP message about a packet of the connection."""

    type: int
    code: int
    mtu: int = -1
    ident: int = 0
    #: the protocol of the quoted packet: 6, 17, or 255 for a message that quotes nothing
    proto: int = 6
    seq: int = 0
    length: int = 0
    udp: "tuple[int, int] | None" = None


@dataclass
class ScriptPacket:
    """A packet line."""

    inbound: bool
    ip: IpInfo
    body: "TcpSpec | UdpSpec | IcmpSpec"
    sport: int = 0
    dport: int = 0


@dataclass(frozen=True)
class Word:
    """A name in an expression."""

    name: str


@dataclass
class Struct:
    """`{...}`: named members, or a list of values."""

    fields: dict[str, Any] = field(default_factory=dict)
    items: list[Any] = field(default_factory=list)


@dataclass
class Invocation:
    """`htons(80)`, `inet_addr("1.2.3.4")` inside an expression."""

    name: str
    args: list[Any]


@dataclass
class Either:
    """`A | B`."""

    parts: list[Any]


@dataclass
class Syscall:
    """A system call, its result and, if it blocks, when it returns (microseconds, -1: at once)."""

    name: str
    args: list[Any]
    result: Any
    errno: str = ""
    end: int = -1


@dataclass
class Command:
    """A shell command in backquotes."""

    text: str


@dataclass
class Code:
    """Python in %{ }%."""

    text: str


@dataclass
class ScriptEvent:
    """One line of a script."""

    line: int
    time: EventTime
    action: "ScriptPacket | Syscall | Command | Code"


@dataclass
class Script:
    """A whole script."""

    path: str
    text: str
    options: list[tuple[str, str, int]] = field(default_factory=list)
    init: "tuple[Command, int] | None" = None
    events: list[ScriptEvent] = field(default_factory=list)
    cleanup: "tuple[Command, int] | None" = None

    def source(self, line: int) -> str:
        """Return one line of its text."""
        lines = self.text.split("\n")
        return lines[line - 1].strip() if 0 < line <= len(lines) else ""
