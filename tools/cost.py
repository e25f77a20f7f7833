"""The cost oracle: looks for inputs that take more work, or memory, than their length allows.

    python tools/fuzz.py --cost --seconds 60            all targets, on the compiled core (or --pure)
    python tools/fuzz.py --cost --target "http loop"    one of them
    python tools/fuzz.py --cost --replay cost-failure.json

A target (tests/support/costs.py) is fed with runs of units. The oracle keeps the worst inputs so far (by work for their
length) and changes them: it adds, removes, moves and repeats units. Two rules decide (docs/howto/fuzzing.md has the
details):

* the bound: work, and memory, have a maximum for each byte and each unit;
* the growth: an input of twice the runs may take GROWTH times the work. Quadratic work would take four times.

Work is the number of executed lines of Python, which is exact. For the compiled core, and for what a line does in C, it
is processor time: the best of several runs, and a growth must appear at two lengths. A failure is saved, and --replay
runs it again.
"""

import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

sys.path.append(str(Path(__file__).resolve().parents[1]))

#: an input of twice the length may take this many times the work
GROWTH = 2.7
#: growth below this much work means nothing, because fixed costs outweigh it
LEAST_LINES = 10_000
LEAST_TIME = 10_000_000
#: how many inputs are kept, and how many times the bound ends a run
POOL = 16
MOST = 20
#: seconds of processor time that one run may take
PATIENCE = 4.0
#: how many times longer the inputs for a compiled core may be
SCALE = 8
#: after this many inputs, the worst one is made longer
EVERY = 12


@dataclass
class Failure:
    """An input that takes too much work or memory."""

    target: str
    given: list[tuple[bytes, int]]
    what: str

    def text(self) -> str:
        """Return the failure in words."""
        runs = " ".join(f"{unit!r}*{times}" for unit, times in self.given[:12])
        more = f" and {len(self.given) - 12} runs more" if len(self.given) > 12 else ""
        return f"{self.target}: {self.what}\n  {runs}{more}"

    def dump(self) -> str:
        """Return the failure as JSON."""
        runs = [[unit.hex(), times] for unit, times in self.given]
        return json.dumps({"cost": self.target, "what": self.what, "runs": runs}) + "\n"


def load(text: str) -> Failure:
    """Return a failure from its JSON."""
    found = json.loads(text)
    return Failure(found["cost"], [(bytes.fromhex(unit), times) for unit, times in found["runs"]], found["what"])


