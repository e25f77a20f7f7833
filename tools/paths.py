"""make paths: prove the critical path on many random runs: exact sums, and frames held back one at a time.

    python -m tools.paths --runs 1000 --sample 30 --frames 100

Each run is another network with other programs (tests/stepper/timing/runs.py). A held frame must move the end of the request by exactly the time for
which it was held if the path says that it is on it, and not at all if not. Two exceptions are shown. Frames on other paths that end at the same
time may move the end or not. If the path has a timer that is derived from measured round trips, every frame may move the end a little.

The measured changes must contradict walks that are deliberately wrong (tests/stepper/timing/wrong.py), although their sums are exact.
"""

import argparse
import sys
import time
from unittest import mock

from pystack.stepper.timing import PathError, path
from pystack.stepper.timing.walk import Walk
from tests.stepper.timing.runs import HELD, Disturbed, Shape, check_sum, contradicts, disturbed, scenario
from tests.stepper.timing.wrong import WRONG


def sums(seeds: range) -> int:
    """Check the sums of all runs. Returns the number of those that are wrong."""
    began, spans, two, failed = time.monotonic(), 0, 0, 0
    for seed in seeds:
        try:
            found = path(scenario(seed).timeline())
            check_sum(found)
        except (AssertionError, PathError) as error:
            failed += 1
            print(f"seed {seed}: {error!r}", flush=True)
            continue
        spans += len(found.spans)
        two += len(Shape(seed).ports) > 1
    print(
        f"{len(seeds)} runs ({two} with two programs on a host), {spans} spans: {failed} sums are not exact or have an unknown span "
        f"({time.monotonic() - began:.0f} s)",
        flush=True,
    )
    return failed


def contradicted(one: Disturbed) -> set[str]:
    """Return the names of the wrong walks that a run contradicts. AssertionError: the sum of one is not exact."""
    names = set()
    for name, method in WRONG.items():
        with mock.patch.object(Walk, name, method):
            found = path(one.timeline)
            assert sum(span.duration for span in found) == found.elapsed
            if contradicts(found, one):
                names.add(name)
    return names


def held(seeds: list[int], frames: int) -> int:
    """Hold frames of each run. Returns how many moved the end otherwise than the path says, and how many wrong walks nothing contradicts."""
    began = time.monotonic()
    failed = on_path = beside = near = ties = moved = derived = as_said = in_derived = 0
    noticed = dict.fromkeys(WRONG, 0)
    for seed in seeds:
        one = disturbed(seed, frames, ties=10)
        path_of = set(one.found.frames())
        right = sum(two.change == (two.held if two.number in path_of else 0) for two in one.held)
        if one.derived:
            derived, in_derived, as_said = derived + 1, in_derived + len(one.held), as_said + right
        else:
            first = sum(two.number in path_of for two in one.held)
            on_path, beside = on_path + first, beside + len(one.held) - first
            for name in contradicted(one):
                noticed[name] += 1
        failed, near, ties = failed + len(one.wrong), near + len(one.near), ties + len(one.ties)
        moved += sum(two.change != 0 for two in one.ties)
        kind = ", a timer is derived from round trips" if one.derived else ""
        print(
            f"seed {seed}: {right} of {len(one.held)} as the path says{kind} ({time.monotonic() - began:.0f} s)",
            flush=True,
        )
        for number, change, on in one.wrong:
            print(f"  frame {number} {'on' if on else 'not on'} the path moved the end by {change} ns", flush=True)
    print(
        f"{len(seeds)} runs, {on_path + beside + in_derived} frames held for at most {HELD} ns: {failed} moved the end otherwise than the path says\n"
        f"  {on_path} on the path, {beside} not on it ({near} of them on a path that ends less than {HELD} ns before)\n"
        f"  besides, {ties} frames on paths that end at the same time were held: {moved} moved the end\n"
        f"  {derived} runs have a timer that is derived from round trips: {as_said} of {in_derived} frames did as the path says"
    )
    for name, count in noticed.items():
        print(f"  wrong walk ({name}): {count} of {len(seeds) - derived} runs contradict it")
    return failed + sum(not count for count in noticed.values())


def main() -> int:
    """Run, and print what was found. Returns 1 if anything was wrong."""
    parser = argparse.ArgumentParser(prog="make paths", description="Prove the critical path on many random runs.")
    parser.add_argument("--runs", type=int, default=1000, help="runs whose sums are checked")
    parser.add_argument("--sample", type=int, default=30, help="of these, runs in which frames are held back")
    parser.add_argument("--frames", type=int, default=100, help="frames that are held back in each run of the sample")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    options = parser.parse_args()
    seeds = range(options.first, options.first + options.runs)
    sample = list(seeds[:: max(1, options.runs // max(1, options.sample))][: options.sample])
    return 1 if sums(seeds) + held(sample, options.frames) else 0


if __name__ == "__main__":
    sys.exit(main())
