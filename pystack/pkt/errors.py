"""How a script can end other than well: it is wrong, it asks for what is not there, or its expectation failed."""

from dataclasses import dataclass, field
from typing import Any


class ScriptError(Exception):
    """The script itself is wrong: syntax, numbers out of range, a file descriptor that is not there."""

    def __init__(self, line: int, message: str, column: int = 0):
        super().__init__(message)
        self.line = line
        self.column = column
        self.message = message


class Unsupported(Exception):
    """The script is right, and asks for something that is not here (IPv6, SCTP, an unknown sysctl, ...)."""

    def __init__(self, line: int, message: str):
        super().__init__(message)
        self.line = line
        self.message = message


@dataclass
class Difference:
    """One field of a packet that is not what the script says."""

    field: str
    expected: str
    actual: str

    def __str__(self) -> str:
        return f"{self.field}: expected {self.expected}, actual {self.actual}"


@dataclass
class Failure(Exception):
    """The stack did something else than the script says."""

    line: int
    message: str
    #: the packet the script expects and the one that came, in the script's own notation
    expected: str = ""
    actual: str = ""
    differences: list[Difference] = field(default_factory=list)
    #: filled in by the runner: the connection's variables, and the last decisions of the core
    snapshot: dict[str, Any] = field(default_factory=dict)
    events: list[Any] = field(default_factory=list)
    time: float = 0.0

    def __post_init__(self) -> None:
        super().__init__(self.message)
