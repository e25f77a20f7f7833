"""The stepper in a browser: one page, served only to this machine, or exported into a file (pystack/stepper/export.py).

`serve(timeline, port=0, browser=True)` needs the extra `web`.
"""

from typing import Any


def __getattr__(name: str) -> Any:
    """Import `serve` only when it is used, because the export needs no server."""
    if name == "serve":
        from pystack.stepper.web.server import serve

        return serve
    raise AttributeError(name)
