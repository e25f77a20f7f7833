"""`pystack step --export`: one self-contained page with the same views and numbers as the served one. It opens offline.

The page holds the bundle's script and style, and the compressed data. Its content security policy forbids it to load
anything else.
"""

import base64
import gzip
import hashlib
import html
import json
import os
from typing import TYPE_CHECKING, Any

from pystack.stepper.cursor import Cursor
from pystack.stepper.web import bundle, excerpt, timing
from pystack.stepper.web.data import EVENT_CHUNK, FRAME_CHUNK, Trace
from pystack.stepper.web.excerpt import Excerpt

if TYPE_CHECKING:
    from pystack.stepper.scenarios import Scenario
    from pystack.stepper.timeline import Timeline

#: a page with more events would be too much for a browser; such traces are for the served stepper
MOST_EVENTS = 200_000
#: the page holds the plots of the connections that sent most, up to this number
MOST_PLOTS = 64
#: and what the first conversations said, up to this number of them
MOST_STREAMS = 64
#: units whose steps are computed beforehand (a step by one event needs no computation)
UNITS = ("frame", "layer", "rtt")


def export(timeline: "Timeline", path: str, scenario: "Scenario | None" = None, frames: str = "") -> None:
    """Write the page, or only some frames, such as "100-200". A ValueError says in one line what is wrong."""
    scenario = scenario or scenario_of(timeline)
    if frames:
        text = page(Excerpt(timeline, scenario, *excerpt.parse(frames, len(timeline.frames))))
    else:
        text = page(Trace(timeline, scenario))
    with open(path + ".new", "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(path + ".new", path)


def scenario_of(timeline: "Timeline") -> "Scenario | None":
    """Return the scenario that made a recording, if the recording names one."""
    from pystack.stepper import scenarios

    name = timeline.meta.get("scenario")
    return scenarios.get(name) if isinstance(name, str) and scenarios.known(name) else None


def page(trace: Trace, begin: int = -1, layout: str = "") -> str:
    """Return the page's text. It begins at the event `begin`, and in the layout "beginner" or "expert" if one is given.

    A ValueError says that the trace has too many events.
    """
    timeline = trace.timeline
    count, _ = trace.sizes()
    if count > MOST_EVENTS:
        raise ValueError(
            f"{timeline.name}: {count} events; a page can hold {MOST_EVENTS}: use --web, or choose frames, such as "
            f"--frames 1-{max(len(timeline.frames) * MOST_EVENTS // count // 2, 1)}"
        )
    found = contents(trace)
    found["overview"]["begin"] = begin
    data = json.dumps(found, separators=(",", ":"), ensure_ascii=False, default=str)
    # The page holds no time of day, so the same trace gives the same page.
    packed = base64.b64encode(gzip.compress(data.encode(), 9, mtime=0)).decode()
    script, style = bundle.text("stepper.js"), bundle.text("stepper.css")
    return bundle.text("index.html").replace(
        '<link rel="stylesheet" href="stepper.css">', f"<meta {_policy(script)}>\n<style>{_inert(style, 'style')}</style>"
    ).replace(
        '<script src="stepper.js" defer></script>',
        f'<script id="data" type="application/octet-stream">{packed}</script>\n<script>{_inert(script, "script")}</script>',
    ).replace('<main id="app">', f'<main id="app" data-layout="{html.escape(layout)}">' if layout else '<main id="app">').replace("<title>pystack stepper</title>", f"<title>{html.escape(timeline.name)} - pystack stepper</title>")  # fmt: skip


def _inert(text: str, tag: str) -> str:
    """Return the bundle's text after checking that it cannot end its own element."""
    if f"</{tag}" in text.lower() or "<!--" in text:
        raise ValueError(f"the bundle contains </{tag} or <!--, so it cannot be put into a page")
    return text


def _policy(script: str) -> str:
    """Return the policy: only this script and inline styles, and no request to anywhere."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    rules = f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
    return f'http-equiv="Content-Security-Policy" content="{rules}"'


def contents(trace: Trace) -> dict[str, Any]:
    """Return everything that a client could request from the server."""
    events, frames = trace.sizes()
    return {
        "overview": {**trace.overview(), "served": False, "changes": [], "parent": None},
        "events": [trace.events(n) for n in range(-(-events // EVENT_CHUNK))],
        "frames": [trace.frames(n) for n in range(-(-frames // FRAME_CHUNK))],
        "plots": {key: trace.plots(key) for key in trace.connections[:MOST_PLOTS]},
        "time": _times(trace),
        "talks": trace.talks(),
        "streams": [trace.stream(number) for number in range(min(len(trace.talks()), MOST_STREAMS))],
        "why": [trace.why(index) for index in range(events)],
        "steps": {unit: [_steps(trace, unit, 1), _steps(trace, unit, -1)] for unit in UNITS},
    }


def _times(trace: Trace) -> dict[str, Any]:
    """Return where the time of each request went. The spans of an excerpt may begin before it, so it has none."""
    if isinstance(trace, Excerpt):
        return {}
    return {key: timing.answer_or_error(trace.requests, key) for key in ("", *trace.connections[:MOST_PLOTS])}


def _steps(trace: Trace, unit: str, direction: int) -> list[int]:
    """Return the position that a step leads to, from each position. The first one is before all events."""
    cursor = Cursor(trace.timeline)
    first, end = trace.bounds()
    found = []
    for position in range(first - 1, end):
        cursor.position = position
        cursor.step(unit, direction)
        found.append(min(max(cursor.position, first - 1), end - 1) - first)
    return found
