"""The results of a sweep: rows, and their statistics for each set of parameters."""

import json
import math
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from pystack.sweeps.store import Store
from pystack.sweeps.work import Answer, decode

#: a field of the result ("seconds", or "link.drops" for a dict in a dict), a function of the result, or None: the result itself
Value = str | Callable[[Any], Any] | None


@dataclass(frozen=True)
class SweepRow:
    """One finished run: its parameters and seed, and its result, or its error (one line) and traceback. `seconds` is its real time."""

    parameters: dict[str, Any]
    seed: int
    result: Any = None
    error: str = ""
    traceback: str = field(default="", repr=False)
    seconds: float = field(default=0.0, compare=False)


@dataclass(frozen=True)
class Summary:
    """The values of one set of parameters, over its seeds. Without any value (all runs failed), mean, min and max are NaN."""

    parameters: dict[str, Any]
    values: tuple[float, ...]
    errors: int

    @property
    def count(self) -> int:
        """The number of values."""
        return len(self.values)

    @property
    def mean(self) -> float:
        """The arithmetic mean."""
        return math.fsum(self.values) / len(self.values) if self.values else math.nan

    @property
    def min(self) -> float:
        """The least value."""
        return min(self.values, default=math.nan)

    @property
    def max(self) -> float:
        """The greatest value."""
        return max(self.values, default=math.nan)

    def percentile(self, percent: float) -> float:
        """The value below which so many percent of the values are (0 to 100), interpolated between the two nearest ones."""
        if not 0 <= percent <= 100:
            raise ValueError(f"a percentile is from 0 to 100, not {percent}")
        if not self.values:
            return math.nan
        ordered = sorted(self.values)
        place = (len(ordered) - 1) * percent / 100
        low = math.floor(place)
        if low == place:
            return ordered[low]
        return ordered[low] + (ordered[low + 1] - ordered[low]) * (place - low)

    @property
    def median(self) -> float:
        """percentile(50)."""
        return self.percentile(50)


