"""IPv4 address conflict detection (RFC 5227 section 2.1): check whether an address is free before you use it.

    probe = acd.start(core, iface, addr, now)   # before add_addr
    ... drive the stack; probe.done turns true after about 4 to 7 s ...
    probe.conflict                            # the MAC address of the host that has it, or 0: then call add_addr, and
    acd.announce_twice(core, iface, addr, now) # two announcements, 2 s apart (section 2.3)

arp.input defends the addresses in use (section 2.4).
"""

import pystack_c.const as C
from pystack_c.base.address import addr_text, normal
from pystack_c.base.timer import Timer, TimerOwner
from pystack_c.core import Core
from pystack_c.iface import Iface
from pystack_c.link import arp
from pystack_c.wire.ethernet import BROADCAST

# The constants of section 1.1; times are in nanoseconds
PROBE_WAIT = 1_000_000_000
PROBE_NUM = 3
PROBE_MIN = 1_000_000_000
PROBE_MAX = 2_000_000_000
ANNOUNCE_WAIT = 2_000_000_000
ANNOUNCE_INTERVAL = 2_000_000_000


class AddressProbe(TimerOwner):  # python
    """One check of an address. The address is free if `done` is true and `conflict` is 0."""

    def __init__(self, core: Core, iface: Iface, addr: int) -> None:
        self.core = core
        self.iface = iface
        self.addr = addr
        self.sent = 0
        self.done = False
        self.conflict = 0
        self.timer = Timer(self, C.T_ACD)

    def subject(self) -> str:
        """Return the name that events use."""
        return "arp " + addr_text(self.addr)

    def on_timer(self, kind: int) -> None:
        """Send the next probe, or conclude that no host has the address."""
        core = self.core
        if self.sent == PROBE_NUM:
            self._finish(0)
            return
        self.sent += 1
        # 2.1.1: the sender address is 0, so that no host changes its ARP cache.
        why = "the stack checks whether another host uses this address"
        arp.send_arp(core, self.iface, C.ARPOP_REQUEST, BROADCAST, 0, 0, self.addr, why, "RFC 5227 2.1.1")
        wait = ANNOUNCE_WAIT if self.sent == PROBE_NUM else _between(core, PROBE_MIN, PROBE_MAX)
        last = self.sent == PROBE_NUM
        why = "the address is free if no host answers until then" if last else "the next probe follows at random"
        core.set_timer(self.timer, core.now + wait, why, "RFC 5227 2.1.1")

    def on_arp(self, spa: int, sha: int) -> bool:
        """Handle an ARP packet whose sender owns the address or probes for it, too.

        Returns True: the packet is handled.
        """
        self._finish(sha)
        return True

    def _finish(self, conflict: int) -> None:
        self.core.cancel_timer(self.timer, "another host uses the address", "RFC 5227 2.1.1")
        self.core.acd.pop(self.addr, None)
        self.conflict = conflict
        self.done = True


class _Announcer(TimerOwner):  # python
    """Sends the second announcement."""

    def __init__(self, core: Core, iface: Iface, addr: int) -> None:
        self.core = core
        self.iface = iface
        self.addr = addr
        self.timer = Timer(self, C.T_ACD)

    def subject(self) -> str:
        """Return the name that events use."""
        return "arp " + addr_text(self.addr)

    def on_timer(self, kind: int) -> None:
        """Announce the address, if this host still has it."""
        if self.addr in self.core.local:
            arp.announce(self.core, self.iface, self.addr)


def _between(core: Core, low: int, high: int) -> int:
    return low + int(core.rng.random() * (high - low))


def start(core: Core, iface: Iface, addr: int, now: int) -> AddressProbe:
    """Start to probe for `addr`, and return the probe.

    The first packet follows within PROBE_WAIT, at random (2.1.1).
    """
    core.now = now
    addr = normal(addr)
    probe = AddressProbe(core, iface, addr)
    core.acd[addr] = probe
    why = "the first probe follows after a random time"
    core.set_timer(probe.timer, now + _between(core, 0, PROBE_WAIT), why, "RFC 5227 2.1.1")
    return probe


def announce_twice(core: Core, iface: Iface, addr: int, now: int) -> None:
    """Send two announcements, ANNOUNCE_INTERVAL apart (2.3)."""
    core.now = now
    addr = normal(addr)
    arp.announce(core, iface, addr)
    core.set_timer(
        _Announcer(core, iface, addr).timer,
        now + ANNOUNCE_INTERVAL,
        "the second announcement is due then",
        "RFC 5227 2.3",
    )
