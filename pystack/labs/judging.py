"""The parts that most graders share: the learner's function, and a comparison of what it returns in many cases.

A lab's wrong answers are files (`wrong_*.py`). A learner who makes such a mistake gets its results, so `compare` runs these files, too,
and gives the hint of the file that returns the same as the learner's function.
"""

import copy
import importlib
import inspect
import struct
from collections.abc import Callable, Iterator, Sequence
from types import ModuleType
from typing import Any

from pystack.labs.values import WrongAnswer

#: calls the learner's function (or gets the module) with one case, and returns what is compared
Play = Callable[..., Any]


def function(answer: ModuleType, name: str) -> Callable[..., Any]:
    """Return the learner's function (or class). WrongAnswer if the file has none of this name."""
    found = getattr(answer, name, None)
    if not callable(found):
        raise WrongAnswer(f"Your file has no `{name}`. Keep the names and the parameters of the starter file.")
    return found  # type: ignore[no-any-return]


def program(answer: ModuleType, name: str) -> Callable[..., Any]:
    """Return the learner's program: a function with `yield`. WrongAnswer if there is none."""
    found = function(answer, name)
    if not inspect.isgeneratorfunction(found):
        raise WrongAnswer(
            f"`{name}` has no `yield`, so it cannot wait for anything. Keep the form of the starter file."
        )
    return found


def running(called: Any, name: str) -> Any:
    """Return what a call of the learner's function `name` gave, if `yield from` can run it. WrongAnswer if it is no program."""
    if not hasattr(called, "send"):
        raise WrongAnswer(
            f"`{name}` has no `yield`, so it cannot wait for anything. Keep the form of the starter file."
        )
    return called


def plain(value: Any) -> Any:
    """Return a result in a form that can be compared: generators and tuples are lists."""
    if isinstance(value, list | tuple) or hasattr(value, "__next__"):
        return [plain(part) for part in value]
    return value


def _call(learners: Any, *case: Any) -> Any:
    return learners(*case)


def results(module: ModuleType, name: str, cases: Sequence[tuple[Any, ...]], play: Play = _call) -> list[Any]:
    """Return what a module's function gives in each case. It gets copies, so that it cannot change the cases."""
    learners = function(module, name) if name else module
    return [plain(play(learners, *copy.deepcopy(case))) for case in cases]


def _tried(
    module: ModuleType, name: str, cases: Sequence[tuple[Any, ...]], play: Play
) -> tuple[list[Any], dict[int, Exception]]:
    """Return what the learner's function gives in each case, or the class of its exception, and these exceptions by the case's number."""
    got: list[Any] = []
    errors: dict[int, Exception] = {}
    for number, case in enumerate(cases):
        try:
            got += results(module, name, [case], play)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, struct.error) as error:
            errors[number] = error
            got.append(type(error))
    return got, errors


def _failing(module: ModuleType, name: str, case: tuple[Any, ...], play: Play) -> Any:
    """Return what a wrong answer gives in a case, or the class of the exception that it raises."""
    try:
        return results(module, name, [case], play)[0]
    except Exception as error:
        return type(error)


def hint_for(
    package: str, wrong: dict[str, str], name: str, cases: Sequence[tuple[Any, ...]], got: list[Any], play: Play = _call
) -> str:
    """Return the hint of the wrong answer that gives `got` in `cases`, or ""."""
    return next((hint for _, hint in _alike(package, wrong, name, cases, got, play)), "")


def _alike(
    package: str, wrong: dict[str, str], name: str, cases: Sequence[tuple[Any, ...]], got: list[Any], play: Play
) -> Iterator[tuple[ModuleType, str]]:
    """Yield each wrong answer that gives `got` in `cases`, with its hint."""
    for file, hint in wrong.items():
        module = importlib.import_module(f"{package}.{file.removesuffix('.py')}")
        if all(_failing(module, name, case, play) == result for case, result in zip(cases, got)):
            yield module, hint


def second_hint(
    package: str,
    wrong: dict[str, str],
    name: str,
    cases: Sequence[tuple[Any, ...]],
    got: list[Any],
    expected: list[Any],
    play: Play,
) -> str:
    """Return the hint of the wrong answer that gives `got` in the cases that fail, or "".

    One that fails in more than twice as many cases gives the same by chance: its hint would say that nothing is right.
    """
    failed = [number for number in range(len(cases)) if got[number] != expected[number]]
    for module, hint in _alike(package, wrong, name, [cases[i] for i in failed], [got[i] for i in failed], play):
        if sum(_failing(module, name, case, play) != right for case, right in zip(cases, expected)) <= 2 * len(failed):
            return hint
    return ""


def shown(value: Any) -> str:
    """Return a value for a message, in at most 200 characters."""
    text = repr(value)
    return text if len(text) <= 200 else text[:197] + "..."


def compare(
    answer: ModuleType,
    name: str,
    cases: Sequence[tuple[Any, ...]],
    right: Callable[..., Any],
    wrong: dict[str, str],
    package: str,
    play: Play = _call,
    say: Callable[..., str] | None = None,
) -> None:
    """Raise WrongAnswer unless the learner's function `name` returns `right(*case)` in each case.

    `wrong` is the grader's WRONG with whole hints, and `package` is the lab's package (`__package__`). `play(function, *case)` runs the
    function in another way than with the case as its arguments. An exercise with several functions has the empty `name`, and `play` gets
    the learner's module. An exception in the learner's function is raised again, unless a wrong answer has the same. `say(*case)` describes a case that is too long to show.
    """
    expected = [plain(right(*copy.deepcopy(case))) for case in cases]
    got, errors = _tried(answer, name, cases, play)
    failed = [number for number in range(len(cases)) if got[number] != expected[number]]
    if not failed:
        return
    if all(got[number] is None for number in failed) and None not in expected:
        raise WrongAnswer(f"{f'`{name}`' if name else 'Your file'} returned None. Is there a `return` at its end?")
    # A mistake shows in all cases. If the learner made a second one, the cases that fail decide.
    hint = hint_for(package, wrong, name, cases, got, play) or second_hint(
        package, wrong, name, cases, got, expected, play
    )
    if hint:
        raise WrongAnswer(hint)
    case, number = cases[failed[0]], failed[0]
    if number in errors:
        raise errors[number]
    words = say(*case) if say else f"`{name}({', '.join(shown(part) for part in case)})`"
    raise WrongAnswer(f"{words} must give {shown(expected[number])}, and yours gives {shown(got[number])}.")
