"""Throws hostile frames, calls and time at live stacks, and checks the oracles after every step.

    python tools/fuzz.py --seconds 60             the compiled core (or the uncompiled one: --pure)
    python tools/fuzz.py --seconds 60 --both      both, comparing everything observable
    python tools/fuzz.py --replay crash.json      a saved program again
    python tools/fuzz.py --cost --seconds 60      inputs that take too much work or memory (tools/cost.py)

Each round is one small world (three interfaces, listeners, sockets) and 150 moves of tests.support.hostile, chosen by
the round's seed: the first seed (--seed) plus the number of the round. A failure is reduced to the steps that it needs,
printed, and saved as JSON with the frames in hex, which --replay and tests/fuzz/regressions/ understand. The exit
status is 1 after a failure.
"""

import argparse
import json
import os
import sys
import time
import traceback
from pathlib import Path
from random import Random, SystemRandom
from typing import Any

# At the end, so that a build in another directory can be put in front with PYTHONPATH.
sys.path.append(str(Path(__file__).resolve().parents[1]))

MOVES = 150
REGRESSIONS = sorted(Path(__file__).resolve().parents[1].glob("tests/fuzz/regressions/*.json"))


def parse(argv: list[str]) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60, help="how many seconds to run (default 60)")
    parser.add_argument("--seed", type=int, help="first seed (default: random, printed)")
    parser.add_argument("--rounds", type=int, default=1 << 62, help="at most this many rounds")
    parser.add_argument("--pure", action="store_true", help="use the uncompiled core")
    parser.add_argument("--both", action="store_true", help="compare the two builds after every step")
    parser.add_argument("--replay", type=Path, help="run a saved program")
    parser.add_argument("--cost", action="store_true", help="run the cost oracle: work and memory for each input")
    parser.add_argument("--target", action="append", help="with --cost: this target only; repeatable")
    parser.add_argument("--keep-going", action="store_true", help="with --cost: continue after a failure")
    parser.add_argument("--save", type=Path, default=Path("fuzz-failure.json"), help="file for a failure")
    return parser.parse_args(argv)


def make(seed: int) -> tuple[dict[str, Any], str, int]:
    """Play one round. Return its program, its failure ("" if none), and the number of steps."""
    from tests.support.hostile import Hostile, start
    from tests.support.world import World

    rng = Random(seed)
    program = start(rng)
    world = World(program)
    steps = program["steps"]
    try:
        for step in list(steps):
            world.apply(step)
        hostile = Hostile(world, rng)
        for _ in range(MOVES):
            for step in hostile.move():
                steps.append(step)
                world.apply(step)
        world.finish()
    except Exception:
        return program, traceback.format_exc(), world.count
    return program, "", world.count


def fails(program: dict[str, Any]) -> str:
    """Return how a program fails with all oracles on, or ""."""
    from tests.support.world import World

    try:
        world = World(program)
        for step in program["steps"]:
            world.apply(step)
        world.finish()
    except Exception:
        return traceback.format_exc()
    return ""


def signature(failure: str) -> str:
    """Return what makes two failures the same: the place, and the exception's type."""
    lines = [line.strip() for line in failure.strip().split("\n")]
    places = [line for line in lines if line.startswith("File ")]
    return f"{places[-1] if places else ''} {lines[-1].split(':')[0]}"


class SameFailure:
    """A test for minimise: whether the program fails as the first one did."""

    def __init__(self, failure: str):
        self.wanted = signature(failure)

    def __call__(self, program: dict[str, Any]) -> bool:
        return signature(fails(program)) == self.wanted


