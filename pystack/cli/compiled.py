"""`pystack compiled`."""

import json

import click

import pystack
from pystack import _build
from pystack.style import echo


@click.command(epilog="\b\nExample:\n  pystack compiled && echo all of it")
@click.option("-j", "--json", "as_json", is_flag=True, help="Print JSON.")
def compiled(as_json: bool) -> int:
    """Show which modules run compiled.

    The exit status is 1 if a module that can be compiled is not compiled, or if it is older than its source.
    """
    rows = list(_build.modules())
    if as_json:
        echo(json.dumps({row.name: {"compiled": row.compiled, "stale": row.stale} for row in rows}, indent=2))
    else:
        echo(pystack.compiled_report())
    return 0 if all(row.compiled and not row.stale for row in rows) else 1
