"""Writes docs/reference/proxies.md: `python -m tools.proxies_docs` (`make proxies`) drives nginx, HAProxy and pystack's proxy.

tests/proxies/test_table.py compares the page with what it sees itself.
"""

import contextlib
import re
import sys
import tempfile
from dataclasses import fields
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "reference" / "proxies.md"
SETTINGS = ROOT / "pystack" / "proxies" / "settings.py"
HEAD = """# Proxies: limits, and behaviour beside nginx and HAProxy

[How to use the proxies](../howto/proxies.md) is on another page. This page compares the HTTP proxy with nginx and HAProxy, and lists
all its settings.

## The same cases at three proxies

A test drives each proxy over TCP with the same bytes, in front of the same server. All timeouts are one second, and all other settings are
the defaults of each. nginx has `proxy_http_version 1.1`, `keepalive`, `$proxy_add_x_forwarded_for` and its usual lines for WebSocket.
HAProxy has `option forwardfor`. A number is the status that the client got, *passed on* means that the request reached the server, and
*closed* means that the connection ended without an answer."""
EXPLAINED = """The differences are choices, and not mistakes:

- pystack refuses every request of the first part that could be read in two ways. nginx and HAProxy write a new head for the server, too, so
  the forms that they accept cannot be used against a server behind them alone.
- pystack repeats a request with an idempotent method on another connection if the first one ended without a byte of an answer, as
  nginx does. HAProxy does so with `retry-on`.
- nginx reads a whole response into files by default. pystack and HAProxy hold a bounded part of it.
- HAProxy sends a request to the server before its body is complete unless it has `option http-buffer-request`.
- pystack removes X-Forwarded-For of clients unless `trust_forwarded` is set. The others add to it.
- nginx speaks HTTP/1.1 to servers (and HTTP/2 for gRPC alone). HAProxy has `proto h2` here, and gives each client a connection of its own unless
  it has `http-reuse always`. pystack repeats a request that the server has not processed, whatever its method is. HAProxy does not by default."""


def tail() -> str:
    """Return the end of the page: the explanation, and the settings with their comments."""
    lines = [
        EXPLAINED,
        "",
        "## Settings",
        "",
        "`ProxySettings` has these settings. Times are seconds, and sizes are bytes.",
        "",
        "| setting | default | meaning |",
        "|---|---|---|",
    ]
    lines += [f"| `{name}` | {value} | {text} |" for name, value, text in settings()]
    lines += ["", "`make proxies` writes this page, and `tests/proxies/test_table.py` compares it with what it sees."]
    return "\n".join(lines)


def settings() -> list[tuple[str, str, str]]:
    """Return the name, default and comment of each setting."""
    from pystack.proxies.settings import ProxySettings

    found, comment = [], ""
    for line in SETTINGS.read_text().splitlines():
        text = line.strip()
        if text.startswith("#:"):
            comment += " " + text[2:].strip()
        elif match := re.fullmatch(r"(\w+): (?:int|float) = (\S+)", text):
            found.append((match[1], f"{float(match[2].replace('_', '')):,g}", comment.strip()))
            comment = ""
    names = [field.name for field in fields(ProxySettings)]
    assert [name for name, _, _ in found] == names
    return [(name, value, text[:1].upper() + text[1:] or "See the line above.") for name, value, text in found]


def cells(text: str) -> dict[tuple[str, str], list[str]]:
    """Return the rows of the page's tables of cases, by part and name."""
    found: dict[tuple[str, str], list[str]] = {}
    part = ""
    for line in text.partition("\n## Settings")[0].splitlines():
        if line.startswith("### "):
            part = line[4:]
        elif line.startswith("| ") and not line.startswith("| case |"):
            name, *row = (cell.strip() for cell in line.strip("|").split("|"))
            found[part, name] = row
    return found


def versions(text: str) -> dict[str, str]:
    """Return the versions that the page is about."""
    match = re.search(r"^The peers were nginx (\S+) and HAProxy (\S+), from Debian\.$", text, re.M)
    return {"nginx": match[1], "haproxy": match[2]} if match else {}


def page(rows: dict[tuple[str, str], list[str]], peers: dict[str, str]) -> str:
    """Return the text of the page."""
    lines = [HEAD, "", f"The peers were nginx {peers['nginx']} and HAProxy {peers['haproxy']}, from Debian."]
    part = ""
    for (where, name), row in rows.items():
        if where != part:
            part = where
            lines += ["", f"### {part}", "", "| case | nginx | HAProxy | pystack |", "|---|---|---|---|"]
        lines.append(f"| {name} | {' | '.join(row)} |")
    return "\n".join([*lines, "", tail(), ""])


def main() -> int:
    """Run all cases, and write the page."""
    from tests.proxies.cases import CASES
    from tests.proxies.origin import InThread
    from tests.proxies.peers import NAMES, missing, peer, version

    for name in NAMES:
        if why := missing(name):
            print(why, file=sys.stderr)
            return 2
    thread: Any = InThread()
    rows: dict[tuple[str, str], list[str]] = {(case.part, case.name): [] for case in CASES}
    for name in NAMES:
        origin, at = thread.origin()
        with contextlib.ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            port = stack.enter_context(peer(name, thread, at, origin.second, folder))
            for case in CASES:
                origin.forget()
                rows[case.part, case.name].append(case.run(port, origin))
    thread.close()
    PAGE.write_text(page(rows, {name: version(name) for name in NAMES}))
    print(f"wrote {PAGE.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
