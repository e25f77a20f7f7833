"""Measures how much of a network each algorithm uses. `python -m tools.networks` writes docs/explanation/networks.md.

It runs bulk transfers in virtual time over simulated paths from 10 kbit/s to 40 Gbit/s and from 10 us to 30 s, with
short and long queues; over paths that lose, reorder, delay and police; over paths that change; and several connections
at once on one link. This takes minutes. A seed gives the same figures on each machine and on both builds. The page
explains each figure below 0.9 on a clean path. These explanations are in WORDS, and a figure without one makes the
command fail (exit status 1).
"""

import argparse
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from tools.networks_page import figure, flows_text, page, rate_text, time_text
from tools.networks_paths import ALGORITHMS, Case, Result, clean, races, run, troubled

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "explanation" / "networks.md"


def work(job: tuple[Case, str, int]) -> Result:
    """Make one run, in a process of its own."""
    case, algorithm, frames = job
    return run(case, algorithm, frames)


def jobs(quick: bool, frames: int) -> list[tuple[Case, str, int]]:
    """Return all runs."""
    single = [*clean(quick), *troubled(quick)]
    found = [(case, algorithm, frames) for case in single for algorithm in ALGORITHMS]
    return found + [(case, "", 2 * frames) for case in races(quick)]


def main(argv: "list[str] | None" = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m tools.networks", description=(__doc__ or "").split("\n")[0])
    parser.add_argument(
        "--quick", action="store_true", help="a few paths, a tenth of the frames, printed instead of written"
    )
    parser.add_argument(
        "--frames", type=int, default=30_000, help="simulated data frames of a run (default: %(default)s)"
    )
    parser.add_argument("--jobs", type=int, default=2, help="processes (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=PAGE, help="the page (default: docs/explanation/networks.md)")
    options = parser.parse_args(argv)
    todo = jobs(options.quick, options.frames // 10 if options.quick else options.frames)
    found = []
    with ProcessPoolExecutor(options.jobs) as pool:
        for (case, algorithm, _), result in zip(todo, pool.map(work, todo), strict=True):
            found.append((case, algorithm, result))
            print(
                f"{len(found)}/{len(todo)} {rate_text(case.rate)} {time_text(case.rtt)} queue {case.queue:g} {case.trouble} "
                f"{flows_text(case.flows)} {algorithm}: {figure(result)}; {result.timeouts} timeouts; "
                + " ".join(f"{part:.2f}" for part in result.ninths),
                file=sys.stderr,
                flush=True,
            )
    text, missing = page(found)
    if options.quick:
        print(text)
        return 0
    options.output.write_text(text)
    for line in missing:
        print(line)
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
