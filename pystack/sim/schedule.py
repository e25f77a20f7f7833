"""Faults on a schedule, in virtual time: links that are cut, networks that fall apart, hosts that reboot or stop answering.

    plan = Schedule(net)
    plan.cut(10 * S, link, until=15 * S)
    plan.partition(20 * S, [a, b], [c], until=30 * S)
    plan.reboot(40 * S, b, after=5 * S)
    plan.freeze(60 * S, b)

All times are times of the network's clock. Faults may overlap: a link passes frames again once the last fault that cut it has ended.
"""

from collections.abc import Iterable, Mapping, Sequence

from pystack.sim.network import Link, Network
from pystack.sim.nodes import Node, SimHost


class Schedule:
    """The faults of one network."""

    def __init__(self, net: Network):
        self.net = net
        # All schedules of a network share these, so that their faults may overlap, too.
        self._cuts = net.faults.setdefault("cut", {})
        self._frozen = net.faults.setdefault("freeze", {})
        self._off = net.faults.setdefault("reboot", {})

    def cut(self, at: int, *links: Link, until: int | None = None) -> None:
        """Cut links, and heal them at `until` (None: never). Frames that are on the way still arrive."""
        self._check(at, until, links, self.net.links)
        self.net.at(at, self._cut, links)
        if until is not None:
            self.net.at(until, self._heal, links)

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
        """Switch hosts off for ever."""
        self._check(at, None, hosts, self.net.hosts)
        for host in hosts:
            self.net.at(at, host.crash)

    def reboot(self, at: int, *hosts: SimHost, after: int = 0) -> None:
        """Switch hosts off, and on again `after` ns later. They have lost all connections (see SimHost.boot)."""
        if after < 0:
            raise ValueError(f"after={after}: a host cannot come back before it has gone")
        self._check(at, at + after + 1, hosts, self.net.hosts)
        for host in hosts:
            self.net.at(at, self._switch_off, host)
            self.net.at(at + after, self._switch_on, host)

    def freeze(self, at: int, *hosts: SimHost, until: int | None = None) -> None:
        """Let hosts stop answering, and go on with all their state at `until` (None: never)."""
        self._check(at, until, hosts, self.net.hosts)
        self.net.at(at, self._freeze, hosts)
        if until is not None:
            self.net.at(until, self._thaw, hosts)

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

    def _switch_off(self, host: SimHost) -> None:
        self._off[host.name] = self._off.get(host.name, 0) + 1
        host.crash()

    def _switch_on(self, host: SimHost) -> None:
        self._off[host.name] -= 1
        if not self._off[host.name]:
            host.boot()

    def _cut(self, links: Iterable[Link]) -> None:
        for link in links:
            self._cuts[link.name] = self._cuts.get(link.name, 0) + 1
            link.down()

    def _heal(self, links: Iterable[Link]) -> None:
        for link in links:
            self._cuts[link.name] -= 1
            if not self._cuts[link.name]:
                link.restore()

    def _freeze(self, hosts: Iterable[SimHost]) -> None:
        for host in hosts:
            self._frozen[host.name] = self._frozen.get(host.name, 0) + 1
            host.freeze()

    def _thaw(self, hosts: Iterable[SimHost]) -> None:
        for host in hosts:
            self._frozen[host.name] -= 1
            if not self._frozen[host.name]:
                host.thaw()


def _joins(where: dict[str, int], link: Link) -> bool:
    """Whether the ends of a link are in different groups."""
    a, b = where.get(link.a.node.name), where.get(link.b.node.name)
    return a is not None and b is not None and a != b
