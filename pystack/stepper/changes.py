"""Changes of a scenario as text, for command lines: "drop=5", "nodelay=a", "congestion=a:cubic", "delay=50ms", "set=b:tcp_sack=off"."""

from collections.abc import Callable
from typing import Any

from pystack.stepper import branch, habits
from pystack.stepper.branch import Change, ChangeError

FORMS = {
    "drop=FRAME": "the network loses this frame",
    "deliver=FRAME": "the network delivers this frame",
    "hold=FRAME:TIME": "the frame arrives later, such as hold=7:30ms",
    "repeat=FRAME": "the frame arrives twice",
    "nodelay=HOST": "TCP_NODELAY on the host's connections",
    "quickack=HOST": "TCP_QUICKACK on the host's connections",
    "congestion=HOST:NAME": "another congestion control: reno, cubic, bbr",
    "fastopen=HOST": "the host sends its first data in the SYN, as if it had a cookie",
    "onewrite=HOST": "what the host writes before it reads leaves as one piece",
    "keepalive=HOST": "the host has kept its connection from an earlier request, if the scenario's program has this choice",
    "delay=TIME": "another delay of all links; delay=LINK:TIME for one link",
    "loss=SHARE": "a share of lost frames, such as loss=0.05",
    "rate=BITS": "a rate of all links in bit/s",
    "set=HOST:NAME=VALUE": "a setting of the host from the beginning, such as set=b:tcp_sack=off",
}
_UNITS = {"ns": 1, "us": 1_000, "ms": 1_000_000, "s": 1_000_000_000}


def parse(text: str) -> Change:
    """Return the change that a text names. ChangeError says in one line what is wrong with the text."""
    name, equals, value = text.partition("=")
    made = _MAKERS.get(name)
    if not equals or made is None:
        raise ChangeError(f"{text!r} is not a change; there are {', '.join(FORMS)}")
    try:
        return made(value)
    except ValueError as error:
        if isinstance(error, ChangeError):
            raise
        form = next(form for form in FORMS if form.startswith(name + "="))
        raise ChangeError(f"{text!r} should have the form {form} ({FORMS[form]})") from None


def duration(text: str) -> int:
    """Return a time such as "30ms" in ns. ValueError: it is none, or has more than 15 digits before its point."""
    for unit in ("ns", "us", "ms", "s"):
        number = text[: -len(unit)]
        if text.endswith(unit) and number.replace(".", "", 1).isdigit() and len(number.partition(".")[0]) <= 15:
            return round(float(number) * _UNITS[unit])
    raise ValueError(text)


def _hold(value: str) -> Change:
    frame, _, extra = value.partition(":")
    return branch.Hold(int(frame), duration(extra))


def _congestion(value: str) -> Change:
    host, _, name = value.partition(":")
    if not name:
        raise ValueError(value)
    return branch.Congestion(host, name)


def _delay(value: str) -> Change:
    link, _, time = value.rpartition(":")
    return branch.LinkSet(link, delay=duration(time))


def _loss(value: str) -> Change:
    link, _, share = value.rpartition(":")
    if not 0 <= float(share) <= 1:
        raise ValueError(value)
    return branch.LinkSet(link, loss=float(share))


def _rate(value: str) -> Change:
    link, _, rate = value.rpartition(":")
    return branch.LinkSet(link, rate=int(rate))


def _set(value: str) -> Change:
    from pystack_c.config import Config, unknown

    host, _, rest = value.partition(":")
    name, equals, setting = rest.partition("=")
    known = Config().as_dict()
    if not equals:
        raise ValueError(value)
    if name not in known:
        raise ChangeError(unknown(name))
    old = known[name]
    typed: Any = setting
    if isinstance(old, bool):
        typed = {"on": True, "true": True, "1": True, "off": False, "false": False, "0": False}.get(setting.lower())
        if typed is None:
            raise ValueError(value)
    elif isinstance(old, int):
        typed = int(setting.replace("_", ""))
    return branch.Setting(host, name, typed)


_MAKERS: dict[str, Callable[[str], Change]] = {
    "drop": lambda value: branch.Drop(int(value)),
    "deliver": lambda value: branch.Deliver(int(value)),
    "repeat": lambda value: branch.Repeat(int(value)),
    "hold": _hold,
    "nodelay": branch.NoDelay,
    "quickack": branch.QuickAck,
    "congestion": _congestion,
    "fastopen": habits.FastOpenHabit,
    "onewrite": habits.OneWrite,
    "keepalive": habits.KeepAlive,
    "delay": _delay,
    "loss": _loss,
    "rate": _rate,
    "set": _set,
}
