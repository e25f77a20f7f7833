"""python -m tools.bench: measure, print the table, write build/bench.json and docs' picture."""

import argparse
import os
import sys
import time
from pathlib import Path

from tools.bench import queues, report, simulator
from tools.bench.lab import SERVER_CPU, Lab
from tools.bench.stacks import ROOT, Stack, stacks
from tools.bench.works import WORKS, Work, start_up


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument(
        "--only", action="append", default=[], help="only stacks or works whose name contains this; repeatable"
    )
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0, help="seconds of each measurement")
    parser.add_argument("--quick", action="store_true", help="one run of half a second each, as a test")
    parser.add_argument("--json", default="build/bench.json")
    parser.add_argument("--picture", help="draw the ratios into this .svg")
    parser.add_argument("--add", action="store_true", help="keep the rows of the .json that are not measured now")
    options = parser.parse_args()
    if options.quick:
        options.runs, options.seconds = 1, 0.5
    return options


def chosen(only: list[str], everything: list[Stack]) -> tuple[list[Stack], list[Work], bool]:
    """Return the stacks and works that --only leaves, and whether the simulator, the start-up and the queues are among
    them.
    """
    named = [stack for stack in everything if any(word in stack.name for word in only)]
    works = [work for work in WORKS if any(word in work.name for word in only)]
    others = [word for word in only if word in ("simulator", "start-up", "queues")]
    if only and not named and not works:
        return [], [], bool(others)
    return named or everything, works or WORKS, not only or bool(others)


def measure(stack: Stack, works: list[Work], seconds: float, first: bool, results: report.Results) -> None:
    """Measure all works on one stack, in a lab of its own."""
    wanted = [work for work in works if work.wanted(stack) and (first or not work.once)]
    if seconds < 1:
        wanted = [work for work in wanted if not work.once]
    if not wanted:
        return
    print(f"{stack.name} ...", file=sys.stderr, flush=True)
    try:
        with Lab(stack.command, stack.kernel, ROOT / "build" / "bench") as lab:
            lab.pin(SERVER_CPU)
            for work in wanted:
                try:
                    for row, value in work.measure(lab, seconds).items():
                        results.add(stack.name, row, value)
                except (RuntimeError, OSError, ZeroDivisionError, AssertionError) as exc:
                    results.fail(stack.name, work.name, str(exc).strip().splitlines()[-1])
    except RuntimeError as exc:
        results.fail(stack.name, "all", str(exc))


def main() -> int:
    """Measure and report."""
    options = arguments()
    if os.geteuid() != 0:
        print("make bench: skipped: network namespaces and TAP devices need root (or: unshare -Urn make bench)")
        return 0
    os.chdir(ROOT)
    everything = stacks(ROOT / "build" / "bench")
    todo, works, others = chosen(options.only, everything)
    results = report.Results(Path(options.json), options.add)
    for stack in todo:
        if stack.missing:
            results.fail(stack.name, "all", f"skipped: {stack.missing}")
    ready = [stack for stack in todo if not stack.missing]
    for run in range(options.runs):
        begin = time.monotonic()
        for stack in ready if run % 2 == 0 else reversed(ready):
            measure(stack, works, options.seconds, run == 0, results)
        results.load.append(os.getloadavg()[0])
        print(f"run {run + 1} of {options.runs}: {time.monotonic() - begin:.0f} s", file=sys.stderr)
    if others:
        for name, values in start_up(sys.executable).items():
            results.rows[name, "start-up"] = values
        simulator.measure(results, options.quick)
        queues.measure(results, options.quick)
    results.write()
    print(results.table())
    if options.picture:
        results.picture(Path(options.picture))
    return 0


if __name__ == "__main__":
    sys.exit(main())
