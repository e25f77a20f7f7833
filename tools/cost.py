"""The cost oracle: looks for inputs that take more work, or memory, than their length allows.

    python tools/fuzz.py --cost --seconds 60            all targets, on the compiled core (or --pure)
    python tools/fuzz.py --cost --target "http loop"    one of them
    python tools/fuzz.py --cost --replay cost-failure.json

A target (tests/support/costs.py) is fed with runs of units. The worst inputs so far (by work for their length) are kept and
changed: units added, taken away, moved, repeated. Two rules decide, and docs/howto/fuzzing.md tells more:

* the bound: work is at most so much a byte and a unit, and memory too;
* the growth: an input of twice the runs may take GROWTH times the work, not more. What is quadratic takes four times.

Work is the lines of Python that run, which are exact. Where the core is compiled, and for what a line hides in C, it is the
processor's time: the best of several, and a growth must be seen at two lengths. A failure is saved, and is run again by --replay.
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

#: twice the input may take this much more
GROWTH = 2.7
#: below so much work a growth says nothing: what is made once outweighs it
LEAST_LINES = 10_000
LEAST_TIME = 10_000_000
#: inputs that are kept, and how many times the bound ends a run
POOL = 16
MOST = 20
#: seconds of the processor's time that one run may take
PATIENCE = 4.0
#: how many times longer inputs for a compiled core may be
SCALE = 8
#: every so many inputs the worst is made longer
EVERY = 12


@dataclass
class Failure:
    """An input that takes too much."""

    target: str
    given: list[tuple[bytes, int]]
    what: str

    def text(self) -> str:
        """For people."""
        runs = " ".join(f"{unit!r}*{times}" for unit, times in self.given[:12])
        more = f" and {len(self.given) - 12} runs more" if len(self.given) > 12 else ""
        return f"{self.target}: {self.what}\n  {runs}{more}"

    def dump(self) -> str:
        """As JSON."""
        runs = [[unit.hex(), times] for unit, times in self.given]
        return json.dumps({"cost": self.target, "what": self.what, "runs": runs}) + "\n"


def load(text: str) -> Failure:
    """A failure from its JSON."""
    found = json.loads(text)
    return Failure(found["cost"], [(bytes.fromhex(unit), times) for unit, times in found["runs"]], found["what"])


class Gauge:
    """Measures one target's inputs."""

    def __init__(self, target: Any, exact: bool, timing: bool = True):
        from tests.support import costs

        self.target = target
        #: lines say something
        self.exact = exact
        #: and time may decide as well
        self.timing = timing or not exact
        #: compiled, it takes longer inputs to see anything
        self.scale = 1 if exact else SCALE
        self.costs = costs
        self.runs = 0
        target.run([(target.words[0], 1)] if target.words else target.seeds[0])

    def allowed(self, given: Any, bounds: tuple[int, int, int]) -> int:
        """A bound, for this input."""
        fixed, byte, unit = bounds
        return fixed + byte * self.costs.length(given) + unit * self.costs.units(given)

    def lines(self, given: Any) -> int:
        """Lines that run."""
        from tests.support import meter

        self.runs += 1
        most = MOST * self.allowed(given, self.target.lines)
        with meter.Watchdog(PATIENCE):
            return meter.lines_of(lambda: self.target.run(given), most)

    def time(self, given: Any, times: int = 1) -> int:
        """The processor's time, the best of several."""
        from tests.support import meter

        self.runs += 1
        with meter.Watchdog(PATIENCE):
            return min(meter.time_of(lambda: self.target.run(given)) for _ in range(times))

    def memory(self, given: Any) -> int:
        """Bytes in use at most."""
        from tests.support import meter

        with meter.Watchdog(PATIENCE):
            return meter.memory_of(lambda: self.target.run(given))[0]

    def work(self, given: Any) -> float:
        """Work as a part of the bound: more than 1 is too much."""
        if self.exact:
            return self.lines(given) / self.allowed(given, self.target.lines)
        return self.time(given) / self.allowed(given, self.target.nanoseconds)

    def judge(self, given: Any, growth: bool = True) -> Failure | None:
        """Is it too much work or memory, or does it grow too fast? (What is bounded may grow until it is there: see docs/howto/fuzzing.md.)"""
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
                return Failure(self.target.name, given, f"{size} runs {lines} lines, and {most} are the most")
        if not self.timing:
            return self._memory(given, size)
        nanoseconds, most = self.time(given), self.allowed(given, self.target.nanoseconds)
        if nanoseconds > most and self.time(given, 3) > most:
            return Failure(
                self.target.name, given, f"{size} takes {nanoseconds / 1e6:.0f} ms, and {most / 1e6:.0f} is the most"
            )
        return self._memory(given, size)

    def _memory(self, given: Any, size: str) -> Failure | None:
        used, most = self.memory(given), self.allowed(given, self.target.memory)
        if used > most:
            return Failure(self.target.name, given, f"{size} uses {used} bytes, and {most} are the most")
        return None

    def _growth(self, given: Any) -> Failure | None:
        twice = longer(given, 2)
        if not self.fits(twice):
            given, twice = shorter(given), given
        if self.exact:
            one, two = self.lines(given), self.lines(twice)
            if two > LEAST_LINES and two > GROWTH * one:
                return self._grows(twice, f"{one} lines at half the length, {two} at all of it")
        if not self.timing:
            return None
        ones, twos = self.time(given, 2), self.time(twice, 2)
        if twos < LEAST_TIME or twos < GROWTH * ones:
            return None
        # Time is no exact measure: again, more carefully, and at another length.
        halves, ones, twos = (self.time(one, 5) for one in (shorter(given), given, twice))
        if twos > GROWTH * ones and ones > (GROWTH - 0.5) * halves:
            each = ", ".join(f"{n / 1e6:.1f}" for n in (halves, ones, twos))
            return self._grows(twice, f"{each} ms at a quarter, half and all of its length")
        return None

    def _grows(self, given: Any, what: str) -> Failure:
        return Failure(self.target.name, given, f"work grows faster than the input: {what}")

    def fits(self, given: Any) -> bool:
        """It is no longer than the target takes."""
        return (
            self.costs.length(given) <= self.target.longest
            and self.costs.units(given) <= self.target.most_units * self.scale
        )

    def climb(self, given: Any, enough: Callable[[], bool]) -> Failure | None:
        """Judge the same runs at ever greater lengths, up to as long as can be."""
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
    """The runs, each so many times as long (those of one unit stay: they are beginnings and ends)."""
    if all(count == 1 for _, count in given):
        return given * times
    return [(unit, count * times if count > 1 else 1) for unit, count in given]


