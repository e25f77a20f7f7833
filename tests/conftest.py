"""What all tests share. Importing pystack first makes PYSTACK_PURE=1 hold for the whole run."""

import gc
import os
import signal
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import settings

import pystack  # noqa: F401
from tests.support.spread import in_order, left_out, mark_of

# The same examples each time: a run that fails, fails again, and says something about what was changed. `make fuzz` looks for new ones.
# None has a deadline: how long an example takes is the machine's load, not the code.
settings.register_profile("same", derandomize=True, deadline=None)
settings.register_profile("search", derandomize=False, deadline=None, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))

ROOT = Path(__file__).resolve().parents[1]

# A shell ignores SIGINT in what it runs in the background, and all programs below it inherit that. Tests interrupt programs by SIGINT.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave the files alone of which the run takes no test: importing them would be half of the collection in each process."""
    if collection_path.suffix == ".py" and collection_path.is_relative_to(ROOT):
        return left_out(collection_path.relative_to(ROOT).as_posix(), config.option.markexpr) or None
    return None


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collect without Python's garbage collector, which would look at all that was collected so far again and again."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item], config: pytest.Config | None = None) -> None:
    """Give each test the mark that tests/support/spread.py has for it, and begin with the longest ones."""
    for item in items:
        mark = mark_of(item.nodeid)
        if mark is not None:
            item.add_marker(mark)
    processes = getattr(config, "workerinput", {}).get("workercount", 1)
    items[:] = [items[number] for number in in_order([item.nodeid for item in items], processes)]


def pytest_collection_finish() -> None:
    """Take what the collection of the tests has made out of Python's garbage collector, for as long as the process lasts.

    These are hundreds of thousands of objects. Without this, each full collection looks at all of them, and takes a quarter of a
    second. A simulation with blocking programs makes at least two.
    """
    gc.collect()
    gc.freeze()
