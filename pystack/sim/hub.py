"""The hub of a network: it lets programs wait in virtual time, and it alone steps the network.

A wait is an object with `fired` and `resume` (see Signal). Code that waits is either a program in a greenlet (sim/green.py), which is
parked until the hub resumes it, or the code that drives the network. For the latter, the hub steps the network until the wait is over.
"""

import gc
import random
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pystack.sim.scheduler import SimDeadlock, SimError

if TYPE_CHECKING:
    from pystack.sim.green import Green
    from pystack.sim.network import Network

#: virtual time (ns) and steps after which garbage is collected while programs run (`collecting`)
COLLECT_TIME = 10_000_000_000
COLLECT_STEPS = 1_000_000
#: steps in one instant of virtual time after which the run is taken for one in which time never passes
STEPS = 1_000_000
#: how often code may read the clock in one instant (`Hub.spin`); a try of a socket counts ten times
SPINS = 10_000_000
#: before any replacement
_Random = random.Random
_monotonic_ns, _sleep = time.monotonic_ns, time.sleep

#: whether a run has frozen what was there before it, and whether the process has frozen objects itself
_run_froze = _process_froze = False


def _freeze() -> bool:
    """Freeze the objects that are there (gc.freeze). Return False if an outer run, or the process itself, has frozen some already.

    The process is asked once only if it has, because Python counts the frozen objects one by one.
    """
    global _run_froze, _process_froze
    if not _run_froze and not _process_froze:
        _process_froze = gc.get_freeze_count() > 0
        if not _process_froze:
            gc.freeze()
            _run_froze = True
            return True
    return False


def _unfreeze() -> None:
    global _run_froze
    gc.unfreeze()
    _run_froze = False


class Signal:
    """A wait that `fire` ends."""

    def __init__(self, what: str = "") -> None:
        self.fired = False
        self.resume: Callable[[], None] | None = None
        #: for the report of a deadlock
        self.what = what

    def fire(self) -> None:
        """Let the program that waits go on."""
        if not self.fired:
            self.fired = True
            if self.resume is not None:
                self.resume()


class RealPace:
    """Lets each event happen when its time has come on the real clock, too. A network that has much to do falls behind.

    late  the most ns by which it fell behind
    """

    def __init__(self, now: int):
        self._offset = _monotonic_ns() - now
        self.late = 0

    def wait(self, time: int) -> None:
        """Sleep, in real time, until virtual time `time`."""
        left = time + self._offset - _monotonic_ns()
        if left > 0:
            _sleep(left / 1e9)
        else:
            self.late = max(self.late, -left)