class Gauge:
    """Measures one target's inputs."""

    def __init__(self, target: Any, exact: bool, timing: bool = True):
        from tests.support import costs

        self.target = target
        #: the number of lines is meaningful
        self.exact = exact
        #: time may decide as well
        self.timing = timing or not exact
        #: a compiled core needs longer inputs to show anything
        self.scale = 1 if exact else SCALE
        self.costs = costs
        self.runs = 0
        target.run([(target.words[0], 1)] if target.words else target.seeds[0])

    def allowed(self, given: Any, bounds: tuple[int, int, int]) -> int:
        """Return a bound for this input."""
        fixed, byte, unit = bounds
        calls = self.target.calls(given) if self.target.calls is not None and bounds is self.target.lines else 0
        return int(fixed + byte * self.costs.length(given) + unit * self.costs.units(given) + calls)

    def lines(self, given: Any) -> int:
        """Return the number of lines that run."""
        from tests.support import meter

        self.runs += 1
        most = MOST * self.allowed(given, self.target.lines)
        with meter.Watchdog(PATIENCE):
            return meter.lines_of(lambda: self.target.run(given), most)

    def time(self, given: Any, times: int = 1) -> int:
        """Return the processor time, the best of several runs (ns)."""
        from tests.support import meter

        self.runs += 1
        with meter.Watchdog(PATIENCE):
            return min(meter.time_of(lambda: self.target.run(given)) for _ in range(times))

    def memory(self, given: Any) -> int:
        """Return the most bytes in use."""
        from tests.support import meter

        with meter.Watchdog(PATIENCE):
            return meter.memory_of(lambda: self.target.run(given))[0]

    def work(self, given: Any) -> float:
        """Return the work as a fraction of the bound. More than 1 is too much."""
        if self.exact:
            return self.lines(given) / self.allowed(given, self.target.lines)
        return self.time(given) / self.allowed(given, self.target.nanoseconds)

    def judge(self, given: Any, growth: bool = True) -> Failure | None:
        """Return a failure if the work or the memory is too much, or grows too fast.

        Work that has a bound may grow until it reaches the bound: see docs/howto/fuzzing.md.
        """
        from tests.support.meter import Endless

        try:
            return self._bounds(given) or (self._growth(given) if growth else None)
        except Endless as endless:
            return Failure(self.target.name, given, f"it does not come to an end: {endless}")
        except Exception as error:
            return Failure(self.target.name, given, f"it raises {type(error).__name__}: {error}")

    def _bounds(self, given: Any) -> Failure | None:
        length, units = self.costs.length(given), self.costs.units(given)
        size = f"an input of {length} bytes in {units} units"
        if self.exact:
            lines, most = self.lines(given), self.allowed(given, self.target.lines)
            if lines > most:
                return Failure(self.target.name, given, f"{size} runs {lines} lines; at most {most} are allowed")
        if not self.timing:
            return self._memory(given, size)
        nanoseconds, most = self.time(given), self.allowed(given, self.target.nanoseconds)
        if nanoseconds > most and self.time(given, 3) > most:
            return Failure(
                self.target.name,
                given,
                f"{size} takes {nanoseconds / 1e6:.0f} ms; at most {most / 1e6:.0f} are allowed",
            )
        return self._memory(given, size)

    def _memory(self, given: Any, size: str) -> Failure | None:
        used, most = self.memory(given), self.allowed(given, self.target.memory)
        if used > most:
            return Failure(self.target.name, given, f"{size} uses {used} bytes; at most {most} are allowed")
        return None

    def _growth(self, given: Any) -> Failure | None:
        twice = longer(given, 2)
        if not self.fits(twice):
            given, twice = shorter(given), given
        if self.exact:
            one, two = self.lines(given), self.lines(twice)
            # A burst that happens at the full length only is no growth, so a quarter of the length is compared, too.
            if two > LEAST_LINES and two > GROWTH * one:
                half = self.lines(shorter(shorter(twice)))
                if two > GROWTH * GROWTH * half:
                    return self._grows(twice, f"{half}, {one} and {two} lines at a quarter, half and the full length")
        if not self.timing:
            return None
        ones, twos = self.time(given, 2), self.time(twice, 2)
        if twos < LEAST_TIME or twos < GROWTH * ones:
            return None
        # Time is not an exact measure, so measure again, more carefully, and at another length.
        halves, ones, twos = (self.time(one, 5) for one in (shorter(given), given, twice))
        if twos > GROWTH * ones and ones > (GROWTH - 0.5) * halves:
            each = ", ".join(f"{n / 1e6:.1f}" for n in (halves, ones, twos))
            return self._grows(twice, f"{each} ms at a quarter, half and the full length")
        return None

    def _grows(self, given: Any, what: str) -> Failure:
        return Failure(self.target.name, given, f"work grows faster than the input: {what}")

    def fits(self, given: Any) -> bool:
        """Return True if it is no longer than the target allows."""
        return (
            self.costs.length(given) <= self.target.longest
            and self.costs.units(given) <= self.target.most_units * self.scale
        )

    def climb(self, given: Any, enough: Callable[[], bool]) -> Failure | None:
        """Judge the same runs at increasing lengths, up to the longest that fits."""
        while not enough():
            twice = longer(given, 2)
            last = not self.fits(twice)
            if not last and not self.exact and self.fits(four := longer(given, 4)):
                twice = four
            failure = self.judge(given, last)
            if failure is not None or last:
                return failure
            given = twice
        return None


def longer(given: Any, times: int) -> Any:
    """Return the runs, each repeated `times` as often. Runs of one unit stay, because they are beginnings and ends."""
    if all(count == 1 for _, count in given):
        return given * times
    return [(unit, count * times if count > 1 else 1) for unit, count in given]


