"""How long a test waits for what must happen, and how it waits."""

import time
from collections.abc import Callable

#: Seconds. A process that wants to run may wait for seconds if other tests keep the machine busy. No test waits that long unless it fails.
PATIENCE = 30.0


def until(condition: Callable[[], object], seconds: float = PATIENCE) -> bool:
    """Wait until a condition is true. Return False if it never was."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.002)
    return True
