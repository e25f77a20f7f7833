"""`pystack sweep`: runs the function of a file with many parameters and seeds."""

import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pystack.cli.faces import drawing
from pystack.style import echo

if TYPE_CHECKING:
    from pystack.sweeps import Progress, Sweep

EXAMPLES = """\b
Examples:
  pystack sweep transfer.py                        run what is missing, and show the table
  pystack sweep transfer.py --value seconds --plot transfer.png
  pystack sweep transfer.py --seeds 100 --dask tcp://10.0.0.1:8786

FILE is a Python file with a function `run(*, seed, ...)`, PARAMETERS = {"loss": [0, 0.01], ...} and SEEDS = 10.
"""


def _seeds(context: click.Context, parameter: click.Parameter, value: str | None) -> Any:
    """A number of seeds, or seeds with commas and ranges."""
    if value is None:
        return None
    try:
        if "," not in value and "-" not in value[1:]:
            return int(value)
        found: list[int] = []
        for part in value.split(","):
            first, dash, last = part.partition("-")
            if dash and int(last) - int(first) > 1_000_000:
                raise ValueError
            found.extend(range(int(first), int(last) + 1) if dash else [int(first)])
        return found
    except ValueError:
        raise click.BadParameter(
            f"{value[:40]!r}: write a number of seeds such as 10, or seeds such as 1,5,20-29"
        ) from None


@click.command(epilog=EXAMPLES)
@click.argument("path", metavar="FILE", type=click.Path(exists=True, dir_okay=False))
@click.option("--function", default="", metavar="NAME", help="Function to call.  [default: run, or the only one]")
@click.option(
    "--seeds", callback=_seeds, metavar="N|LIST", help="So many seeds, or these, such as 1,5,20-29.  [default: SEEDS]"
)
@click.option("--results", metavar="FILE", help="SQLite file for the rows.  [default: FILE with the ending .sqlite]")
@click.option("--workers", type=click.IntRange(1, 1024), help="Number of processes.  [default: one for each processor]")
@click.option("--dask", metavar="ADDRESS", help="Run on a Dask cluster, whose scheduler has this address.")
@click.option("--retry-errors", is_flag=True, help="Run the rows again that have an error.")
@click.option("--changed", is_flag=True, help="Keep the rows although FILE has changed since they were made.")
@click.option(
    "--value", metavar="FIELD", help="Field of the results for the table and the plot.  [default: the first number]"
)
@click.option(
    "--by",
    multiple=True,
    metavar="NAME",
    help="Parameter by which the table groups the rows; repeatable.  [default: all]",
)
@click.option("--plot", metavar="FILE", help="Draw a plot into this .png, .svg or .pdf file.")
@click.option("--x", default="", metavar="NAME", help="Parameter on the plot's x axis.  [default: the first number]")
@click.option(
    "--line", default="", metavar="NAME", help="Parameter with a line for each value.  [default: another one]"
)
@click.option("--json", "as_json", is_flag=True, help="Print the rows as JSON, one in each line, instead of the table.")
@click.option("-q", "--quiet", is_flag=True, help="Show no progress.")
def sweep(
    path: str, function: str, seeds: Any, results: str | None, workers: int | None, dask: str | None, **options: Any
) -> None:
    """Call a function with many parameters and seeds, on all processors, and keep each row that finishes.

    A row that has finished never runs again. So you can interrupt the command at any time, and the same command goes on.
    """
    from pystack.sweeps import SweepError
    from pystack.sweeps import sweep as run
    from pystack.sweeps.files import read

    if options["plot"] and os.path.splitext(options["plot"])[1] not in (".png", ".svg", ".pdf"):
        raise click.BadParameter("the file name must end in .png, .svg or .pdf", param_hint="--plot")
    results = results or str(Path(path).with_suffix(".sqlite"))
    client = None
    status = 0
    try:
        chosen, parameters, known = read(path, function)
        client = _client(dask) if dask else None
        try:
            found = run(
                chosen,
                parameters,
                known if seeds is None else seeds,
                executor=client.get_executor() if client is not None else None,
                file=results,
                workers=workers,
                progress=None if options["quiet"] else _Line(),
                retry_errors=options["retry_errors"],
                changed=options["changed"],
            )
        except SweepError as error:
            if error.sweep is None or not len(error.sweep):
                raise
            echo(f"pystack: {error}", err=True)
            found, status = error.sweep, 1
        _show(found, options)
    except (SweepError, TypeError, ValueError) as error:
        raise click.ClickException(str(error)) from None
    except KeyError as error:
        raise click.ClickException(str(error.args[0])) from None
    finally:
        if client is not None:
            client.close()
    click.get_current_context().exit(1 if found.errors() else status)


def _client(address: str) -> Any:
    try:
        from distributed import Client
    except ImportError:
        raise click.ClickException("--dask needs the package distributed: pip install 'dask[distributed]'") from None
    return Client(address, timeout="10s")


def _show(found: "Sweep", options: dict[str, Any]) -> None:
    """Print the rows or the table, report errors, and draw the plot."""
    value = options["value"] or next(iter(found.fields()), None)
    if options["as_json"]:
        for record in found.records():
            echo(json.dumps(record))
    elif len(found):
        if value is not None:
            echo(f"{value}:")
        echo(found.table(value, options["by"] or None))
    errors = found.errors()
    for row in errors[:3]:
        words = ", ".join(f"{name}={value!r}" for name, value in row.parameters.items())
        echo(f"error with {words}, seed={row.seed}: {row.error}", err=True)
    if len(errors) > 3:
        echo(f"and {len(errors) - 3} more rows with an error", err=True)
    if options["plot"]:
        with drawing():
            found.plot(options["plot"], value, x=options["x"], by=options["line"])


class _Line:
    """Writes the progress to standard error: one line that changes on a terminal, and otherwise a line every ten seconds."""

    def __init__(self) -> None:
        self.terminal = sys.stderr.isatty()
        self.began = self.last = time.monotonic()
        self.before = 0

    def __call__(self, progress: "Progress") -> None:
        now = time.monotonic()
        if progress.row is None:
            self.before = progress.done
            if progress.done:
                echo(f"{progress.done} of {progress.total} rows are there already", err=True)
            return
        last = progress.done == progress.total
        if not last and now - self.last < (0.1 if self.terminal else 10):
            return
        self.last = now
        left = (now - self.began) / (progress.done - self.before) * (progress.total - progress.done)
        text = f"{progress.done} of {progress.total} rows, {progress.errors} errors"
        text += f", {now - self.began:.0f} s" if last else f", about {left:.0f} s left"
        if self.terminal:
            sys.stderr.write("\r\033[K" + text + ("\n" if last else ""))
            sys.stderr.flush()
        else:
            echo(text, err=True)
