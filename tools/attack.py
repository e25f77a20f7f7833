"""Runs many seeds of the malicious peer (tests/attack/malicious.py): `python -m tools.attack --seeds 10000`.

Each seed is a few peers that misbehave beside an honest exchange, with random behaviour and settings. A seed that fails
is printed with what the attack achieved, and fails again in the same way: `python -m tools.attack --first SEED --seeds
1`. The exit status is 1 if any seed failed. `--both` runs them on the compiled and then on the uncompiled core
(PYSTACK_PURE=1). `--skip NAME` leaves a check out.
"""

import argparse
import contextlib
import os
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor

import pystack  # noqa: F401 (first, because it decides which build of the core is loaded)
import pystack_c.tcp.output
from tests.attack.malicious import CHECKS, Siege

COMPILED = not pystack_c.tcp.output.__file__.endswith(".py")


def run(seed: int, checks: tuple[str, ...]) -> tuple[int, str, int]:
    """Run one seed. Return (seed, what the peers achieved or "", packets that they sent)."""
    siege = Siege(seed, checks)
    try:
        siege.run()
    except Exception as error:
        return seed, f"{siege.describe()}\n  {type(error).__name__}: {error}".rstrip(), siege.received
    return seed, "", siege.received


def both(argv: list[str]) -> int:
    """Run the same command on each build."""
    codes = []
    for pure in ("0", "1"):
        command = [sys.executable, "-m", "tools.attack", *(arg for arg in argv if arg != "--both")]
        codes.append(subprocess.run(command, env={**os.environ, "PYSTACK_PURE": pure}, check=False).returncode)
    return max(codes)


def main(argv: "list[str] | None" = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m tools.attack", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--seeds", type=int, default=10_000, help="number of seeds (default: %(default)s)")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--jobs", type=int, default=2, help="processes (default: %(default)s)")
    parser.add_argument(
        "--seconds", type=int, default=0, help="stop starting seeds after this time (default: no limit)"
    )
    parser.add_argument("--skip", action="append", default=[], choices=list(CHECKS), help="a check to leave out")
    parser.add_argument("--both", action="store_true", help="run on the compiled core, then on the uncompiled one")
    options = parser.parse_args(argv)
    if options.both:
        return both(sys.argv[1:] if argv is None else argv)
    checks = tuple(name for name in CHECKS if name not in options.skip)
    begin = time.monotonic()
    bad: Counter[str] = Counter()
    done = packets = 0
    with ProcessPoolExecutor(options.jobs) as pool, contextlib.suppress(KeyboardInterrupt):
        for first in range(options.first, options.first + options.seeds, 100):
            seeds = range(first, min(first + 100, options.first + options.seeds))
            for seed, wrong, sent in pool.map(run, seeds, [checks] * len(seeds), chunksize=5):
                done += 1
                packets += sent
                if wrong:
                    bad[wrong.rsplit("\n", 1)[1].strip().split(":")[0]] += 1
                    print(f"seed {seed}: {wrong}", flush=True)
            if (first - options.first) % 1000 == 900:
                print(f"{done} of {options.seeds} seeds, {time.monotonic() - begin:.0f} s", flush=True)
            if 0 < options.seconds < time.monotonic() - begin:
                break
    how = "compiled" if COMPILED else "uncompiled"
    took = time.monotonic() - begin
    print(f"{done} seeds of the malicious peer, {how}: {sum(bad.values())} failed; {packets} packets, {took:.0f} s")
    return 1 if bad or done < options.seeds else 0


if __name__ == "__main__":
    sys.exit(main())
