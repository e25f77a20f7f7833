"""make paths: prove the critical path on many random runs: exact sums, and frames held back one at a time.

    python -m tools.paths --runs 1000 --sample 20 --frames 100

Each run is another network with other programs (tests/stepper/timing/runs.py). A held frame must move the end of the request by exactly the time for
which it was held if the path says that it is on it, and not at all if not. Frames that arrive together with one on the path are left out. If
the path has a timer that is derived from measured round trips, every frame may move the end a little, so such runs are counted apart.
"""

import argparse
import sys
import time

from pystack.stepper.timing import path
from tests.stepper.timing.runs import DERIVED, check_sum, disturbed, scenario


def main() -> int:
    """Run, and print what was found. Returns 1 if anything was wrong."""
    parser = argparse.ArgumentParser(prog="make paths", description="Prove the critical path on many random runs.")
    parser.add_argument("--runs", type=int, default=1000, help="runs whose sums are checked")
    parser.add_argument("--sample", type=int, default=20, help="of these, runs in which frames are held back")
    parser.add_argument("--frames", type=int, default=100, help="frames that are held back in each run of the sample")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    options = parser.parse_args()
    began = time.monotonic()
    spans = 0
    for seed in range(options.first, options.first + options.runs):
        found = path(scenario(seed).timeline())
        check_sum(found)
        spans += len(found.spans)
    print(
        f"{options.runs} runs, {spans} spans: every sum is exact, no span is unknown ({time.monotonic() - began:.0f} s)",
        flush=True,
    )
    tried = failed = derived = 0
    for seed in range(options.first, options.first + options.sample):
        found, wrong, count = disturbed(seed, options.frames)
        tried += count
        derived += any(span.cause in DERIVED for span in found)
        failed += len(wrong)
        for number, change, on_path in wrong:
            print(
                f"seed {seed}: frame {number} {'on' if on_path else 'not on'} the path moved the end by {change} ns",
                flush=True,
            )
    print(
        f"{options.sample} runs, {tried} frames held back: {failed} moved the end otherwise than the path says; "
        f"{derived} runs have a timer that is derived from round trips ({time.monotonic() - began:.0f} s)"
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
