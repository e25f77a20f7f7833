"""The hub of a network: it lets programs wait in virtual time. It alone steps the network.

Code that waits is either a program of the network, which the hub parks and resumes (a greenlet, see sim/green.py), or the code that drives the
network: then the hub steps the network until the wait is over.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from pystack.sim.scheduler import SimDeadlock, SimError

if TYPE_CHECKING:
    from pystack.sim.network import Network


class Waiting(Protocol):
    """A wait: over once `fired` is true; `resume`, if it is set, is called at that moment."""

    fired: bool
    resume: Callable[[], None] | None


class Hub:
    """The waits of one network. `limit`: the virtual time (ns) that no wait may pass, or None."""

    def __init__(self, net: "Network"):
        self.net = net
        self.limit: int | None = None

    def caller(self) -> int:
        """A number, not 0, for the program that runs now."""
        return 1

    def park(self, waiting: Waiting, deadline: int | None) -> bool:
        """Wait until `waiting` has fired (True) or virtual time `deadline` has come (False)."""
        return self.drive(waiting, deadline)

    def drive(self, waiting: Waiting, deadline: int | None) -> bool:
        """Step the network until `waiting` has fired or `deadline` has come."""
        net = self.net
        while not waiting.fired:
            time = net.next_time()
            if deadline is not None and (time is None or time > deadline):
                if deadline > net.now:
                    self.check_limit(deadline)
                    net.now = deadline
                return False
            if time is None:
                raise SimDeadlock(self.deadlock())
            self.check_limit(time)
            net.step()
        return True

    def check_limit(self, time: int) -> None:
        """Raise SimError if virtual time would pass the limit."""
        if self.limit is not None and time > self.limit:
            raise SimError(
                f"the run is not over at {self.limit / 1e9:g} s of virtual time, its limit\n" + self.report()
            )

    def deadlock(self) -> str:
        """The text of a SimDeadlock."""
        return f"nothing can ever happen again: no event is due after {self.net.now / 1e9:.6f} s\n" + self.report()

    def report(self) -> str:
        """The programs that wait, and for what."""
        return ""