def shorter(given: Any) -> Any:
    """The runs, each half as long."""
    if all(count == 1 for _, count in given):
        return given[: max(1, len(given) // 2)]
    return [(unit, max(1, count // 2)) for unit, count in given]


class Mutator:
    """Changes inputs."""

    def __init__(self, target: Any, rng: Random):
        self.target = target
        self.rng = rng

    def unit(self) -> bytes:
        """A unit to be added."""
        rng, target = self.rng, self.target
        if target.words and (target.make is None or rng.random() < 0.7):
            return rng.choice(target.words)  # type: ignore[no-any-return]
        assert target.make is not None
        return target.make(rng)  # type: ignore[no-any-return]

    def new(self) -> Any:
        """A new input."""
        rng = self.rng
        if self.target.seeds and rng.random() < 0.5:
            return list(rng.choice(self.target.seeds))
        return [(self.unit(), rng.choice((1, 1, 2, 10, 100))) for _ in range(rng.randint(1, 6))]

    def change(self, given: Any, other: Any) -> Any:
        """A changed one."""
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
        """A byte of it changed."""
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
    """Look for an input that costs too much until `enough(inputs tried)`; `worst` gets the worst ones: (part of the bound, input)."""
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
    """`tools/fuzz.py --cost`: all targets, one after the other, again and again. The exit status."""
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
