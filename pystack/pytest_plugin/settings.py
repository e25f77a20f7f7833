"""The keywords of `@pytest.mark.pystack(...)`: reading and checking them.

The marks of a module, a class and a function add up, and the closest one wins.
"""

import dataclasses
import difflib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pystack.sim.channel import SETTINGS
from pystack.sim.live import directions
from pystack.sim.units import parse_time

#: the keywords that are no settings of a link
OWN = ("seed", "hosts", "host", "schedule", "shuffle", "limit", "profile")
#: what links have unless the mark says otherwise
DELAY = 1_000_000
#: a test that has not ended after this virtual time (ns) has failed
LIMIT = 3_600 * 1_000_000_000
#: hosts of one test at most
MOST_HOSTS = 10_000
FAULTS = ("cut", "freeze", "crash", "reboot")


@dataclasses.dataclass(frozen=True)
class MarkSettings:
    """What the marks of a test say.

    faults    settings of the links: `delay`, `loss`, ..., `profile`
    host      the name of the host on which the test runs
    hosts     the names of further hosts, which exist before the test begins
    schedule  steps (see ScheduleStep), or a function that is called with the network's Schedule
    """

    faults: dict[str, Any] = dataclasses.field(default_factory=dict)
    seed: int = 1
    host: str = "test"
    hosts: tuple[str, ...] = ()
    schedule: "tuple[str, ...] | Callable[[Any], Any]" = ()
    shuffle: bool = False
    limit: int = LIMIT


@dataclasses.dataclass(frozen=True)
class ScheduleStep:
    """A step of a schedule, such as "2s freeze server until 5s": a time, a fault, a host, and the time at which the fault ends.

    `cut` cuts the host's link, `freeze` lets it stop answering, `crash` switches it off, and `reboot` switches it off and on again.
    """

    at: int
    fault: str
    host: str
    until: int | None

    @classmethod
    def read(cls, text: str) -> "ScheduleStep":
        """ValueError if the text is no step."""
        words = text.split()
        try:
            if len(words) not in (3, 5) or (len(words) == 5 and words[3] != "until"):
                raise ValueError(f"{text!r} is not of the form `TIME {'|'.join(FAULTS)} HOST [until TIME]`")
            if words[1] not in FAULTS:
                raise ValueError(f"{words[1]!r} is not a fault; there are {', '.join(FAULTS)}")
            at, until = parse_time(words[0]), parse_time(words[4]) if len(words) == 5 else None
            if until is not None and until <= at:
                raise ValueError("the fault ends before it begins")
            if until is not None and words[1] == "crash":
                raise ValueError("a crash is for ever; a reboot ends")
            if until is None and words[1] == "reboot":
                until = at + 1
        except ValueError as error:
            raise ValueError(f"schedule, step {text!r}: {error}") from None
        return cls(at, words[1], words[2], until)


def of(marks: Iterable[Any]) -> MarkSettings:
    """The settings of these marks, the closest one first. ValueError or TypeError says what is wrong."""
    keywords: dict[str, Any] = {}
    for mark in reversed(list(marks)):
        if mark.args:
            raise TypeError(f"the mark pystack takes keywords, such as loss=0.05, and not {mark.args[0]!r}")
        keywords.update(mark.kwargs)
    return read(keywords)


def read(keywords: Mapping[str, Any]) -> MarkSettings:
    """The settings of keywords."""
    for name in keywords:
        if name not in OWN and (name not in SETTINGS or name == "up"):
            known = [*OWN, *(setting for setting in SETTINGS if setting != "up")]
            near = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean {near[0]}? " if near else ""
            raise TypeError(f"the mark pystack has no keyword {name!r}: {hint}There are {', '.join(known)}")
    faults = {name: value for name, value in keywords.items() if name == "profile" or name not in OWN}
    directions(faults)
    hosts = _hosts(keywords.get("hosts", ()))
    host = keywords.get("host", "test")
    if not isinstance(host, str) or not host:
        raise TypeError(f"host={host!r}: write the name of the host on which the test runs")
    if host in hosts or len(set(hosts)) < len(hosts):
        raise ValueError(f"hosts={hosts!r}: two hosts have one name (the test runs on {host!r})")
    schedule = keywords.get("schedule", ())
    if not callable(schedule):
        if isinstance(schedule, str):
            schedule = (schedule,)
        if not isinstance(schedule, list | tuple):
            raise TypeError(f"schedule={schedule!r}: write a list of steps, or a function that gets a Schedule")
        schedule = tuple(schedule)
        for step in schedule:
            ScheduleStep.read(_text(step))
    shuffle = keywords.get("shuffle", False)
    if not isinstance(shuffle, bool):
        raise TypeError(f"shuffle={shuffle!r}: write True or False")
    return MarkSettings(
        faults=faults,
        seed=_seed(keywords.get("seed", 1)),
        host=host,
        hosts=hosts,
        schedule=schedule,
        shuffle=shuffle,
        limit=_limit(keywords.get("limit", LIMIT)),
    )


def _hosts(value: Any) -> tuple[str, ...]:
    if isinstance(value, int) and not isinstance(value, bool):
        if not 0 <= value <= MOST_HOSTS:
            raise ValueError(f"hosts={value}: there are 0 to {MOST_HOSTS} hosts")
        return tuple(f"host{number}" for number in range(1, value + 1))
    names = (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list | tuple) else (None,)
    if not all(isinstance(name, str) and name for name in names):
        raise TypeError(f"hosts={value!r}: write a number, or a list of names")
    return names  # type: ignore[return-value]


def _seed(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 1 << 62:
        raise ValueError(f"seed={value!r}: a seed is a whole number, from 0 on")
    return value


def _limit(value: Any) -> int:
    if isinstance(value, str):
        value = parse_time(value)
    if type(value) is not int or not 0 < value < 1 << 62:
        raise ValueError(f'limit={value!r}: write a virtual time, such as limit="60s"')
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f'schedule: a step is a text such as "2s freeze server until 5s", and not {value!r}')
    return value
