"""Exposes the real-time driver to devices that fail, signals, leaps of time and threads, round by round.

    python tools/fuzz_driver.py --seconds 60

Each round is two stacks on a cable (tests/support/shaky.py), with the faults that the round's seed chooses. Threads and
real time cannot be repeated exactly, but the faults can: --seed N --rounds 1 plays a round again. The exit status is 1
after a failure.
"""

import argparse
import os
import sys
import time
from pathlib import Path
from random import SystemRandom

sys.path.append(str(Path(__file__).resolve().parents[1]))


def main(argv: list[str]) -> int:
    """Play rounds until the time is over or one fails."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60, help="how many seconds to run (default 60)")
    parser.add_argument("--seed", type=int, help="first seed (default: random, printed)")
    parser.add_argument("--rounds", type=int, default=1 << 62, help="at most this many rounds")
    parser.add_argument("--pure", action="store_true", help="use the uncompiled driver")
    options = parser.parse_args(argv)
    if options.pure and os.environ.get("PYSTACK_PURE") != "1":
        os.environ["PYSTACK_PURE"] = "1"
        os.execv(sys.executable, [sys.executable, __file__, *argv])
    from tests.support import shaky

    seed = options.seed if options.seed is not None else SystemRandom().randrange(1 << 30)
    first = seed
    end = time.monotonic() + options.seconds
    while seed < first + options.rounds and time.monotonic() < end:
        problems = shaky.play(seed)
        if problems:
            print(f"tools/fuzz_driver.py --seed {seed} --rounds 1:")
            for problem in problems:
                print(f"  {problem}")
            return 1
        seed += 1
    print(f"{seed - first} rounds of the driver's fuzzer from seed {first}: no failure")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
