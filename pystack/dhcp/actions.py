"""What the machines of this package ask of their driver, and the base that they share.

A machine does no I/O and has no clock. Its driver (agent.py) passes messages, ARP packets and the time to it, and then takes its actions.
"""

from typing import Any, NamedTuple

from pystack.dhcp.message import DhcpMessage, Malformed, read
from pystack_c.base.rng import Rng

S = 1_000_000_000
BROADCAST = 0xFFFFFFFF


class SendMessage(NamedTuple):
    """Send a message by UDP. `mac` is that of a receiver that does not know its address yet; None: by the ordinary way.

    If `link` is true, the source is 0.0.0.0 or an address that the host may not have, so the driver makes the packet itself.
    """

    data: bytes
    src: int
    dst: int
    sport: int
    dport: int
    mac: int | None = None
    link: bool = False


class SendArp(NamedTuple):
    """Send an ARP request with this sender address (0: a probe, RFC 5227) to everybody."""

    sender: int
    target: int


class Configure(NamedTuple):
    """The host has this lease from now on."""

    lease: Any


class Deconfigure(NamedTuple):
    """The host must not use the address of this lease any more."""

    lease: Any


class Note(NamedTuple):
    """An event for the probe: `kind` is dhcp.state, dhcp.message or dhcp.drop."""

    kind: str
    reason: str
    rfc: str
    fields: dict[str, Any]


Action = SendMessage | SendArp | Configure | Deconfigure | Note


class Machine:
    """A machine with at most one timer. Times are in nanoseconds."""

    def __init__(self, seed: object):
        self.rng = Rng(seed)
        self.actions: list[Action] = []
        #: when `timeout` wants to be called, or None
        self.deadline: int | None = None

    def take(self) -> list[Action]:
        """The actions since the last call."""
        taken, self.actions = self.actions, []
        return taken

    def start(self, now: int) -> None:
        """Begin."""

    def message(self, data: bytes, src: int, now: int) -> None:
        """A datagram for the machine's port arrived from `src`."""

    def arp(self, sender: int, mac: int, target: int, now: int) -> None:
        """An ARP packet arrived from another host: its sender's addresses, and the address that it is about."""

    def timeout(self, now: int) -> None:
        """The deadline has passed."""

    def note(self, kind: str, reason: str, rfc: str, **fields: Any) -> None:
        """Report a decision."""
        self.actions.append(Note(kind, reason, rfc, fields))

    def drop(self, name: str, reason: str, rfc: str) -> None:
        """Report that a message is ignored, and why."""
        self.note("dhcp.drop", reason, rfc, name=name)

    def read(self, data: bytes) -> DhcpMessage | None:
        """The message of a datagram, or None if it is malformed, which is reported."""
        try:
            return read(data)
        except Malformed as error:
            self.drop("malformed", f"{error}", "RFC 2131 3")
            return None

    def spread(self, low: int, high: int) -> int:
        """A random time between two times."""
        return low + int(self.rng.random() * (high - low))
