"""What `pystack lab` draws and writes for people: plots, the stepper, handouts."""

import contextlib
import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pystack.cli.faces import drawing, face
from pystack.style import echo
from pystack.visible import visible

if TYPE_CHECKING:
    from pystack.labs.folders import LabFolder, LabResult
    from pystack.labs.looks import LabLook

FORMATS = (".svg", ".png", ".pdf")
#: the terminal's cursor goes to the beginning of the line, which becomes empty
CLEAR = "\r\x1b[K"


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
def _drawing() -> Iterator[None]:
    """Turn the errors of a plot into a line for the user."""
    with drawing():
        try:
            yield
        except ValueError as error:
            raise click.ClickException(str(error)) from None


def draw(look: "LabLook", path: str) -> None:
    """Write a plot to a file."""
    if os.path.splitext(path)[1] not in FORMATS:
        raise click.UsageError(f"{path}: the name of a plot's file must end in .svg, .png or .pdf")
    with _drawing():
        look.draw(path)


def _folder(output: str | None, formats: tuple[str, ...]) -> Path:
    """Return the folder for files, and make it. A name with the ending of another kind of file means a file, and no folder."""
    folder = Path(output or ".")
    if re.fullmatch(r"\.[A-Za-z]{3,4}", folder.suffix) and not folder.is_dir():
        raise click.UsageError(f"{output}: the file's name must end in {', '.join(formats[:-1])} or {formats[-1]}")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def capture(lab: "LabFolder", path: str, look: "LabLook | None") -> None:
    """Write a lab's own capture, or that of a run, and say how to look at it."""
    try:
        lab.write(Path(path), look)
    except OSError as error:
        raise click.ClickException(f"{path}: {error.strerror}") from None
    echo(f"{path}: open it in Wireshark, or try `tshark -r {path}` or `pystack step {path}`\n", err=True)


def measured(lab: "LabFolder") -> "tuple[list[LabResult], list[tuple[str, LabResult]]]":
    """Measure a lab's values, and its controls with their changes. Meanwhile, a line on a terminal says what is measured."""
    from pystack.labs.course import measuring
    from pystack.labs.text import width

    if not sys.stderr.isatty():
        return measuring.results(lab, measuring.measured(lab))

    def show(done: int, count: int, question: str) -> None:
        text = f"measuring {done + 1} of {count}: {question}" if done < count else ""
        sys.stderr.write(CLEAR + visible(text[: width() - 1]))
        sys.stderr.flush()

    try:
        return measuring.results(lab, measuring.measured(lab, show))
    finally:
        sys.stderr.write(CLEAR)
        sys.stderr.flush()


def server() -> Callable[..., None]:
    """Return the function that serves the stepper."""
    found: Callable[..., None] = face("pystack.stepper.web", "serve", "web", "--web")
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
@click.option("--look", type=click.IntRange(1), metavar="K", help="Draw only the K-th run of the lab.  [default: all]")
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
    folder = _folder(output, FORMATS)
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


@click.command()
@click.argument("number", metavar="N|all")
@click.option(
    "--solutions",
    is_flag=True,
    help="With formulas, results, explanation, plots, hints and solution: for after the lab, or for the lecturer.",
)
@click.option("--pdf", "as_pdf", is_flag=True, help="Write a PDF instead of HTML.")
@click.option(
    "--paper",
    type=click.Choice(["A4", "Letter"]),
    help="Size of the pages.  [default: A4 for a PDF, or what the printer has]",
)
@click.option(
    "-o", "--output", metavar="PATH", help="The file to write (.html or .pdf), or a folder.  [default: this folder]"
)
def handout(number: str, solutions: bool, as_pdf: bool, paper: str | None, output: str | None) -> None:
    """Write lab N, or each lab, as a handout: one HTML file that needs nothing else, or a PDF.

    Hand it out before the lab: it has the story, the network, the question, a table with room for predictions and measured values, and the exercise
    with the file to begin with. Without --solutions, it has no formula, no result, no explanation, no hint and no plot, because plots show the results.

    This needs the extra `handout`. The files are lab_17_nagle.html and so on, or lab_17_nagle_solutions.html.
    """
    from pystack.labs.folders import lab_of, labs

    ending = os.path.splitext(output or "")[1]
    if ending in (".html", ".pdf"):
        if number == "all":
            raise click.UsageError("all handouts need a folder, and not one file")
        if as_pdf and ending == ".html":
            raise click.UsageError(f"--pdf writes a PDF, but {output} ends with .html")
        as_pdf = ending == ".pdf"
        _write_handout(lab_of(number), solutions, as_pdf, paper, Path(str(output)))
        return
    folder = _folder(output, (".html", ".pdf"))
    for one in labs() if number == "all" else [lab_of(number)]:
        name = one.path.name + ("_solutions" if solutions else "") + (".pdf" if as_pdf else ".html")
        _write_handout(one, solutions, as_pdf, paper, folder / name)


def _write_handout(one: "LabFolder", solutions: bool, as_pdf: bool, paper: str | None, path: Path) -> None:
    from pystack.labs.handout import page, pdf

    with _drawing():
        text = page(one, solutions, paper or ("A4" if as_pdf else ""))
    path.write_bytes(pdf(text) if as_pdf else text.encode())
    echo(f"wrote {path}")