def shorter(given: Any) -> Any:
    """Return the runs, each half as long."""
    if all(count == 1 for _, count in given):
        return given[: max(1, len(given) // 2)]
    return [(unit, max(1, count // 2)) for unit, count in given]


class Mutator:
    """Changes inputs."""

    def __init__(self, target: Any, rng: Random):
        self.target = target
        self.rng = rng

    def unit(self) -> bytes:
        """Return a unit to add."""
        rng, target = self.rng, self.target
        if target.words and (target.make is None or rng.random() < 0.7):
            return rng.choice(target.words)  # type: ignore[no-any-return]
        assert target.make is not None
        return target.make(rng)  # type: ignore[no-any-return]

    def new(self) -> Any:
        """Return a new input."""
        rng = self.rng
        if self.target.seeds and rng.random() < 0.5:
            return list(rng.choice(self.target.seeds))
        return [(self.unit(), rng.choice((1, 1, 2, 10, 100))) for _ in range(rng.randint(1, 6))]

    def change(self, given: Any, other: Any) -> Any:
        """Return a changed input."""
        rng = self.rng
        runs = list(given)
        for _ in range(rng.choice((1, 1, 2, 3))):
            at = rng.randrange(len(runs)) if runs else 0
            what = rng.randrange(8)
            if not runs or what == 0:
                runs.insert(at, (self.unit(), rng.choice((1, 1, 3, 50))))
            elif what == 1 and len(runs) > 1:
                del runs[at]
            elif what == 2:
                runs[at] = (runs[at][0], max(1, int(runs[at][1] * rng.choice((0.5, 2, 3)))))
            elif what == 3:
                runs[at] = (self.spoil(runs[at][0]), runs[at][1])
            elif what == 4:
                runs[at] = (self.unit(), runs[at][1])
            elif what == 5:
                runs.insert(at, runs[rng.randrange(len(runs))])
            elif what == 6 and other:
                runs[at:at] = other[: rng.randint(1, len(other))]
            else:
                runs[at] = (runs[at][0] + self.unit(), runs[at][1]) if self.target.words else runs[at]
        return runs

    def spoil(self, unit: bytes) -> bytes:
        """Return the unit with one byte changed."""
        rng = self.rng
        if not unit:
            return unit
        at = rng.randrange(len(unit))
        return (
            unit[:at]
            + bytes((rng.choice((0, 1, 2, unit[at] ^ 1 << rng.randrange(8), rng.randrange(256))),))
            + unit[at + 1 :]
        )


def search(
    target: Any,
    rng: Random,
    exact: bool,
    enough: Callable[[int], bool],
    worst: list[Any] | None = None,
    timing: bool = True,
) -> Failure | None:
    """Look for an input that costs too much until `enough(inputs tried)` is true.

    `worst` receives the worst ones: (fraction of the bound, input).
    """
    from tests.support.meter import Endless

    gauge = Gauge(target, exact, timing)
    mutator = Mutator(target, rng)
    pool: list[tuple[float, Any]] = [] if worst is None else worst
    tried = 0
    queue = [] if pool else [list(seed) for seed in target.seeds]
    rng.shuffle(queue)
    while not enough(tried):
        first = bool(queue)
        if queue:
            given = queue.pop(0)
        elif not pool or rng.random() < 0.1:
            given = mutator.new()
        else:
            given = mutator.change(rng.choice(pool[: 1 + rng.randrange(POOL)])[1], rng.choice(pool)[1])
        if not given or not gauge.fits(given):
            continue
        tried += 1
        try:
            part = gauge.work(given)
        except Endless as endless:
            return Failure(target.name, given, f"it does not come to an end: {endless}")
        except Exception as error:
            return Failure(target.name, given, f"it raises {type(error).__name__}: {error}")
        pool.append((part, given))
        pool.sort(key=lambda one: -one[0])
        del pool[POOL:]
        if part > 1 or first or tried % EVERY == 0:
            chosen = given if part > 1 or first else rng.choice(pool)[1]
            failure = gauge.climb(chosen, partial(enough, tried))
            if failure is not None:
                return failure
    return None


def run(args: Any, pure: bool) -> int:
    """Run `tools/fuzz.py --cost`: all targets, one after the other, again and again. Return the exit status."""
    from random import SystemRandom

    from tests.support.costs import TARGETS

    if args.replay is not None:
        return replay(args.replay, pure)
    names = args.target or list(TARGETS)
    seed = SystemRandom().randrange(1 << 40) if args.seed is None else args.seed
    print(f"cost oracle, {len(names)} targets, first seed {seed}", flush=True)
    end = time.monotonic() + args.seconds
    worst: dict[str, list[Any]] = {name: [] for name in names}
    tried = failures = rounds = 0
    while time.monotonic() < end and rounds < args.rounds and not failures:
        for name in names:
            target = TARGETS[name]
            slot = time.monotonic() + args.seconds / len(names)
            count = [0]

            def enough(inputs: int, slot: float = slot, count: list[int] = count) -> bool:
                count[0] = inputs
                return time.monotonic() > min(slot, end)

            failure = search(target, Random(f"{seed + rounds} {name}"), pure or not target.core, enough, worst[name])
            tried += count[0]
            if failure is not None:
                failures += 1
                path = args.save.with_name(f"cost-{name.replace(' ', '-')}.json")
                path.write_text(failure.dump())
                print(
                    f"FAILED {failure.text()}\n  saved in {path}; again: tools/fuzz.py --cost --replay {path}",
                    flush=True,
                )
                if not args.keep_going:
                    return 1
        rounds += 1
    for name in names:
        if worst[name]:
            print(f"  {name:<14} the worst takes {100 * worst[name][0][0]:5.1f} % of its bound")
    print(f"{tried} inputs: {f'{failures} targets fail' if failures else 'no failure'}")
    return 1 if failures else 0


def replay(path: Path, pure: bool) -> int:
    """Judge a saved input again."""
    from tests.support.costs import TARGETS

    saved = load(path.read_text())
    target = TARGETS[saved.target]
    failure = Gauge(target, pure or not target.core).judge(saved.given)
    print(failure.text() if failure is not None else "no failure")
    return 1 if failure is not None else 0
