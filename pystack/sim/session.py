"""While programs of a network run: the standard library is patched, garbage waits, and the module random is the network's."""

import contextlib
import random
from collections.abc import Iterator
from threading import get_ident
from typing import Any

from pystack.patching import hold
from pystack.sim.scheduler import SimDeadlock
from pystack.sim.watchdog import POSSIBLE, Watchdog

#: the thread that has a session, or 0
_thread = 0

#: what is replaced (pystack.patching; sim/blocking.py, sim/threads.py and sim/descriptors.py list the replacements)
GROUPS = ("sockets", "files", "time", "random", "select", "asyncio", "threads", "processes", "tls", "descriptors")
#: virtual time (ns) after which a run is ended if nothing else is asked for: a day
LIMIT = 86_400_000_000_000


@contextlib.contextmanager
def session(net: Any) -> Iterator[None]:
    """Begin a session of `net`, or go on with the one that is under way. RuntimeError: another thread has one.

    The generator of the module random and the garbage collector are the process's.
    """
    global _thread
    hub = net.hub
    me = get_ident()
    if _thread not in (0, me):
        raise RuntimeError(
            "another thread runs programs in virtual time: a process can do that in one thread at a time"
        )
    if hub.sessions:
        yield
        return
    outer, _thread = _thread, me
    with hold(*GROUPS):
        before = random.getstate()
        if hub.random_state is None:
            random.seed(net.derive("random"))
        else:
            random.setstate(hub.random_state)
        hub.sessions += 1
        endless = hub.limit is None
        if endless:
            hub.limit = net.now + LIMIT
        hub.collecting(True)
        watchdog = Watchdog(hub) if outer == 0 and POSSIBLE else None  # of a run in a run, the outer one watches
        try:
            yield
        except KeyboardInterrupt:
            reason, hub.reason = hub.reason, ""
            if reason:
                raise SimDeadlock(reason) from None
            raise
        finally:
            if watchdog is not None:
                watchdog.close()
            hub.sessions -= 1
            if endless:
                hub.limit = None
            hub.collecting(False)
            hub.random_state = random.getstate()
            random.setstate(before)
            _thread = outer
