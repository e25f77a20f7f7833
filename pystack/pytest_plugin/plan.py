"""A plan says exactly how a test runs: its seed, and what shrinking has left of its faults and hosts. A file of it replays the run."""

import dataclasses
import json
from typing import Any, NamedTuple

#: what can happen to a frame by chance; the value of "corrupt" is a bit, and that of "jitter" a time in ns
KINDS = ("lost", "late", "twice", "corrupt", "jitter")
#: bounds of a file
MOST_BYTES = 64 << 20
MOST_FAULTS = 100_000
VERSION = 1


class Fault(NamedTuple):
    """One decision of chance: `kind` (see KINDS) happens to frame `number`, counted from 1, of the channel `channel`."""

    channel: str
    number: int
    kind: str
    value: int = 0


@dataclasses.dataclass(frozen=True)
class Plan:
    """How a test runs.

    seed     decides everything that is random
    faults   what happens to frames; None: chance decides
    steps    the steps of the mark's schedule that happen; None: all
    without  the hosts of the mark that are left out
    shuffle  whether the order of ready tasks is shuffled, if the mark wants that
    limit    the limit of virtual time in ns; 0: the mark's
    """

    seed: int
    faults: tuple[Fault, ...] | None = None
    steps: tuple[str, ...] | None = None
    without: tuple[str, ...] = ()
    shuffle: bool = True
    limit: int = 0

    def but(self, **changes: Any) -> "Plan":
        """The plan with changes."""
        return dataclasses.replace(self, **changes)


def dump(plan: Plan, test: str) -> str:
    """The text of a file that replays `test`, a node id."""
    fields = {"version": VERSION, "test": test, **dataclasses.asdict(plan)}
    lines = [f"  {json.dumps(name)}: {json.dumps(value)}" for name, value in fields.items() if name != "faults"]
    faults = plan.faults or ()
    if plan.faults is not None:
        rows = ",\n    ".join(json.dumps(list(fault)) for fault in faults)
        lines.append('  "faults": ' + (f"[\n    {rows}\n  ]" if rows else "[]"))
    return "{\n" + ",\n".join(lines) + "\n}\n"


def load(path: str) -> tuple[str, Plan]:
    """Read a file: the node id of the test, and the plan. ValueError says in one line what is wrong."""
    try:
        with open(path, "rb") as file:
            data = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}") from None
    if len(data) > MOST_BYTES:
        raise ValueError(f"{path}: a file that replays a test has at most {MOST_BYTES} bytes")
    try:
        fields = json.loads(data)
        if fields.get("version") != VERSION:
            raise ValueError(f"version {fields.get('version')!r}, and this pystack reads version {VERSION}")
        return _text(fields["test"]), _plan(fields)
    except KeyError as error:
        reason: object = f"it has no {error}"
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        reason = error
    raise ValueError(f"{path} does not replay a test: {reason}")


def _plan(fields: dict[str, Any]) -> Plan:
    faults = fields.get("faults")
    steps = fields.get("steps")
    return Plan(
        seed=_number(fields["seed"]),
        faults=None if faults is None else tuple(_fault(row) for row in faults[:MOST_FAULTS]),
        steps=None if steps is None else tuple(_text(step) for step in steps),
        without=tuple(_text(name) for name in fields["without"]),
        shuffle=bool(fields["shuffle"]),
        limit=_number(fields["limit"]),
    )


def _fault(row: Any) -> Fault:
    channel, number, kind, value = row
    if kind not in KINDS:
        raise ValueError(f"{str(kind)[:40]!r} is no kind of fault")
    return Fault(_text(channel), _number(number), kind, _number(value))


def _number(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 1 << 63:
        raise ValueError(f"{str(value)[:40]!r} is not a whole number from 0 to 2**63 - 1")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{str(value)[:40]!r} is not a text")
    return value