class Sweep:
    """The finished rows of a sweep. `missing` is the number of rows that have not finished."""

    def __init__(self, name: str, rows: Iterable[SweepRow], missing: int = 0):
        self.name = name
        self.missing = missing
        self._rows = list(rows)

    @classmethod
    def load(cls, path: "str | os.PathLike[str]", name: str = "") -> "Sweep":
        """All rows of a file, in the order of their parameters and seeds. `name` chooses among several sweeps.

        SweepError if the file is not one of sweeps, and FileNotFoundError if it does not exist.
        """
        os.stat(path)  # otherwise SQLite would make it
        with Store(path) as store:
            number = store.find(name)
            found = sorted(store.rows(number), key=lambda row: (_order(row[1]), row[2]))
            return cls(name or store.names()[0], [row_of(json.loads(row[1]), row[2], row[3]) for row in found])

    def rows(self) -> list[SweepRow]:
        """The finished rows, in the order of the parameters and seeds, however they were spread over workers."""
        return list(self._rows)

    def errors(self) -> list[SweepRow]:
        """The rows whose function raised an exception."""
        return [row for row in self._rows if row.error]

    def __len__(self) -> int:
        return len(self._rows)

    def __repr__(self) -> str:
        return f"<Sweep {self.name}: {len(self._rows)} rows, {len(self.errors())} errors, {self.missing} missing>"

    def summary(self, value: Value = None, by: Sequence[str] | None = None) -> list[Summary]:
        """The statistics of a value for each set of parameters; `by` names parameters, and all rows that agree in these are one set.

        KeyError if a result has no such field, TypeError if the value is not a number.
        """
        groups: dict[str, tuple[dict[str, Any], list[float], list[str]]] = {}
        for row in self._rows:
            chosen = row.parameters if by is None else {name: _parameter(row, name) for name in by}
            group = groups.setdefault(json.dumps(_stored(chosen), sort_keys=True), (chosen, [], []))
            if row.error:
                group[2].append(row.error)
            else:
                group[1].append(number_of(row.result, value))
        return [Summary(chosen, tuple(values), len(errors)) for chosen, values, errors in groups.values()]

    def fields(self) -> list[str]:
        """The fields of the results that are numbers, in the order in which they appear; [] if the results are numbers themselves."""
        names: dict[str, None] = {}
        for row in self._rows:
            if isinstance(row.result, dict):
                names.update(dict.fromkeys(name for name, value in row.result.items() if _is_number(value)))
        return list(names)

    def table(self, value: Value = None, by: Sequence[str] | None = None) -> str:
        """The statistics as a table in plain text."""
        from pystack.sweeps.figure import table

        return table(self, value, by)

    def plot(self, path: "str | os.PathLike[str]", value: Value = None, *, x: str = "", by: str = "") -> None:
        """Draw the mean of a value over a parameter `x`, with a line for each value of the parameter `by`, into a .png, .svg or .pdf file.

        Needs matplotlib (extra `plot`). Rows that differ in other parameters are drawn together.
        """
        from pystack.sweeps.figure import plot

        plot(self, os.fspath(path), value, x, by)

    def to_pandas(self) -> Any:
        """A pandas.DataFrame: a column for each parameter, `seed`, each field of the result (or `result`), `error` and `seconds`.

        Needs pandas, which pystack does not install. A field with the name of a parameter has the column `result.NAME`.
        """
        import pandas  # type: ignore[import-untyped,import-not-found,unused-ignore]

        return pandas.DataFrame(list(self.records()))

    def records(self) -> Iterable[dict[str, Any]]:
        """Each row as a flat dict, for tables of other programs."""
        for row in self._rows:
            found: dict[str, Any] = {**row.parameters, "seed": row.seed}
            result = row.result if isinstance(row.result, dict) else {"result": row.result}
            for name, value in result.items():
                found[f"result.{name}" if name in found or name in ("error", "seconds") else name] = value
            yield {**found, "error": row.error, "real_seconds": row.seconds}


def row_of(parameters: dict[str, Any], seed: int, answer: Answer) -> SweepRow:
    """The row of an answer."""
    return SweepRow(parameters, seed, decode(answer.result), answer.error, answer.traceback, answer.seconds)


def number_of(result: Any, value: Value) -> float:
    """The number that `value` names in a result."""
    found = result
    if callable(value):
        found = value(result)
    elif value is not None:
        for name in _path(result, value):
            if not isinstance(found, dict) or name not in found:
                there = f"it has {', '.join(found)}" if isinstance(found, dict) else f"it is {found!r:.60}"
                raise KeyError(f"a result has no field {value!r}: {there}")
            found = found[name]
    if not _is_number(found):
        named = "the result" if value is None else f"the value {value!r}" if isinstance(value, str) else "the value"
        raise TypeError(f"{named} is {found!r:.60}, and not a number: name a field of the result")
    return as_float(found)


def as_float(value: "int | float") -> float:
    """The number as a float. An int that is too large for one is infinite."""
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _path(result: Any, value: str) -> list[str]:
    """A field may have a dot in its own name."""
    return [value] if isinstance(result, dict) and value in result else value.split(".")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float)


def _parameter(row: SweepRow, name: str) -> Any:
    if name not in row.parameters:
        raise KeyError(f"there is no parameter {name!r}: there are {', '.join(row.parameters)}")
    return row.parameters[name]


def _stored(parameters: dict[str, Any]) -> Any:
    from pystack.sweeps.values import plain

    return plain(parameters)


def _order(stored: str) -> list[tuple[str, int, float, str]]:
    """A key that sorts sets of parameters: numbers by their value, before everything else."""
    found = []
    for name, value in sorted(json.loads(stored).items()):
        number = _is_number(value) and not isinstance(value, bool)
        found.append((name, 0 if number else 1, as_float(value) if number else 0.0, json.dumps(value, sort_keys=True)))
    return found
