"""The part of a sweep that runs in a worker: it calls the function, and answers with texts that every worker can send back."""

import json
import pickle
import time
import traceback
from typing import Any, NamedTuple

from pystack.sweeps.values import encode

#: the most characters of a traceback that are kept
LONGEST = 20_000


class Answer(NamedTuple):
    """The answer of a worker: either `result` (JSON), or `error` (one line) with its traceback; `unready`: the function could not be imported."""

    seconds: float
    result: str | None = None
    error: str = ""
    traceback: str = ""
    unready: str = ""


def load(function: Any) -> Any:
    """The function, which may be pickled. An exception says why it cannot be imported here."""
    return pickle.loads(function) if isinstance(function, bytes) else function


def ready(function: Any) -> str:
    """Import the function. Returns "" or why that is not possible."""
    try:
        load(function)
    except Exception as error:
        return one_line(error)
    return ""


def run_task(function: Any, parameters: dict[str, Any], seed: int) -> Answer:
    """Call the function once. All exceptions are answers, except Ctrl-C."""
    try:
        function = load(function)
    except Exception as error:
        return Answer(0.0, unready=one_line(error))
    began = time.perf_counter()
    try:
        result = encode(function(**parameters, seed=seed))
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        text = _sendable("".join(traceback.format_exception(error)))
        return Answer(time.perf_counter() - began, error=one_line(error), traceback=text[-LONGEST:])
    return Answer(time.perf_counter() - began, result=result)


def one_line(error: BaseException) -> str:
    """The name and the text of an exception, on one line."""
    return _sendable(" ".join(traceback.format_exception_only(error)[-1].split())[:500])


def _sendable(text: str) -> str:
    """The text with escapes for what a database cannot hold: halves of surrogate pairs, and NUL."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")


def decode(text: str | None) -> Any:
    """The value of a result's JSON."""
    return None if text is None else json.loads(text)
