"""Runs many seeds of the hostile network: `python -m tools.sim_soak --seeds 1000`.

Each run sends 1 MB each way over 10 % loss, reordering, duplication and corruption. It checks every byte, and that no
timer or endpoint is left. With `--sessions`, each run is eight random connections instead (tests/sim/sessions.py). With
`--properties`, each run is a random network with random programs and settings, whose stacks must hold their invariants
after every event (tests/sim/properties.py). A seed that fails is shrunk, and printed as a command that runs what is
left of it:

    python -m tools.sim_soak --properties --first 21 --seeds 1 --ingredients '[...]' --record x.trace
    pystack replay -v x.trace        # or: pystack step x.trace

The exit status is 1 if any seed fails. The failing seeds are listed, and each one fails again in the same way.
"""

import argparse
import contextlib
import json
import shlex
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import pystack  # noqa: F401 (first, because it decides which build of the core is loaded)
import pystack_c.tcp.output
from tests.sim import properties
from tests.sim.hostile import SIZE, Transfer
from tests.sim.sessions import Sessions

COMPILED = not pystack_c.tcp.output.__file__.endswith(".py")


def run(seed: int, size: int, settings: dict[str, Any]) -> tuple[int, str, float, int]:
    """Run one seed. Return (seed, what went wrong or "", virtual seconds, frames). Size 0 means random sessions."""
    scene: Transfer | Sessions = Transfer(seed, size, **settings) if size else Sessions(seed, **settings)
    wrong = ""
    try:
        took = scene.run() / 1e9
    except Exception as error:
        took = scene.net.now / 1e9
        wrong = f"{type(error).__name__}: {error}".split("\n")[0]
    return seed, wrong, took, sum(channel.stats.frames for channel in scene.link.channels())


def run_properties(seed: int, check: int) -> tuple[int, str, int]:
    """Run one seed of --properties. Return (seed, what went wrong and how to see it again, or "", bytes that arrived)."""
    scene = properties.Scenario(seed, properties.draw(seed), check)
    try:
        scene.run()
    except Exception as error:
        said = f"{type(error).__name__}: {error}".split("\n")[0]
        best, why = properties.shrink(seed, properties.draw(seed))
        command = ["python", "-m", "tools.sim_soak", "--properties", "--first", str(seed), "--seeds", "1"]
        command += ["--ingredients", json.dumps(best), "--record", "x.trace"]
        count = len(scene.ingredients)
        said += (
            f"\n  {count} ingredients, shrunk to {len(best)}: {why}\n  {shlex.join(command)}\n  pystack step x.trace"
        )
        return seed, said, 0
    return seed, "", sum(len(program.got) for pair in scene.flows for program in pair)


def soak_properties(options: argparse.Namespace) -> int:
    """Run with --properties."""
    begin = time.monotonic()
    seeds = range(options.first, options.first + options.seeds)
    bad = got = done = 0
    with ProcessPoolExecutor(options.jobs) as pool, contextlib.suppress(KeyboardInterrupt):
        for seed, wrong, size in pool.map(run_properties, seeds, [options.check] * len(seeds), chunksize=8):
            done += 1
            got += size
            bad += bool(wrong)
            if wrong:
                print(f"seed {seed}: {wrong}", flush=True)
            elif done % 1000 == 0:
                print(f"{done} of {len(seeds)} seeds, {time.monotonic() - begin:.0f} s", flush=True)
    how = "compiled" if COMPILED else "uncompiled"
    print(f"{done} seeds of properties, {how}: {bad} failed; {got} bytes, {time.monotonic() - begin:.0f} s")
    return 1 if bad or done < len(seeds) else 0


def run_ingredients(options: argparse.Namespace) -> int:
    """Run one scenario, given by its ingredients, and record it."""
    out: list[Any] = []

    def prepare(net: Any) -> None:
        out.append(net)
        if options.record:
            net.record(options.record)

    ingredients = json.loads(options.ingredients) if options.ingredients else properties.draw(options.first)
    wrong = ""
    try:
        properties.Scenario(options.first, ingredients, options.check, prepare).run()
    except Exception as error:
        wrong = f"{type(error).__name__}: {error}"
    finally:
        out[0].close()
    print(
        f"seed {options.first}, {len(ingredients)} ingredients, until {out[0].now / 1e9:.6f} s: {wrong or 'all is well'}"
    )
    return 1 if wrong else 0


def main(argv: "list[str] | None" = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m tools.sim_soak", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--seeds", type=int, default=1000, help="number of seeds (default: %(default)s)")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--size", type=int, default=SIZE, help="bytes each way (default: %(default)s)")
    parser.add_argument("--sessions", action="store_true", help="random sessions instead of one transfer")
    parser.add_argument("--jobs", type=int, default=2, help="processes (default: %(default)s)")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a setting of both stacks")
    parser.add_argument(
        "--properties", action="store_true", help="random networks, programs and settings, with invariants"
    )
    parser.add_argument(
        "--check", type=int, default=1, metavar="N", help="with --properties: check the invariants every N events"
    )
    parser.add_argument("--ingredients", metavar="JSON", help="with --properties: run this scenario with --first")
    parser.add_argument(
        "--record", metavar="FILE", help="with --properties: record the first seed's run for pystack replay and step"
    )
    options = parser.parse_args(argv)
    if options.ingredients or options.record:
        return run_ingredients(options)
    if options.properties:
        return soak_properties(options)
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
