"""Faults on a schedule, in virtual time: links that are cut, networks that fall apart, hosts that reboot or stop answering.

    plan = Schedule(net)
    plan.cut(10 * S, link, until=15 * S)
    plan.partition(20 * S, [a, b], [c], until=30 * S)
    plan.reboot(40 * S, b, after=5 * S)
    plan.freeze(60 * S, b)

All times are times of the network's clock. Faults may overlap: a link passes frames again once the last fault that cut it has ended.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from pystack.sim.channel import Channel
from pystack.sim.clock import check_offset, parts
from pystack.sim.middlebox import Middlebox
from pystack.sim.network import Link, Network
from pystack.sim.nodes import Node, SimHost

Victim = TypeVar("Victim", Link, SimHost)


class Schedule:
    """The faults of one network."""

    def __init__(self, net: Network):
        self.net = net

    def cut(self, at: int, *links: Link, until: int | None = None) -> None:
        """Cut links, and heal them at `until` (None: never). Frames that are on the way still arrive."""
        self._check(at, until, links, self.net.links)
        self._add("cut", at, until, links, Link.down, Link.restore)

    def partition(self, at: int, *groups: Sequence[Node], until: int | None = None) -> None:
        """Cut all links between nodes (hosts and switches) of different groups. ValueError if there is no such link, or a node is in two groups."""
        where: dict[str, int] = {}
        for number, group in enumerate(groups):
            for node in group:
                if where.setdefault(node.name, number) != number:
                    raise ValueError(f"{node.name} is in two groups")
        between = [link for link in self.net.links.values() if _joins(where, link)]
        if not between:
            raise ValueError("no link joins nodes of different groups")
        self.cut(at, *between, until=until)

    def crash(self, at: int, *hosts: SimHost) -> None:
        """Switch hosts off for ever: no reboot that is scheduled switches them on again (SimHost.boot does)."""
        self._check(at, None, hosts, self.net.hosts)
        self._add("reboot", at, None, hosts, SimHost.crash, SimHost.boot)

    def reboot(self, at: int, *hosts: SimHost, after: int = 0) -> None:
        """Switch hosts off, and on again `after` ns later. They have lost all connections (see SimHost.boot)."""
        if after < 0:
            raise ValueError(f"after={after}: a host cannot come back before it has gone")
        self._check(at, at + after + 1, hosts, self.net.hosts)
        for host in hosts:
            self._add("reboot", at, at + after, [host], SimHost.crash, SimHost.boot)

    def freeze(self, at: int, *hosts: SimHost, until: int | None = None) -> None:
        """Let hosts stop answering, and go on with all their state at `until` (None: never)."""
        self._check(at, until, hosts, self.net.hosts)
        self._add("freeze", at, until, hosts, SimHost.freeze, SimHost.thaw)

    def middlebox(
        self,
        at: int,
        link: Link,
        box: Middlebox,
        *,
        until: int | None = None,
        near: "Node | None" = None,
        name: str = "",
    ) -> None:
        """Put a middlebox into a link (see Link.middlebox), and take it out at `until` (None: never)."""
        self._check(at, until, [link], self.net.links)
        if not isinstance(box, Middlebox):
            raise TypeError(f"{box!r:.60} is no middlebox: write one of sim.boxes, such as NatTimeout(30 * S)")
        link.port(near)
        self.net.at(at, link.middlebox, box, near, name)
        if until is not None:
            self.net.at(until, _remove, link, box)

    def change(self, at: int, *links: Link, until: int | None = None, **settings: object) -> None:
        """Change settings of links (see Channel) in both directions, and give them their earlier values again at `until` (None: never).

        If several changes of one setting overlap, the one that ends last decides what holds afterwards.
        """
        self._check(at, until, links, self.net.links)
        Channel().set(**settings)  # what is not allowed is an error at once
        self.net.at(at, self._change, links, until, settings)

    def clock(self, at: int, *hosts: SimHost, ppm: float = 0, offset: int = 0) -> None:
        """Let the clocks of hosts run fast or slow (negative) from then on, with a wrong time of day (see SimHost.set_clock)."""
        self._check(at, None, hosts, self.net.hosts)
        parts(ppm)
        check_offset(offset)
        for host in hosts:
            self.net.at(at, host.set_clock, ppm, offset)

    def _change(self, links: Sequence[Link], until: int | None, settings: dict[str, object]) -> None:
        for link in links:
            for channel in link.channels():
                before = {name: getattr(channel, name) for name in settings}
                channel.set(**settings)
                if until is not None:
                    self.net.at(until, lambda channel=channel, before=before: channel.set(**before))

    def _check(
        self, at: int, until: int | None, victims: Sequence[Link | SimHost], known: Mapping[str, Link | SimHost]
    ) -> None:
        """Raise what would otherwise be raised in the middle of the run: for wrong times, and for what is not in the network."""
        if not isinstance(at, int) or not isinstance(until, int | None):
            raise TypeError(f"at {at}, until {until}: a time is an int of ns, such as 1500 * MS")
        if until is not None and until <= at:
            raise ValueError(f"a fault that begins at {at} cannot end at {until}")
        for victim in victims:
            if not any(victim is each for each in known.values()):
                raise ValueError(f"{victim!r} is not in this network; there are {', '.join(known) or 'none'}")

    def _add(
        self,
        kind: str,
        at: int,
        until: int | None,
        victims: Sequence[Victim],
        begin: Callable[[Victim], None],
        end: Callable[[Victim], None],
    ) -> None:
        """Call `begin` for each victim, and `end` at `until` for those that have no other fault of this kind then."""
        self.net.at(at, self._begin, kind, victims, begin)
        if until is not None:
            self.net.at(until, self._end, kind, victims, end)

    def _begin(self, kind: str, victims: Sequence[Victim], begin: Callable[[Victim], None]) -> None:
        for victim in victims:
            self.net.faults[kind, victim.name] += 1
            begin(victim)

    def _end(self, kind: str, victims: Sequence[Victim], end: Callable[[Victim], None]) -> None:
        for victim in victims:
            self.net.faults[kind, victim.name] -= 1
            if not self.net.faults[kind, victim.name]:
                end(victim)


def _remove(link: Link, box: Middlebox) -> None:
    """Take a box out, unless the program has done so."""
    if box in link.boxes():
        link.remove(box)


def _joins(where: dict[str, int], link: Link) -> bool:
    """Whether the ends of a link are in different groups."""
    a, b = where.get(link.a.node.name), where.get(link.b.node.name)
    return a is not None and b is not None and a != b
