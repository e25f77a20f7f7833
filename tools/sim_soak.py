"""Many seeds of the hostile network: `python -m tools.sim_soak --seeds 1000`.

Each run sends 1 MB each way over 10 % loss, reordering, duplication and corruption, and checks every byte, and that no
timer or endpoint is left. With `--sessions`, each run is eight connections at random instead (tests/sim/sessions.py).
Exit status 1 if any seed fails; the failing seeds are listed, and each one fails again in the same way.
"""

import argparse
import contextlib
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import pystack  # noqa: F401 (first: it decides which build of the core is loaded)
import pystack_c.tcp.output
from tests.sim.hostile import SIZE, Transfer
from tests.sim.sessions import Sessions

COMPILED = not pystack_c.tcp.output.__file__.endswith(".py")


def run(seed: int, size: int, settings: dict[str, Any]) -> tuple[int, str, float, int]:
    """One seed: (seed, what went wrong or "", virtual seconds, frames). Size 0: random sessions."""
    scene: Transfer | Sessions = Transfer(seed, size, **settings) if size else Sessions(seed, **settings)
    wrong = ""
    try:
        took = scene.run() / 1e9
    except Exception as error:
        took = scene.net.now / 1e9
        wrong = f"{type(error).__name__}: {error}".split("\n")[0]
    return seed, wrong, took, sum(channel.stats.frames for channel in scene.link.channels())


def main(argv: "list[str] | None" = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tools.sim_soak", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--seeds", type=int, default=1000, help="how many (default: %(default)s)")
    parser.add_argument("--first", type=int, default=0, help="the first one")
    parser.add_argument("--size", type=int, default=SIZE, help="bytes each way (default: %(default)s)")
    parser.add_argument("--sessions", action="store_true", help="random sessions instead of one transfer")
    parser.add_argument("--jobs", type=int, default=2, help="processes (default: %(default)s)")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a setting of both stacks")
    options = parser.parse_args(argv)
    settings: dict[str, Any] = {name: int(value) for name, _, value in (item.partition("=") for item in options.set)}
    seeds = range(options.first, options.first + options.seeds)
    size = 0 if options.sessions else options.size
    begin = time.monotonic()
    bad = frames = done = 0
    slowest = (0.0, -1)
    with ProcessPoolExecutor(options.jobs) as pool, contextlib.suppress(KeyboardInterrupt):
        count = len(seeds)
        for seed, wrong, took, sent in pool.map(run, seeds, [size] * count, [settings] * count, chunksize=4):
            done += 1
            frames += sent
            slowest = max(slowest, (took, seed))
            if wrong:
                bad += 1
                print(f"seed {seed}: {wrong}", flush=True)
            elif done % 100 == 0:
                print(f"{done} of {count} seeds, {time.monotonic() - begin:.0f} s", flush=True)
    how = "compiled" if COMPILED else "uncompiled"
    print(
        f"{done} seeds, {f'{size} bytes each way' if size else 'random sessions'}, {how}: {bad} failed; {frames} frames, "
        f"slowest {slowest[0]:.1f} virtual s (seed {slowest[1]}), {time.monotonic() - begin:.0f} s"
    )
    return 1 if bad or done < len(seeds) else 0


if __name__ == "__main__":
    sys.exit(main())
