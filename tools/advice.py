"""Tries 200 pieces of advice over known and random runs: what each span suggested, and what the change really saved.

    python -m tools.advice [--pieces 200] [--image docs/images/advice.png]

For each run, the changes that `pystack time --advice` would try run as branches. Two things must hold. The spans at which a change aims
become shorter by no more than their length. And a change cannot save as much time as the request took. Nothing more is promised: a change may save
more than the spans at which it aims, because time elsewhere depends on them, or less, because another path becomes critical, or it may cost time. The tool
counts how often each of these happens.
"""

import argparse
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from pystack.stepper import scenarios
from pystack.stepper.scenarios.base import Scenario
from pystack.stepper.timing import PathError, path
from pystack.stepper.timing.advice import Advice, tried
from tests.stepper.timing import causes
from tests.stepper.timing.cases import CASES
from tests.stepper.timing.runs import scenario

#: scenarios whose path is that of a request
NAMES = (
    "nagle", "delayed-ack", "slow-start", "http-get", "zero-window", "loss-fast-retransmit", "rto", "sack", "head-of-line", "pmtud", "tfo", "ecn",
)  # fmt: skip
#: the kinds of changes, as they begin
KINDS = {
    "nodelay": "TCP_NODELAY", "onewrite": "one write", "quickack": "no delayed ACK", "fastopen": "Fast Open", "congestion": "other congestion control",
    "set": "larger window or buffer",
}  # fmt: skip


class Piece(NamedTuple):
    """A piece of advice that was tried in a run."""

    run: str
    advice: Advice
    elapsed: int


def runs() -> Iterator[Scenario]:
    """Yield the runs: scenarios, constructed runs and random ones, mixed."""
    assert causes.D
    known = [scenarios.get(name) for name in NAMES] + [case.scenario() for case in CASES]
    for number, one in enumerate(known):
        yield one
        yield scenario(number)
    yield from (scenario(seed) for seed in range(len(known), 100_000))


def pieces(count: int) -> Iterator[Piece]:
    """Yield this many pieces of advice, each tried."""
    left = count
    for one in runs():
        if left <= 0:
            return
        timeline = one.timeline()
        try:
            found = path(timeline)
        except PathError:
            continue
        for advice in tried(one, timeline, found)[:left]:
            left -= 1
            yield Piece(one.name, advice, found.elapsed)


def draw(found: list[Piece], file: Path) -> None:
    """Draw the real saving of each piece over its bound. Savings below 0.1 ms are drawn at the bottom."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 5), dpi=80)
    axes = figure.subplots()
    least, most = 0.1, max(max(one.advice.at_most, one.advice.saved) for one in found) / 1e6 * 1.5
    for name, text in KINDS.items():
        chosen = [one.advice for one in found if one.advice.change.partition("=")[0] == name]
        if chosen:
            bound = [max(least, one.at_most / 1e6) for one in chosen]
            saved = [max(least, one.saved / 1e6) for one in chosen]
            axes.scatter(bound, saved, s=14, alpha=0.7, label=f"{text} ({len(chosen)})")
    axes.plot([least, most], [least, most], color="black", linewidth=0.8, label="as much as the spans took")
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("time of the spans at which the change aims, ms")
    axes.set_ylabel("real saving, ms (0.1: nothing, or it took longer)")
    axes.legend(fontsize=8, loc="upper left")
    axes.grid(True, alpha=0.3)
    figure.tight_layout()
    figure.savefig(file, metadata={"Software": None})


def main() -> int:
    """Try, print and draw. Returns 1 if a check failed."""
    parser = argparse.ArgumentParser(prog="python -m tools.advice", description=__doc__.partition("\n")[0])
    parser.add_argument("--pieces", type=int, default=200, help="pieces of advice to try")
    parser.add_argument("--image", type=Path, help="draw the bounds and the real savings into this file")
    options = parser.parse_args()
    began, wrong = time.monotonic(), 0
    found: list[Piece] = []
    for one in pieces(options.pieces):
        found.append(one)
        advice = one.advice
        if not 0 < advice.at_most <= one.elapsed or advice.gone > advice.at_most or advice.saved >= one.elapsed:
            wrong += 1
            print(f"{one.run}: {advice} cannot be: the request took {one.elapsed} ns", flush=True)
        above = " (more than its spans)" if advice.saved > advice.at_most else ""
        print(
            f"{len(found):4} {one.run:.40}: {advice.change}: at most {advice.at_most / 1e6:.3f} ms, "
            f"really {advice.saved / 1e6:.3f} ms{above}",
            flush=True,
        )
    helped = [one for one in found if one.advice.saved > 0]
    more = [one for one in found if one.advice.saved > one.advice.at_most]
    slower = [one for one in found if one.advice.saved < 0]
    print(
        f"{len(found)} pieces tried in {time.monotonic() - began:.0f} s: {len(helped)} helped, {len(found) - len(helped) - len(slower)} saved nothing, "
        f"{len(slower)} took longer; {len(more)} saved more than the spans at which they aim; {wrong} cannot be"
    )
    if options.image:
        draw(found, options.image)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
