"""The parameters of a sweep, the key of each row, and results as JSON."""

import dataclasses
import hashlib
import itertools
import json
import numbers
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

#: the most rows of a sweep, and how deep a value may be nested
MAX_ROWS = 10_000_000
MAX_DEPTH = 50


@dataclasses.dataclass(frozen=True)
class Task:
    """One run of the function. `stored` is its parameters as JSON, and `key` names the row in the file."""

    parameters: dict[str, Any]
    seed: int
    stored: str
    key: str


def plain(value: Any, depth: int = 0) -> Any:
    """The value as JSON can hold it: a dataclass becomes a dict, a tuple becomes a list. TypeError if it cannot be stored."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, float):
        return float(value)
    if depth > MAX_DEPTH:
        raise TypeError(f"a value that is nested more than {MAX_DEPTH} times, or contains itself, cannot be stored")
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name), depth + 1) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        for name in value:
            if not isinstance(name, str):
                raise TypeError(f"a dict with the key {name!r:.60} cannot be stored: a key is a str")
        return {str.__str__(name): plain(item, depth + 1) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item, depth + 1) for item in value]
    if type(value).__module__ == "numpy" and hasattr(value, "tolist"):
        return plain(value.tolist(), depth + 1)
    raise TypeError(
        f"a {type(value).__name__} cannot be stored: return numbers, strings, lists, dicts or dataclasses of them"
    )


def encode(value: Any) -> str:
    """The JSON of a result. TypeError or ValueError if it cannot be stored."""
    return json.dumps(plain(value))


def encode_parameters(parameters: Mapping[str, Any]) -> str:
    """The one JSON that these parameters have, in whatever order they are named. TypeError or ValueError if they cannot be stored."""
    for name, value in parameters.items():
        try:
            json.dumps(plain(value), allow_nan=False)
        except (TypeError, ValueError) as error:
            raise type(error)(f"parameter {name!r}: {error}") from None
    return json.dumps(plain(parameters), sort_keys=True, allow_nan=False)


def key_of(stored: str, seed: int) -> str:
    """The key of a row. It depends on the parameters and the seed, and on nothing else, such as the order of hashes."""
    return hashlib.blake2b(f"{stored}\n{seed}".encode(), digest_size=16).hexdigest()


def parameter_sets(parameters: Any) -> Iterator[dict[str, Any]]:
    """The sets of parameters, in order: the grid of a mapping {name: values}, or the mappings of an iterable."""
    if isinstance(parameters, Mapping):
        lists = [list(_values(name, values)) for name, values in parameters.items()]
        for chosen in itertools.product(*lists):
            yield dict(zip(parameters, chosen, strict=True))
        return
    if isinstance(parameters, str | bytes) or not isinstance(parameters, Iterable):
        raise TypeError(
            f"parameters are a mapping such as {{'loss': [0, 0.01]}}, or a list of such sets, not {parameters!r:.60}"
        )
    names: list[str] | None = None
    for one in parameters:
        if not isinstance(one, Mapping):
            raise TypeError(f"a set of parameters is a mapping such as {{'loss': 0.01}}, not {one!r:.60}")
        names = sorted(one) if names is None else names
        if sorted(one) != names:
            raise ValueError(f"all sets of parameters have the same names, but {sorted(one)} is not {names}")
        yield dict(one)


def _values(name: object, values: Any) -> Iterable[Any]:
    """The values of one parameter of a grid."""
    if isinstance(values, str | bytes | Mapping) or not isinstance(values, Iterable):
        raise TypeError(f"parameter {name!r} has a list of values, such as [{values!r:.60}]")
    return values


def seed_list(seeds: Any) -> list[int]:
    """The seeds: range(n) of an int n, or those of an iterable."""
    if isinstance(seeds, numbers.Integral) and not isinstance(seeds, bool):
        if not 1 <= int(seeds) <= MAX_ROWS:
            raise ValueError(f"seeds={seeds}: a sweep has from 1 to {MAX_ROWS} seeds")
        return list(range(int(seeds)))
    if isinstance(seeds, str | bytes | bool) or not isinstance(seeds, Iterable):
        raise TypeError(f"seeds are a number of seeds, or a list of ints, not {seeds!r:.60}")
    found = []
    for seed in itertools.islice(seeds, MAX_ROWS + 1):
        if not isinstance(seed, numbers.Integral) or isinstance(seed, bool):
            raise TypeError(f"a seed is an int, not {seed!r:.60}")
        found.append(int(seed))
    if len(found) > MAX_ROWS:
        raise ValueError(f"a sweep has at most {MAX_ROWS} seeds")
    return found


def tasks(parameters: Any, seeds: Any) -> list[Task]:
    """All runs of a sweep, in the order of the parameters, and of the seeds for each of them."""
    numbers_ = seed_list(seeds)
    found: dict[str, Task] = {}
    for one in parameter_sets(parameters):
        for name in one:
            if not isinstance(name, str):
                raise TypeError(f"the name of a parameter is a str, not {name!r:.60}")
        if "seed" in one:
            raise ValueError("a parameter cannot be named 'seed', because the function gets the seed by that name")
        stored = encode_parameters(one)
        for seed in numbers_:
            task = Task(one, seed, stored, key_of(stored, seed))
            if task.key in found:
                raise ValueError(f"the parameters {one!r:.200} with seed {seed} are there twice")
            if len(found) >= MAX_ROWS:
                raise ValueError(f"a sweep has at most {MAX_ROWS} rows")
            found[task.key] = task
    if not found:
        raise ValueError("the sweep is empty: give at least one value of each parameter, and one seed")
    return list(found.values())
