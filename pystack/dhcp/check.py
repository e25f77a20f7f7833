"""Whether an address is free (RFC 5227 section 2.1), and addresses of one's own choice on a link without a server (RFC 3927)."""

from dataclasses import dataclass
from typing import NamedTuple

from pystack.dhcp.actions import Configure, Deconfigure, Machine, S, SendArp

# RFC 3927 section 9, RFC 5227 section 1.1
MAX_CONFLICTS = 10
RATE_LIMIT_INTERVAL = 60 * S
DEFEND_INTERVAL = 10 * S
ANNOUNCE_NUM = 2
ANNOUNCE_INTERVAL = 2 * S
#: 169.254.1.0 to 169.254.254.255 (RFC 3927 section 2.1)
FIRST, COUNT = 0xA9FE0100, 0xFE00


@dataclass(frozen=True)
class Probing:
    """How an address is checked: the constants of RFC 5227 section 1.1, in nanoseconds. `count` 0: not at all."""

    count: int = 3
    wait: int = 1 * S
    low: int = 1 * S
    high: int = 2 * S
    silence: int = 2 * S


class LocalLease(NamedTuple):
    """A link-local address, in the form of a lease."""

    addr: int
    prefixlen: int = 16
    routers: tuple[int, ...] = ()
    dns: tuple[int, ...] = ()
    domain: str = ""
    mtu: int = 0
    routes: tuple[tuple[int, int, int], ...] = ()


class Check:
    """One check of an address, inside a machine: ARP probes with random pauses, and silence after the last one."""

    def __init__(self, machine: Machine, mac: int, addr: int, probing: Probing, now: int):
        self.machine = machine
        self.mac = mac
        self.addr = addr
        self.probing = probing
        self.sent = 0
        #: when the next probe is due, or the check is over
        self.due = now + machine.spread(0, probing.wait)
        self.conflict = False

    def arp(self, sender: int, mac: int, target: int) -> bool:
        """Whether this ARP packet says that the address is not free (RFC 5227 section 2.1.1)."""
        if mac == self.mac:
            return False
        if sender == self.addr or (sender == 0 and target == self.addr):
            self.conflict = True
        return self.conflict

    def step(self, now: int) -> bool:
        """Send the next probe, if one is due. True: the address is free."""
        if now < self.due:
            return False
        if self.sent == self.probing.count:
            return True
        self.sent += 1
        self.machine.actions.append(SendArp(0, self.addr))
        last = self.sent == self.probing.count
        self.due = now + (self.probing.silence if last else self.machine.spread(self.probing.low, self.probing.high))
        return False


class LinkLocal(Machine):
    """Chooses an address in 169.254/16, claims it, and defends it. The seed decides which addresses are tried, in which order."""

    def __init__(self, mac: int, seed: object, probing: Probing | None = None):
        super().__init__(f"{seed}/{mac:012x}/link-local")
        self.mac = mac
        self.probing = probing or Probing()
        self.addr = 0
        self.check: Check | None = None
        self.lease: LocalLease | None = None
        self.conflicts = 0
        self._announced = 0
        self._defended: int | None = None

    def start(self, now: int) -> None:
        """Machine.start: choose an address, and probe for it."""
        self.addr = FIRST + self.rng.below(COUNT)
        self._announced = 0
        why = "an address is chosen by a pseudo-random function of the MAC address"
        if self.conflicts:
            why = "the chosen address is in use, so another one is tried"
        self.note("dhcp.state", why, "RFC 3927 2.1", old="LINK-LOCAL", new="LINK-LOCAL", addr=self.addr)
        # Section 2.2.1: after MAX_CONFLICTS conflicts, at most one address is tried in RATE_LIMIT_INTERVAL.
        begin = now + RATE_LIMIT_INTERVAL if self.conflicts >= MAX_CONFLICTS else now
        self.check = Check(self, self.mac, self.addr, self.probing, begin)
        self.deadline = self.check.due

    def stop(self) -> None:
        """Give the address up."""
        if self.lease is not None:
            self.actions.append(Deconfigure(self.lease))
        self.lease = self.check = self.deadline = None

    def timeout(self, now: int) -> None:
        """Machine.timeout."""
        if self.deadline is None or now < self.deadline:
            return
        if self.check is not None:
            if not self.check.step(now):
                self.deadline = self.check.due
                return
            self.check = None
            self.lease = LocalLease(self.addr)
            self.actions.append(Configure(self.lease))
        # Section 2.4: two announcements
        self.actions.append(SendArp(self.addr, self.addr))
        self._announced += 1
        self.deadline = now + ANNOUNCE_INTERVAL if self._announced < ANNOUNCE_NUM else None

    def arp(self, sender: int, mac: int, target: int, now: int) -> None:
        """Machine.arp."""
        if self.check is not None:
            if self.check.arp(sender, mac, target):
                self.conflicts += 1
                self.start(now)
            return
        if self.lease is None or sender != self.addr or mac == self.mac:
            return
        # Section 2.5 (b): defend the address once in DEFEND_INTERVAL. The stack sends the announcement by itself (link/arp.py).
        if self._defended is None or now - self._defended >= DEFEND_INTERVAL:
            self._defended = now
            self.note(
                "dhcp.message",
                "another host uses the address, so the stack announces it",
                "RFC 3927 2.5",
                type="DEFEND",
            )
            return
        self._defended = None
        self.conflicts += 1
        self.note(
            "dhcp.message", "a second conflict within 10 s ends the use of the address", "RFC 3927 2.5", type="GIVE-UP"
        )
        self.stop()
        self.start(now)