class Hub:
    """The waits and programs of one network.

    limit     the virtual time (ns) that no wait may pass, or None
    running   the greenlet's program that runs now, or None: the code that drives the network
    programs  the programs in greenlets that have not ended
    loops     the event loops of this network that are open
    """

    def __init__(self, net: "Network"):
        self.net = net
        self.limit: int | None = None
        self.running: Green | None = None
        self.programs: list[Green] = []
        self.loops: list[Any] = []
        #: the programs are being ended: a wait raises GreenletExit
        self.ending = False
        #: makes virtual time pass as real time does, or None: at once
        self.pace: RealPace | None = None
        #: why the programs are being interrupted (sim/watchdog.py), or ""
        self.reason = ""
        self._serial = 1
        self._entropy: random.Random | None = None
        #: the state of the module random's generator, between two runs
        self.random_state: Any = None
        #: the number of runs that are under way (sim/running.py)
        self.sessions = 0
        self._collect_at = -1
        self._collect_step = 0
        self._gc_was_enabled = True
        self._gc_froze = False
        #: the time of the last event, and the number of steps before the first event of that time
        self._instant = -1
        self._instant_began = 0
        #: the number of steps at the last `spin`, and how many there were since that step
        self._spun_at = -1
        self._spins = 0

    def serial(self) -> int:
        """The next number of this network. In each run, the same object gets the same number."""
        self._serial += 1
        return self._serial

    def caller(self) -> int:
        """A number, not 0, for the program that runs now."""
        return 1 if self.running is None else self.running.number

    def entropy(self) -> random.Random:
        """The generator behind os.urandom and generators without a seed, for the programs of this network."""
        if self._entropy is None:
            self._entropy = _Random(self.net.derive("entropy"))
        return self._entropy

    # -- waiting -------------------------------------------------------------------------------------------------

    def park(self, waiting: Any, deadline: int | None) -> bool:
        """Wait until `waiting` has fired (True) or virtual time `deadline` has come (False)."""
        if self.running is not None:
            return self.running.park(waiting, deadline)
        return self.drive(waiting, deadline)

    def sleep(self, delay: int) -> None:
        """Wait for `delay` ns."""
        self.park(Signal("a sleep"), self.net.now + max(0, delay))

    def settle(self) -> None:
        """Do everything that is due now."""
        if self.running is not None:
            self.running.park(Signal("its turn"), self.net.now)
        else:
            self.net.settle()

    def drive(self, waiting: Any, deadline: int | None) -> bool:
        """Step the network until `waiting` has fired or `deadline` has come."""
        net = self.net
        if net.driver is not None:
            return net.driver.drive(waiting, deadline)
        while not waiting.fired:
            time = net.next_time()
            if deadline is not None and (time is None or time > deadline):
                if deadline > net.now:
                    self.check_limit(deadline)
                    if self.pace is not None:
                        self.pace.wait(deadline)
                    net.now = deadline
                return False
            if time is None:
                raise SimDeadlock(
                    f"nothing can ever happen again at {net.now / 1e9:.6f} s: no event is due\n{self.report()}"
                )
            if time > self._instant:
                self._instant = time
                self._instant_began = net.steps
                self.check_limit(time)
                if self.pace is not None:
                    self.pace.wait(time)
            elif net.steps - self._instant_began > STEPS:
                raise SimError(
                    f"{STEPS} steps at {net.now / 1e9:.6f} s: time cannot pass while programs never wait\n{self.report()}"
                )
            if 0 <= self._collect_at <= time or net.steps > self._collect_step:
                self._collect(time)
            net.step()
        return True

    def spin(self, what: str, weight: int = 1) -> None:
        """Note that code looks whether something has happened, instead of waiting for it. SimError if it does nothing else."""
        if self.net.steps != self._spun_at:
            self._spun_at = self.net.steps
            self._spins = 0
        self._spins += weight
        if self._spins > SPINS:
            self._spins = 0
            name = (
                "code"
                if self.running is None
                else f"the program {self.running.name!r} on host {self.running.host.name!r}"
            )
            raise SimError(
                f"{name} {what} again and again at {self.net.now / 1e9:.6f} s: time cannot pass while code never waits; let it sleep"
            )

    def check_limit(self, time: int) -> None:
        """Raise SimError if virtual time would pass the limit."""
        if self.limit is not None and time > self.limit:
            raise SimError(
                f"the programs have not ended after {self.limit / 1e9:g} s of virtual time, their limit\n{self.report()}"
            )

    def report(self) -> str:
        """The programs that wait, and for what."""
        from pystack.sim import report

        return report.of(self)

    # -- programs ------------------------------------------------------------------------------------------------

    def spawn(self, host: Any, fn: Callable[..., Any], *args: Any, name: str = "", context: Any = None) -> "Green":
        """Start `fn(*args)` on a host, in a greenlet, now. It may block: only its own program waits."""
        from pystack.sim import green

        return green.Green(self, host, fn, args, name, context)

    # -- garbage -------------------------------------------------------------------------------------------------

    def collecting(self, on: bool) -> None:
        """While on, garbage is collected at fixed virtual times: finalizers close sockets, and so they send frames.

        The objects that were there before are frozen for that time, so that a collection looks at the run's own objects. If
        the process has frozen objects itself, they stay so, and nothing else is frozen.
        """
        if on:
            self._gc_was_enabled = gc.isenabled()
            gc.collect()
            self._gc_froze = _freeze()
            gc.disable()
            self._collect_at = self.net.now + COLLECT_TIME
            self._collect_step = self.net.steps + COLLECT_STEPS
        else:
            self._collect_at = -1
            if self._gc_froze:
                _unfreeze()
            if self._gc_was_enabled:
                gc.enable()

    def collect_if_due(self) -> None:
        """Collect garbage if its time has come."""
        if 0 <= self._collect_at <= self.net.now or self.net.steps > self._collect_step:
            self._collect(self.net.now)

    def _collect(self, time: int) -> None:
        if self._collect_at >= 0:
            gc.collect()
            self._collect_at = time - time % COLLECT_TIME + COLLECT_TIME
        self._collect_step = self.net.steps + COLLECT_STEPS
