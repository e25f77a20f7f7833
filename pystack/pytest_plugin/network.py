"""The network of a test: hosts that are joined by one switch, with the faults that the test's mark names."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pystack.pytest_plugin.decisions import DecidedChannel, Decisions
from pystack.pytest_plugin.plan import Plan
from pystack.pytest_plugin.settings import DELAY, MarkSettings
from pystack.sim.channel import SETTINGS, Channel
from pystack.sim.live import directions
from pystack.sim.network import Link, Network
from pystack.sim.nodes import Node, SimHost, Switch
from pystack.sim.scheduler import SimError

if TYPE_CHECKING:
    from pystack.pytest_plugin.world import Started, World

#: hosts that know each other's MAC addresses from the beginning, at most; further ones use ARP
MOST_INTRODUCED = 64
_FAULTS = ("profile", *SETTINGS)


class MarkedNetwork(Network):
    """A `Network` in which `host` joins the new host to the others, and links have the faults of the mark.

    The switch in the middle is "lan", and the addresses are 10.0.0.1, 10.0.0.2 and so on, in the order in which the hosts are made. Each
    frame meets the faults of the mark once, on the way from its host to the switch. If the mark names a profile, the test's host is the
    user of that link in both directions, and the other hosts are behind it.
    """

    def __init__(self, settings: MarkSettings, plan: Plan):
        super().__init__(plan.seed)
        self.settings = settings
        self.decisions = Decisions(self, plan.faults)
        self.world: World | None = None
        #: the run has failed after this number of steps; 0: no bound
        self.most_steps = 0
        self._lan: Switch | None = None
        self._joined: list[SimHost] = []
        self._numbers = 0

    # -- building ----------------------------------------------------------------------------------------------------

    def host(self, name: str, config: Any = None, *, join: bool = True, **settings: Any) -> SimHost:
        """Network.host. With join=False, the host has no link, and your test makes one (`net.link`)."""
        host = super().host(name, config, **settings)
        if join:
            self._numbers += 1
            self._join(host, self._numbers)
        return host

    def skip_host(self) -> None:
        """Leave a host out. The hosts after it have the addresses that they would have with it."""
        self._numbers += 1

    def link(
        self,
        a: Node,
        b: Node,
        *,
        ab: "dict[str, Any] | None" = None,
        ba: "dict[str, Any] | None" = None,
        **settings: Any,
    ) -> Link:
        """Network.link, with the faults of the mark in both directions, except for those that `settings` change.

        Values may be texts with units, such as "50ms".
        """
        given = {name: settings.pop(name) for name in _FAULTS if name in settings and name != "mtu"}
        up, down = directions(self._faults(given))
        return super().link(a, b, ab={**up, **(ab or {})}, ba={**down, **(ba or {})}, **settings)

    def _faults(self, given: dict[str, Any]) -> dict[str, Any]:
        """The settings of a link: the mark's, changed by those that are given."""
        faults = {name: value for name, value in self.settings.faults.items() if name != "mtu"}
        if given.get("profile"):
            faults = {}
        faults = {**faults, **given}
        if "profile" not in faults and faults.get("trace") is None:
            faults.setdefault("delay", DELAY)
        return faults

    def make_channel(self, name: str, **settings: Any) -> Channel:
        """Network.make_channel."""
        return DecidedChannel(self.seed, name, self.decisions, **settings)

    def _join(self, host: SimHost, number: int) -> None:
        """Give the host a link to the switch, and an address."""
        if self._lan is None:
            self._lan = self.switch("lan")
        up, down = directions(self._faults({}))
        if "profile" not in self.settings.faults:
            down = {}
        elif host.name != self.settings.host:
            up = down = {}
        mtu = self.settings.faults.get("mtu", 1500)
        link = super().link(
            host, self._lan, mtu=mtu, addrs=(f"10.0.{number >> 8}.{number & 255}/16", None), ab=up, ba=down
        )
        self._lan.fdb.learn(link.a.iface.mac.to_bytes(6, "big"), link.b, self.now)
        if len(self._joined) < MOST_INTRODUCED:
            for other in self._joined:
                self._introduce(host, other)
                self._introduce(other, host)
            self._joined.append(host)

    def _introduce(self, host: SimHost, other: SimHost) -> None:
        here, there = host.ports[0].iface, other.ports[0].iface
        host.setup("add_neighbor", here, there.addrs[0].addr, there.mac)

    # -- running -----------------------------------------------------------------------------------------------------

    def start(self, host: SimHost | str, program: Callable[[], Any]) -> "Started":
        """Start a program on a host: a coroutine function, or a plain function, which may block. A name that is new makes a host.

        The program is ended with the test. If it fails, the test fails, unless the test waits for it: `await net.start(...)`, or
        `net.start(...).wait()` in a plain function, gives what the program returns. Before the test has begun, as in a fixture,
        the program begins with the test.
        """
        if self.world is None:
            raise RuntimeError("the test of this network has ended")
        if isinstance(host, str) and host not in self.hosts:
            host = self.host(host)
        return self.world.start(host, program)

    def run(self, until: Any, **options: Any) -> Any:
        """Network.run. In a test that is a plain function, the programs run beside the test, which waits for them."""
        if self.world is None or not self.world.inside():
            return super().run(until, **options)
        if isinstance(until, int):
            self.hub.sleep(until - self.now)
            return None
        return self.world.run_programs(until, **options)

    def step(self) -> bool:
        """Scheduler.step."""
        if 0 < self.most_steps < self.steps:
            raise SimError(f"the run was cut after {self.most_steps} steps")
        return super().step()
