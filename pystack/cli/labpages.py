"""What `pystack lab` draws and writes for people: plots, the stepper, handouts."""

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pystack.style import echo

if TYPE_CHECKING:
    from pystack.labs.folders import LabFolder
    from pystack.labs.looks import LabLook

FORMATS = (".svg", ".png", ".pdf")


def look_of(lab: "LabFolder", number: int) -> "LabLook":
    """Return what there is to see in a lab, by its number from 1. LabError if there is nothing, or if this machine lacks something."""
    from pystack.labs.folders import LabError

    looks = lab.looks()
    if not looks:
        raise LabError(f"lab {lab.number} has no run to look at: {lab.no_looks()}")
    if not 1 <= number <= len(looks):
        names = "; ".join(f"{index}: {look.title}" for index, look in enumerate(looks, 1))
        raise LabError(f"lab {lab.number} has no run {number}; there are {names}")
    if looks[number - 1].missing():
        raise LabError(f"{looks[number - 1].title}: {looks[number - 1].missing()}")
    return looks[number - 1]


@contextlib.contextmanager
def drawing() -> Iterator[None]:
    """Turn the error of a plot into a line for the user."""
    try:
        yield
    except ImportError as error:
        if error.name is None or error.name.partition(".")[0] not in ("matplotlib", "numpy"):
            raise
        raise click.ClickException("plots need the package matplotlib: pip install 'pystack[plot]'") from None
    except ValueError as error:
        raise click.ClickException(str(error)) from None


def draw(look: "LabLook", path: str) -> None:
    """Write a plot to a file."""
    if os.path.splitext(path)[1] not in FORMATS:
        raise click.UsageError(f"{path}: the name of a plot's file must end in .svg, .png or .pdf")
    with drawing():
        look.draw(path)


def server() -> Callable[..., None]:
    """Return the function that serves the stepper."""
    try:
        from pystack.stepper.web import serve
    except ImportError as error:
        raise click.ClickException(f"--web needs the package {error.name}: pip install 'pystack[web]'") from None
    found: Callable[..., None] = serve
    return found


def opened(look: "LabLook") -> Any:
    """Return what the stepper needs: the timeline, the cursor at the key moment, and the scenario if it is one."""
    from pystack.cli.scenario import scenario_errors

    with scenario_errors(look.title):
        return look.open()


@click.command()
@click.argument("number", metavar="N|all")
@click.option(
    "-o",
    "--output",
    metavar="PATH",
    help="The file to write (.svg, .png or .pdf), or a folder.  [default: this folder]",
)
@click.option("--look", type=int, metavar="K", help="Draw only the K-th run of the lab.  [default: all]")
def plot(number: str, output: str | None, look: int | None) -> None:
    """Draw the plots of lab N, or of all labs, as SVG for slides: lab_17_nagle.svg, lab_17_nagle_2.svg and so on.

    A plot shows a run of the lab: its frames as a ladder, its time-sequence graph, its congestion window, or where its time went.
    """
    from pystack.labs.folders import lab_of, labs

    if output and os.path.splitext(output)[1] in FORMATS:
        if number == "all":
            raise click.UsageError("all plots need a folder, and not one file")
        draw(look_of(lab_of(number), look or 1), output)
        echo(f"wrote {output}")
        return
    folder = Path(output or ".")
    folder.mkdir(parents=True, exist_ok=True)
    for one in labs() if number == "all" else [lab_of(number)]:
        if number == "all" and not one.looks():
            echo(f"lab {one.number} has no plot: {one.no_looks()}")
            continue
        for index in [look] if look else range(1, max(len(one.looks()), 1) + 1):
            _draw_one(one, index, folder, number == "all")


def _draw_one(one: "LabFolder", index: int, folder: Path, goes_on: bool) -> None:
    """Draw one plot of a lab into a folder. With `goes_on`, a plot that this machine cannot make is named and left out."""
    from pystack.labs.folders import LabError

    try:
        found = look_of(one, index)
    except LabError as error:
        if not goes_on:
            raise
        echo(f"lab {one.number}: {error}")
        return
    path = folder / (one.path.name + (f"_{index}" if index > 1 else "") + ".svg")
    draw(found, str(path))
    echo(f"{path}: {found.title}")
