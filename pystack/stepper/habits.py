"""Changes of what a program does with its sockets, for branches: Fast Open, one write instead of several, and connections that are kept.

A branch cannot change the program of a scenario. It makes the same calls differently, as a library below the program could. Only a connection that is
kept needs a program that has this choice.
"""

from collections.abc import Callable
from typing import Any

from pystack.sim.network import Network
from pystack.stepper.branch import Change, ChangeError
from pystack.stepper.scenarios.base import KEPT
from pystack.stepper.timeline import Timeline
from pystack_c.tcp import sockopt
from pystack_c.tcp.tcb import Tcb

SOL_TCP, TCP_CORK, TCP_FASTOPEN_CONNECT = 6, 3, 30
#: tcp_fastopen: a client and a server without cookies, on all listeners (Linux ip-sysctl)
WITHOUT_COOKIES = 0x1 | 0x2 | 0x4 | 0x200 | 0x400


class Habit(Change):
    """Changes the calls of one host."""

    #: settings that each host gets
    settings: dict[str, Any] = {}

    def __init__(self, host: str, text: str):
        self.host, self.text = host, text

    def before(self, call: Callable[..., Any], name: str, target: Any) -> None:
        """Called before each call of a program. `call` makes another one."""

    def prepare(self, net: Network, timeline: Timeline) -> None:
        """Make the network create hosts with the settings, and the host with another way to call."""
        if self.host not in timeline.hosts:
            raise ChangeError(f"there is no host {self.host!r}; there are {', '.join(timeline.hosts)}")
        make = net.host

        def host(name: str, *args: Any, **settings: Any) -> Any:
            made = make(name, *args, **(settings | self.settings))
            if name == self.host:
                usual = made.call

                def call(fn: Callable[..., Any], target: Any, *rest: Any) -> Any:
                    self.before(usual, fn.__name__, target)
                    return usual(fn, target, *rest)

                setattr(made, "call", call)  # noqa: B010 (a method of this one host)
            return made

        setattr(net, "host", host)  # noqa: B010 (a method of this one network)


class FastOpenHabit(Habit):
    """The host sends its first data in the SYN, as if it had a cookie from an earlier connection (RFC 7413)."""

    settings = {"tcp_fastopen": WITHOUT_COOKIES}

    def __init__(self, host: str):
        super().__init__(host, f"{host} had sent its request in the SYN (Fast Open)")

    def before(self, call: Callable[..., Any], name: str, target: Any) -> None:
        """Ask for Fast Open before a connect()."""
        if name == "connect" and isinstance(target, Tcb):
            call(sockopt.setsockopt, target, SOL_TCP, TCP_FASTOPEN_CONNECT, 1)


class OneWrite(Habit):
    """What the host writes leaves as one piece: TCP_CORK from the first write until the program reads, or closes."""

    def __init__(self, host: str):
        super().__init__(host, f"{host} had written everything at once")
        self.corked: dict[int, Any] = {}

    def prepare(self, net: Network, timeline: Timeline) -> None:
        """Forget the connections of another run."""
        self.corked = {}
        super().prepare(net, timeline)

    def before(self, call: Callable[..., Any], name: str, target: Any) -> None:
        """Cork before a write, and pull the cork out before a read."""
        ident = getattr(target, "ident", 0)
        if name.startswith("send") and isinstance(target, Tcb):
            if ident not in self.corked:
                self.corked[ident] = target
                call(sockopt.setsockopt, target, SOL_TCP, TCP_CORK, 1)
        elif name.startswith("recv") and ident in self.corked:
            del self.corked[ident]
            call(sockopt.setsockopt, target, SOL_TCP, TCP_CORK, 0)


class KeepAlive(Change):
    """The host keeps its connection for further requests, if the program of the scenario has this choice: it asks scenarios.base.kept().

    since  when the request begins that takes the place of the first one, in ns of the run: it is the next one on the same connection
    """

    def __init__(self, host: str):
        self.host, self.text = host, f"{host} had kept its connection from an earlier request"
        self.asked = False
        self.since = 0

    def prepare(self, net: Network, timeline: Timeline) -> None:
        """Let the program find the choice."""
        if self.host not in timeline.hosts:
            raise ChangeError(f"there is no host {self.host!r}; there are {', '.join(timeline.hosts)}")
        self.asked, self.since = False, 0
        setattr(net, KEPT, {**getattr(net, KEPT, {}), self.host: self})

    def done(self, timeline: Timeline) -> None:
        """Let the timeline begin with the request that is compared. ChangeError: the program has not asked."""
        if not self.asked:
            raise ChangeError(
                f"the program on {self.host} has no choice: it needs one connection, or always opens another"
            )
        if self.since:
            timeline.begins = self.host, self.since
