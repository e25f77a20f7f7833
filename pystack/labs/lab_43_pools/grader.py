"""Grades `Pool` with a database that is busy, idle, broken and not there."""

import inspect
from types import ModuleType

from pystack.labs.judging import function
from pystack.labs.lab_43_pools.database import SERVICE, R
from pystack.labs.lab_43_pools.trial import TOO_MANY, Mistake, Trial
from pystack.labs.values import WrongAnswer
from pystack.sim.programs import Program
from pystack.testing.lab import MS, S

HINTS = [
    "Begin with the limit alone: count places, not connections. When does a request take a place, and at which three ends must it give it back?",
    "If a request waits, do not make the place free for everybody: call its ticket, and the place is its own. `try` and `finally` around the rest give the place back at each end.",
    "Write the request without a repetition as a function of its own, which takes the place and gives it back. `run` calls it, and calls it once more after an OSError if `idempotent` is true.",
]
WRONG = {
    "wrong_limit.py": TOO_MANY,
    "wrong_newest.py": "The request that came last was the next. The one that has waited longest must be the next.",
    "wrong_overtake.py": "A request that has just come got the place before those that wait. Leave a place to the first one that waits, and make it free for all only if none waits.",
    "wrong_leak.py": "Six requests raised an exception, and now the pool stands still: their places are lost. Give the place back in a `finally`.",
    "wrong_stale.py": "After a pause, a request failed on a connection that the database had closed. Ask `usable()` before you use a connection again.",
    "wrong_broken.py": "A request got the answer to another one, which had a timeout. After an OSError from `work`, close the connection.",
    "wrong_repeat.py": "A request that is not idempotent was executed twice. If its connection breaks, its caller must get the error.",
    "wrong_endless.py": "An idempotent request was tried more than twice. Repeat it once, and then raise the error.",
    "wrong_refused.py": "The database could not be reached for a moment, and now the pool stands still: `connect` raised an exception, and the place is lost.",
}


def many(answer: ModuleType) -> None:
    """Make 12 requests at once with three connections, and check when the last one is executed."""
    trial = Trial(answer, 3)
    done: list[int] = []

    def user(number: int) -> Program:
        result = yield from trial.ask(b"%d" % number)
        done.append(trial.net.now)
        return result

    results = trial.run(*(user(number) for number in range(12)))
    if results != [b"%d" % number for number in range(12)]:
        raise WrongAnswer(f"`run` must return the result of `work`, and gave {results[0]!r} instead of b'0'.")
    if trial.opened != 3:
        raise WrongAnswer(f"12 requests with a limit of 3 opened {trial.opened} connections instead of 3.")
    if max(done) != R + 4 * (R + SERVICE):
        raise WrongAnswer(
            f"12 requests took {max(done) / MS:g} ms, and R + 4 (R + s) is {(5 * R + 4 * SERVICE) / MS:g} ms."
        )


def order(answer: ModuleType) -> None:
    """Let requests wait for one connection, and let its user come again at once."""
    trial = Trial(answer, 1)

    def again() -> Program:
        yield from trial.ask(b"a")
        yield from trial.ask(b"e")

    trial.run(again(), *(trial.ask(name, after=number * MS) for number, name in enumerate([b"b", b"c", b"d"], 1)))
    rows = trial.database.rows
    if rows != [b"a", b"b", b"c", b"d", b"e"]:
        raise WrongAnswer(WRONG["wrong_overtake.py" if rows.index(b"e") < 4 and rows[1] != b"d" else "wrong_newest.py"])


def mistakes(answer: ModuleType) -> None:
    """Let requests raise an exception that has nothing to do with the connection."""
    trial = Trial(answer, 2)
    stuck = WRONG["wrong_leak.py"]
    results = trial.run(*(trial.ask(b"x", mistake=True) for _ in range(6)), stuck=stuck)
    if not all(isinstance(result, Mistake) for result in results):
        raise WrongAnswer(f"`work` raised an exception, which its caller must get. `run` gave {results[0]!r}.")
    trial.good(b"1", b"2", b"3", b"4", stuck=stuck)


def pauses(answer: ModuleType) -> None:
    """Let the database close the idle connections."""
    trial = Trial(answer, 2, idle=30 * S)
    trial.good(b"1", b"2")
    trial.net.run(until=60 * S)
    trial.good(b"3", b"4", wrong=WRONG["wrong_stale.py"])


def breaks(answer: ModuleType) -> None:
    """Let connections break, while other requests wait."""
    trial = Trial(answer, 1, patience=3 * (R + SERVICE))
    slow, fast = trial.run(trial.ask(b"slow"), trial.ask(b"fast", after=MS))
    if fast != b"fast":
        raise WrongAnswer(WRONG["wrong_broken.py"])
    if not isinstance(slow, OSError):
        raise WrongAnswer(
            f"A request that is not idempotent had a timeout, which its caller must get. `run` gave {slow!r}."
        )
    for idempotent, times, rows in ((False, 3, 1), (True, 1, 2), (True, 3, 2)):
        trial = Trial(answer, 1, breaks=times)
        (result,) = trial.run(trial.ask(b"break", idempotent))
        if len(trial.database.rows) > rows:
            raise WrongAnswer(WRONG["wrong_endless.py" if idempotent else "wrong_repeat.py"])
        if len(trial.database.rows) < rows:
            raise WrongAnswer("The connection of an idempotent request broke, and the request was not repeated.")
        if isinstance(result, OSError) != (times == 3):
            raise WrongAnswer(
                f"A request failed at each try, and its caller must get the error. `run` gave {result!r}."
            )
        trial.good(b"after")


def refusals(answer: ModuleType) -> None:
    """Let the database be away for a moment."""
    trial = Trial(answer, 2)
    trial.database.leave()
    stuck = WRONG["wrong_refused.py"]
    results = trial.run(*(trial.ask(b"x") for _ in range(5)), stuck=stuck)
    if not all(isinstance(result, OSError) for result in results):
        raise WrongAnswer(
            f"`connect` raised an exception, which the caller of `run` must get. `run` gave {results[0]!r}."
        )
    trial.database.listen()
    trial.good(b"1", b"2", b"3", stuck=stuck)


def check(answer: ModuleType) -> None:
    """Raise WrongAnswer unless the exercise is solved."""
    if not inspect.isgeneratorfunction(getattr(function(answer, "Pool"), "run", None)):
        raise WrongAnswer(
            "`Pool` needs a method `run` with a `yield`, or it cannot wait. Keep the form of the starter file."
        )
    for part in (many, order, mistakes, pauses, breaks, refusals):
        part(answer)
