"""The ways in which a script can fail: it is wrong, it needs something unsupported, or its expectation was not met."""

from dataclasses import dataclass, field
from typing import Any


class ScriptError(Exception):
    """The script itself is wrong: syntax, numbers out of range, a file descriptor that does not exist."""

    def __init__(self, line: int, message: str, column: int = 0):
        super().__init__(message)
        self.line = line
        self.column = column
        self.message = message


class Unsupported(Exception):
    """The script is right, but needs something that is not supported here (IPv6, SCTP, an unknown sysctl, ...)."""

    def __init__(self, line: int, message: str):
        super().__init__(message)
        self.line = line
        self.message = message


@dataclass
class Difference:
    """One field of a packet that differs from the script."""

    field: str
    expected: str
    actual: str

    def __str__(self) -> str:
        return f"{self.field}: expected {self.expected}, actual {self.actual}"


@dataclass
class Failure(Exception):
    """The stack behaved differently from the script."""

    line: int
    message: str
    #: the packet that the script expects and the one that the stack sent, in the script's own notation
    expected: str = ""
    actual: str = ""
    differences: list[Difference] = field(default_factory=list)
    #: set by the runner: the connection's variables, and the last decisions of the core
    snapshot: dict[str, Any] = field(default_factory=dict)
    events: list[Any] = field(default_factory=list)
    time: float = 0.0

    def __post_init__(self) -> None:
        super().__init__(self.message)
