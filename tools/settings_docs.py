#!/usr/bin/env python3
"""Writes docs/reference/settings.md: a table of all settings, and tables of the quirks.

Each row has type, default, range, unit, meaning and source.

Usage: tools/settings_docs.py [--check]      with --check: exit status 1 if the page is out of date

The source is the declarations in pystack_c/settings: each assignment with the comment above it, by method. A setting
without a description, or a number without a unit, is an error.
"""

import ast
import re
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from pystack.pkt.settings import PROFILES as PKT_PROFILES  # noqa: E402
from pystack.stepper.timeline import Timeline  # noqa: E402
from pystack_c.config import COUNTS, LIMITS, PROFILES, SIZES, Config, limits  # noqa: E402

PAGE = ROOT / "docs" / "reference" / "settings.md"
FOLDER = ROOT / "pystack_c" / "settings"
MODULES = ("network.py", "tcp.py", "service.py", "quirks.py")
MS, S = 1_000_000, 1_000_000_000
YEAR = 365 * 86400 * S
HEAD = """# Settings

Every stack has a `Config` (pystack_c/config.py). You change a setting with `--set NAME=VALUE` on the command line, with
`pystack.up(config={"name": value})`, with keywords of `Network.host(...)` in the simulator, or with `Config(name=value)`. An unknown
name, a value of another type, or a number outside its range is an error. A profile (`linux`, `rfc`, `lab`, `tahoe`) sets several at
once; the last section lists what each profile changes.

Times are numbers of nanoseconds and sizes are numbers of bytes. The tables show long ones as `60 s` or `256 KiB`; write them as
`60_000_000_000` and `262144`. A switch is on or off (`true` or `false`).

This page is made by `tools/settings_docs.py` from the declarations in `pystack_c/settings/`.

## Settings that you set
"""
QUIRKS = """
## Quirks

A quirk exists only so that a profile behaves as Linux or FreeBSD does where they differ from the RFCs. The profiles `linux` and
`freebsd` of `pystack pkt` set them, because public packetdrill scripts expect one kernel's behaviour exactly. You need none of them
to use the stack. The column "set by" names those profiles; a script sets the others with its `sysctl` lines.
"""


@dataclass
class Entry:
    """One setting as its declaration describes it."""

    name: str
    group: str
    meaning: str
    unit: str
    source: str


def described(name: str, group: str, comment: str, default: object) -> Entry:
    """Return the entry from a declaration's comment. SystemExit if it has no whole sentence, or if a number has no
    unit.
    """
    text, _, source = f" {comment}".partition(" Source: ")
    meaning, _, unit = text.partition(" Unit: ")
    meaning = meaning.strip()
    unit = unit.removesuffix(".")
    if not re.match(r"[A-Z].* .*\.$", meaning):
        raise SystemExit(f"{name}: no description in whole sentences above its declaration")
    if type(default) is int and not unit:
        if name in SIZES:
            unit = "bytes"
        elif name in COUNTS or (name in LIMITS and limits(name)[1] < S):
            raise SystemExit(f"{name}: a number without a unit (write `Unit: ...` into its comment)")
        else:
            unit = "ns"
    return Entry(name, group, meaning, unit, source.removesuffix("."))


def entries(path: Path) -> list[Entry]:
    """Return the settings that one module declares, in order."""
    lines = path.read_text().splitlines()
    defaults = Config().as_dict()
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.FunctionDef):
            continue
        for statement in node.body:
            target = statement.targets[0] if isinstance(statement, ast.Assign) else None
            if isinstance(target, ast.Attribute):
                above: list[str] = []
                line = statement.lineno - 2
                while lines[line].strip().startswith("#:"):
                    above.insert(0, lines[line].strip().removeprefix("#:").strip())
                    line -= 1
                name = target.attr
                found.append(described(name, ast.get_docstring(node) or "", " ".join(above), defaults[name]))
    return found


def short(value: object, unit: str) -> str:
    """Return a value as the tables show it."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, str):
        return f"`{value}`" if value else "empty"
    assert isinstance(value, int)
    if unit == "ns" and value and value % YEAR == 0:
        return f"{value // YEAR} year{'s' if value > YEAR else ''}"
    if unit == "ns" and value:
        return f"{value // S} s" if value % S == 0 else f"{value / MS:g} ms" if value < S else f"{value / S:g} s"
    if unit == "bytes" and value >= 1 << 40 and value % (1 << 40) == 0:
        return f"{value >> 40} TiB"
    if unit == "bytes" and value >= 1 << 20 and value % (1 << 20) == 0:
        return f"{value >> 20} MiB"
    if unit == "bytes" and value >= 1 << 16 and value % (1 << 10) == 0:
        return f"{value >> 10} KiB"
    return str(value)


def linked(source: str) -> str:
    """Return a source with its RFC sections as links to the RFC editor's pages."""

    def link(match: re.Match[str]) -> str:
        url = Timeline.link(match[0])
        return f"[{match[0]}]({url})" if url else match[0]

    return re.sub(r"RFC \d+(?: \d+(?:\.\d+)*)?(?![\w.]*-)", link, source)


def row(entry: Entry, quirk: bool) -> str:
    """Return one line of a table."""
    value = getattr(Config(), entry.name)
    if isinstance(value, bool):
        kind, span = "switch", "on, off"
    elif isinstance(value, str):
        kind, span = "text", ""
    else:
        kind = "time" if entry.unit == "ns" else "size" if entry.unit == "bytes" else "number"
        span = " to ".join(short(bound, entry.unit) for bound in limits(entry.name))
    cells = [f"`{entry.name}`", kind, short(value, entry.unit), span, entry.unit, entry.meaning, linked(entry.source)]
    if quirk:
        by = [f"`{name}`" for name, made in PKT_PROFILES.items() if entry.name in made[1]]
        cells.insert(6, ", ".join(by) or "scripts")
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def tables(module: str) -> str:
    """Return the tables of one module's settings, one for each group."""
    quirk = module == "quirks.py"
    titles = ["setting", "type", "default", "range", "unit", "meaning", "source"]
    if quirk:
        titles.insert(6, "set by")
    head = "| " + " | ".join(titles) + " |\n|" + "---|" * len(titles)
    groups: dict[str, list[str]] = {}
    for entry in entries(FOLDER / module):
        groups.setdefault(entry.group, []).append(row(entry, quirk))
    return "".join(f"\n### {title}\n\n{head}\n" + "\n".join(rows) + "\n" for title, rows in groups.items())


def profiles() -> str:
    """Return the list of what each profile changes."""
    units = {entry.name: entry.unit for module in MODULES for entry in entries(FOLDER / module)}
    parts = ["\n## Profiles\n"]
    for name, changes in PROFILES.items():
        told = [f"`{setting}` {short(value, units[setting])}" for setting, value in changes.items()]
        parts.append(f"\n- `{name}`: {', '.join(told) or 'the defaults'}.")
    return "".join(parts) + "\n"


def page() -> str:
    """Return the page's text."""
    user = "".join(tables(module) for module in MODULES if module != "quirks.py")
    return HEAD + user + QUIRKS + tables("quirks.py") + profiles()


def main() -> int:
    """Write or check the page."""
    text = page()
    if "--check" in sys.argv[1:]:
        return 0 if PAGE.exists() and PAGE.read_text() == text else 1
    PAGE.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
