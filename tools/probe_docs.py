#!/usr/bin/env python3
"""Writes docs/reference/probe.md: every kind of event of the core, with an example of each from a simulated run.

Usage: tools/probe_docs.py [--check]      with --check: exit status 1 if the page is out of date

The list is pystack_c.probe.KINDS, and the runs are tests/support/decisions.py. A kind that does not occur in any run is an error.
"""

import importlib
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from pystack.stepper.timeline import Timeline  # noqa: E402
from pystack.trace.annotate import value_text  # noqa: E402
from pystack_c.probe import KINDS, TIMERS, Event  # noqa: E402

PAGE = ROOT / "docs" / "reference" / "probe.md"
HEAD = """# The probe: every decision is an event

Set `stack.probe` to an object with a method `event(event)`. The stack then calls this method for each decision that it takes, in order. An
`Event` (`pystack_c/probe.py`) has `kind`, `time` (ns), `host`, `subject` (a connection, an interface, a neighbour), `endpoint` (its number, or 0),
`reason` (why, in words), `rfc` (the section that requires or allows the decision) and `fields` (they depend on the kind, see below). If the
probe has `snapshots = True`, each event about a socket also has the variables of the socket `before` and `after` the decision.
[How pystack is built](../explanation/architecture.md#the-probe) gives the rules. Without a probe, a decision costs one comparison.

`tools/probe_docs.py` makes this page from the list in the code and from simulated runs in which every kind of event occurs. The example of
each kind names the subject, the reason, and in brackets the fields.
"""
#: the kinds, by subject
GROUPS = (
    ("Frames, drops, calls", ("frame.", "drop", "call", "return")),
    ("Timers", ("timer.",)),
    ("ARP", ("arp.",)),
    ("IP, routes, ICMP, IGMP", ("route", "ip.", "icmp.", "igmp.")),
    ("Connection tracking and address translation", ("ct.", "nat.")),
    ("Packet filter", ("nft.",)),
    ("Load balancing", ("balance.",)),
    ("UDP and raw sockets", ("udp.", "raw.")),
    ("TCP", ("tcp.",)),
)


def linked(rfc: str) -> str:
    """Return a section as a link to the RFC editor's page."""
    url = Timeline.link(rfc)
    return f"[{rfc}]({url})" if url else rfc


def order(rfc: str) -> tuple[object, ...]:
    """Return a sort key: RFCs by number and section, others after them."""
    numbers = [int(part) for part in re.findall(r"\d+", rfc)]
    return (not rfc.startswith("RFC"), numbers, rfc)


def short(event: Event) -> str:
    """Return the example: its subject and its reason."""
    fields = ", ".join(f"{name} {value_text(value)}" for name, value in event.fields.items() if name != "frame")
    if len(fields) > 110:
        fields = fields[:107] + "..."
    return f"`{event.subject}`: {event.reason} ({fields})".replace("|", "\\|")


def entry(kind: str, found: list[Event]) -> str:
    """Return one kind: its fields, its meaning, its sections, an example."""
    fields, meaning = KINDS[kind]
    named = ", ".join(f"`{name}`" for name in fields)
    sections = ", ".join(linked(rfc) for rfc in sorted({event.rfc for event in found}, key=order))
    example = min(found, key=lambda event: (-len(event.reason), event.subject))
    return f"**`{kind}`** ({named}): {meaning}.\n\n- {sections}\n- {short(example)}\n"


def timers() -> str:
    """Return the table of timers."""
    rows = [f"| `{name}` | {why} | {linked(rfc)} |" for name, why, rfc in TIMERS.values()]
    return "\n".join(["| timer | why it expires | rule |", "|---|---|---|", *rows]) + "\n"


def page(events: list[Event]) -> str:
    """Return the page's text. SystemExit if a kind does not occur, or is not in the list."""
    by_kind: dict[str, list[Event]] = {}
    for event in events:
        by_kind.setdefault(event.kind, []).append(event)
    missing = sorted(set(KINDS) ^ set(by_kind))
    if missing:
        raise SystemExit(f"in probe.KINDS, or in a run, but not in both: {', '.join(missing)}")
    parts = [HEAD]
    for title, prefixes in GROUPS:
        parts.append(f"\n## {title}\n")
        if title == "Timers":
            parts.append("\n" + timers())
        parts += ["\n" + entry(kind, by_kind[kind]) for kind in KINDS if kind.startswith(prefixes)]
    return "".join(parts)


def main() -> int:
    """Write or check the page."""
    text = page(importlib.import_module("tests.support.decisions").collect())
    if "--check" in sys.argv[1:]:
        return 0 if PAGE.exists() and PAGE.read_text() == text else 1
    PAGE.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
