"""A bad link in front of a live device: the settings as `pystack up --delay 50ms` and `pystack.up(link=...)` write them."""

from collections.abc import Callable, Mapping
from typing import Any

from pystack.sim.boxtext import parse
from pystack.sim.channel import Channel
from pystack.sim.impairments import check_setting
from pystack.sim.middlebox import Middlebox
from pystack.sim.profiles import link_profile
from pystack.sim.units import (
    parse_probability,
    parse_rate,
    parse_time,
    probability_text,
    rate_text,
    time_text,
)

#: the name of a profile, or settings by name
LinkSettings = str | Mapping[str, Any]
#: the settings that may be written as texts: how they are read and written
TEXTS: dict[str, tuple[Callable[[str], Any], Callable[[Any], str]]] = {
    "delay": (parse_time, time_text),
    "jitter": (parse_time, time_text),
    "rate": (parse_rate, rate_text),
    "loss": (parse_probability, probability_text),
    "duplicate": (parse_probability, probability_text),
    "corrupt": (parse_probability, probability_text),
}


def directions(link: LinkSettings) -> tuple[dict[str, Any], dict[str, Any]]:
    """The settings (outbound, inbound) of a link: the name of a profile, or settings of Channel that hold for both directions.

    Values may be texts with units. `profile` names a profile that the others change; the stack is its user. `middlebox` is checked, and left
    to `middleboxes`.
    ValueError or TypeError if a setting is unknown or not allowed.
    """
    if isinstance(link, str):
        link = {"profile": link}
    settings = dict(link)
    name = settings.pop("profile", None)
    middleboxes(settings)
    settings.pop("middlebox", None)
    out, back = ({}, {}) if name is None else link_profile(str(name))
    for key, value in settings.items():
        if isinstance(value, str):
            if key not in TEXTS:
                raise ValueError(f"a link has no setting {key!r} with a unit; there are profile, {', '.join(TEXTS)}")
            try:
                value = TEXTS[key][0](value)
            except ValueError as error:
                raise ValueError(f"{key}: {error}") from None
        elif key in TEXTS:
            _check(key, value)
        out[key] = back[key] = value
    Channel().set(**out)  # an error names what it does not know, or what is not allowed
    return out, back


def middleboxes(link: LinkSettings) -> list[Middlebox] | None:
    """New middleboxes for the setting `middlebox`: a Middlebox, a text (see boxtext.parse), or a list of them. None: it is not set.

    The text may name several, with ; between them, or "none". The first one is nearest to the stack. ValueError or TypeError if it is wrong.
    """
    if isinstance(link, str) or link.get("middlebox") is None:
        return None
    value = link["middlebox"]
    found: list[Middlebox] = []
    for one in value if isinstance(value, list | tuple) else [value]:
        if isinstance(one, Middlebox):
            found.append(one)
        elif isinstance(one, str):
            try:
                found += [parse(text.strip()) for text in one.split(";")] if one.strip() != "none" else []
            except ValueError as error:
                raise ValueError(f"middlebox: {error}") from None
        else:
            raise TypeError(f"middlebox: {one!r:.60} is no middlebox and no text")
    for place, box in enumerate(found):
        box.check_new()
        if any(box is other for other in found[:place]):
            raise ValueError(f"middlebox: {box!r} is there twice")
    return found


def _check(key: str, value: Any) -> None:
    """Raise the ValueError of check_setting for a setting that may also be a text."""
    try:
        check_setting(key, value)
    except ValueError as error:
        raise ValueError(f"{error}, or a text with a unit") from None


def channel_text(channel: Channel) -> str:
    """The settings of one direction that do something, such as "delay 50ms, loss 1%"."""
    if not channel.up:
        return "down"
    values = [(name, getattr(channel, name), write) for name, (_, write) in TEXTS.items()]
    words = [f"{name} {write(value)}" for name, value, write in values if value]
    if channel.reorder:
        words.append(f"reorder {probability_text(channel.reorder)} for {time_text(channel.reorder_delay)}")
    if channel.burst is not None:
        words.append(f"loss in bursts {probability_text(channel.burst.mean_loss())}")
    if channel.trace is not None:
        words.append("a trace of rate and delay")
    return ", ".join(words) or "no fault"
