"""Middleboxes as texts: `pystack up --middlebox nat-timeout:idle=30s,answer=reset`."""

from typing import Any

from pystack.sim.boxes import (
    Corrupter,
    EcnBleacher,
    Middlebox,
    MssRewriter,
    NatTimeout,
    OptionStripper,
    Resetter,
    ScaleRewriter,
)  # fmt: skip
from pystack.sim.units import parse_probability, parse_time


def parse(text: str) -> Middlebox:
    """The box that a text describes, such as "nat-timeout:idle=30s,answer=reset". ValueError says what is wrong."""
    kind, _, rest = text.partition(":")
    if kind not in KINDS:
        raise ValueError(f"there is no middlebox {kind[:40]!r}; there are {', '.join(KINDS)}")
    make, settings = KINDS[kind]
    found: dict[str, Any] = {}
    for part in rest.split(",") if rest else []:
        name, equals, value = part.strip().partition("=")
        if name not in settings or not equals:
            raise ValueError(f"{part[:40]!r}: {kind} has the settings {', '.join(settings)}, such as {_EXAMPLES[kind]}")
        if name in found:
            raise ValueError(f"{kind}: {name} is named twice")
        try:
            found[name] = settings[name](value)
        except ValueError as error:
            raise ValueError(f"{kind}: {name}: {error}") from None
    try:
        return make(*found.pop("options", ()), **found)
    except TypeError:
        raise ValueError(f"{kind} needs more settings, such as {_EXAMPLES[kind]}") from None


def _whole(text: str) -> int:
    if not text.isdecimal() or len(text) > 18:
        raise ValueError(f"{text[:40]!r} is not a whole number")
    return int(text)


def _yes(text: str) -> bool:
    if text not in ("yes", "no"):
        raise ValueError(f"{text[:40]!r}: write yes or no")
    return text == "yes"


#: kind -> (class, its settings with the functions that read them)
KINDS: dict[str, tuple[Any, dict[str, Any]]] = {
    "nat-timeout": (NatTimeout, {"idle": parse_time, "answer": str, "most": _whole}),
    "reset": (Resetter, {"after_bytes": _whole, "port": _whole, "both": _yes}),
    "strip": (OptionStripper, {"options": lambda text: text.split("+"), "how": str, "ways": str}),
    "mss": (MssRewriter, {"mss": _whole, "always": _yes, "ways": str}),
    "window-scale": (ScaleRewriter, {"shift": _whole, "ways": str}),
    "ecn-bleach": (EcnBleacher, {"ways": str}),
    "corrupt": (Corrupter, {"probability": parse_probability, "every": _whole, "port": _whole, "ways": str}),
}
_EXAMPLES = {
    "nat-timeout": "nat-timeout:idle=30s,answer=reset",
    "reset": "reset:after_bytes=10000,port=80",
    "strip": "strip:options=sack-permitted+timestamps",
    "mss": "mss:mss=1200",
    "window-scale": "window-scale:shift=0",
    "ecn-bleach": "ecn-bleach:ways=out",
    "corrupt": "corrupt:probability=1%,port=80",
}