def minimise(program: dict[str, Any], test: Any, seconds: float = 60) -> dict[str, Any]:
    """Delta debugging: leave out ever smaller runs of steps while `test(program)` stays true."""
    steps = list(program["steps"])
    end = time.monotonic() + seconds
    size = max(1, len(steps) // 2)
    while size >= 1 and time.monotonic() < end:
        i = len(steps) - size
        changed = False
        while i > -size and time.monotonic() < end:
            shorter = steps[: max(0, i)] + steps[max(0, i) + size :]
            if len(shorter) < len(steps) and test({**program, "steps": shorter}):
                steps = shorter
                changed = True
            i -= size
        if size == 1 and not changed:
            break
        size = max(1, size // 2)
    return {**program, "steps": steps}


def dump(program: dict[str, Any]) -> str:
    """Return a program as JSON, with one step per line."""

    def plain(value: Any) -> Any:
        if isinstance(value, bytes):
            return {"hex": value.hex()}
        if isinstance(value, (tuple, list)):
            return [plain(item) for item in value]
        return value

    steps = ",\n  ".join(json.dumps(plain(step)) for step in program["steps"])
    head = json.dumps({name: value for name, value in program.items() if name != "steps"})
    return f'{head[:-1]}, "steps": [\n  {steps}\n]}}\n'


def load(text: str) -> dict[str, Any]:
    """Return a program from its JSON."""

    def back(value: Any) -> Any:
        if isinstance(value, dict):
            return bytes.fromhex(value["hex"])
        return tuple(back(item) for item in value) if isinstance(value, list) else value

    program: dict[str, Any] = json.loads(text)
    program["steps"] = [back(step) for step in program["steps"]]
    return program


def report(program: dict[str, Any], failure: str, seed: int, test: Any, save: Path) -> None:
    """Reduce the failure, print it, and save it."""
    print(f"\nseed {seed} fails:\n{failure}", flush=True)
    small = minimise(program, test)
    save.write_text(dump(small))
    print(f"reduced to {len(small['steps'])} of {len(program['steps'])} steps, in {save}:")
    print(f"config {small['config']}, stack seed {small['seed']}, probe {small['probe']}")
    for step in small["steps"]:
        print("  ", str(step)[:400])
    print(f"again: python tools/fuzz.py --replay {save}, or --seed {seed} --rounds 1")


def replay(path: Path, other: Any) -> int:
    """Run a saved program, on both builds if there is another one. Return the exit status."""
    from tests.support.worker import compare

    program = load(path.read_text())
    failure = fails(program) or (compare(program, other) if other is not None else "")
    print(failure or "no failure")
    return 1 if failure else 0


def main(argv: list[str]) -> int:
    """Play rounds until the time is over or one fails."""
    args = parse(argv)
    if args.pure:
        os.environ["PYSTACK_PURE"] = "1"
    import pystack
    from tests.support.worker import Worker, compare

    here = pystack.compiled()
    build = "compiled" if all(here.values()) else "uncompiled" if not any(here.values()) else "partly compiled"
    if args.cost:
        from tools import cost

        return cost.run(args, not any(here.values()))
    other = Worker(pure=not args.pure) if args.both else None
    if args.replay is not None:
        return replay(args.replay, other)
    seed = SystemRandom().randrange(1 << 40) if args.seed is None else args.seed
    print(f"{build} core{', compared with the other build' if other else ''}, first seed {seed}", flush=True)
    begin = shown = time.monotonic()
    rounds = steps = 0
    while time.monotonic() - begin < args.seconds and rounds < args.rounds:
        program, failure, count = make(seed + rounds)
        if failure:
            report(program, failure, seed + rounds, SameFailure(failure), args.save)
            return 1
        if other is not None:
            failure = compare(program, other)
            if failure:
                report(program, failure, seed + rounds, lambda p: not fails(p) and compare(p, other) != "", args.save)
                return 1
        rounds += 1
        steps += count
        now = time.monotonic()
        if sys.stdout.isatty() and now - shown > 1:
            shown = now
            print(f"\r{rounds} worlds, {steps} steps, {steps / (now - begin):.0f} a second", end="", flush=True)
    print(f"\r{rounds} worlds, {steps} steps in {time.monotonic() - begin:.0f} s: no failure")
    if other is not None:
        other.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
