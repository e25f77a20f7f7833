"""`pystack lab`: the course. Predict, run, compare, change something, and be checked."""

import json
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pystack.cli import labgrades, labpages
from pystack.cli.labstate import filled, one_lab, progress_file, remember
from pystack.style import echo

if TYPE_CHECKING:
    from pystack.labs.folders import LabFolder, LabResult

EXAMPLES = """\b
Examples:
  pystack lab run 17        predict, measure, and compare
  pystack lab start 17      copy the exercise to this folder
  pystack lab check 17      grade it
"""


#: answers that go back to the question before
BACK = ("<", "back")


class _Group(click.Group):
    """Turns a LabError of any command into a line for the user."""

    def invoke(self, ctx: click.Context) -> Any:
        from pystack.labs.folders import LabError

        try:
            return super().invoke(ctx)
        except LabError as error:
            raise click.ClickException(str(error)) from None


@click.group(cls=_Group, epilog=EXAMPLES)
def lab() -> None:
    """Work through the labs of the course: predict, run, compare, do the exercise, and have it checked."""


@lab.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print the list as JSON.")
def list_labs(as_json: bool) -> None:
    """List the labs: which are open, run, started and solved, how long a lab takes, and what it needs.

    The time is an estimate in minutes, made from the length of the page, the number of values, and the lines that the solution adds. A program or a package that
    this machine lacks is named with the package that has it.
    """
    from pystack.labs.effort import minutes, needs
    from pystack.labs.folders import labs

    progress = progress_file()
    rows: list[dict[str, Any]] = []
    for one in labs():
        entry = progress.of(one)
        states = (("solved", "solved"), ("started", "file"), ("run", "run"))
        state = next((state for state, key in states if entry.get(key)), "open")
        lacks = {value.missing() for value in one.values()}
        lacks.add(one.lacks() if one.suffix != ".py" else "")
        rows.append(
            {
                "lab": one.number,
                "name": one.name,
                "title": one.title,
                "state": state,
                "minutes": minutes(one),
                "needs": needs(one),
                "lacks": sorted(lacks - {""}),
            }
        )
    if as_json:
        echo(json.dumps(rows, indent=1))
        return
    for row in rows:
        needed = f"  (with {', '.join(row['needs'])})" if row["needs"] else ""
        echo(f"{row['lab']:>3}  {row['state']:<8} {row['minutes']:>3} min  {row['title']}{needed}")
        for lack in row["lacks"]:
            echo(f"{'':24}{lack}")


@lab.command()
@click.argument("number", metavar="N")
def show(number: str) -> None:
    """Show the page of lab N up to the explanation, which `run` prints at its end, and the network."""
    from pystack.sim.drawing import draw

    one = one_lab(number)
    echo(filled(one.before("Explanation")))
    echo("\n## Network\n\n" + draw(one.network()).rstrip())


def _predict(one: "LabFolder") -> dict[str, Any]:
    """Ask for a prediction of each value. An empty answer is none, or keeps the one that there is, and BACK asks for the value before again."""
    found: dict[str, Any] = {}
    values = one.values()
    if len(values) > 1:
        echo(f"An empty answer skips a question, and {BACK[0]} goes back to the one before.")
    at = 0
    while at < len(values):
        value = values[at]
        unit = f"  [{value.unit}]" if value.unit else ""
        kept = found.get(value.name)
        so_far = "" if kept is None else f"  (so far: {value.text(kept)})"
        asked = value.question + unit + so_far
        text = click.prompt(
            asked, default="", show_default=False, prompt_suffix=" " if asked.endswith("?") else ": "
        ).strip()
        if text in BACK:
            if at == 0:
                echo("This is the first question.")
            at = max(0, at - 1)
            continue
        try:
            found[value.name] = value.parse(text) if text else kept
            at += 1
        except ValueError as error:
            echo(str(error))
    return found


def _record(result: "LabResult", **more: Any) -> dict[str, Any]:
    value = result.value
    return {
        **more,
        "value": value.name,
        "question": value.question,
        "formula": value.formula,
        "expected": value.expected,
        "measured": result.measured,
        "right": result.right,
        "skipped": result.skipped,
    }


def _row(result: "LabResult", prediction: Any, predicted: bool) -> None:
    value = result.value
    echo(value.question)
    if predicted:
        fits = "" if prediction is None else "  (right)" if value.fits(prediction) else "  (not so)"
        echo(f"    predicted  {value.text(prediction)}{fits}")
    echo(f"    measured   {value.text(result.measured)}" if not result.skipped else f"    skipped    {result.skipped}")
    echo(f"    formula    {value.formula} = {value.wanted()}")


@lab.command("run")
@click.argument("number", metavar="N")
@click.option("--no-predict", is_flag=True, help="Do not ask for predictions.")
@click.option("--json", "as_json", is_flag=True, help="Print the results as JSON, without predictions and explanation.")
@click.option(
    "--write",
    type=click.Path(dir_okay=False),
    help="Write a capture for Wireshark to this file, with names and reasons.",
)
@click.option("--plot", metavar="FILE", help="Write the lab's plot to this file, which ends with .svg, .png or .pdf.")
@click.option("--web", is_flag=True, help="Then open a run in the stepper in the browser, at its key moment.")
@click.option(
    "--look",
    type=click.IntRange(1),
    metavar="K",
    help="Which run of the lab --plot, --web and --write take.  [default: 1]",
)
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Port for --web; 0 takes a free one.")
@click.option("--no-browser", is_flag=True, help="Do not open a browser for --web.")
def run_lab(
    number: str,
    no_predict: bool,
    as_json: bool,
    write: str | None,
    plot: str | None,
    web: bool,
    look: int | None,
    port: int,
    no_browser: bool,
) -> None:
    """Run lab N: predict each value, measure it, compare it with the formula, and run the control.

    Files are written before that. A lab without a run to look at refuses these options, and says why. An empty answer skips a question, and `<` or `back`
    goes back to the one before. The exit status is 1 if a measured value is not what its formula says.
    """
    one = one_lab(number)
    if web and as_json:
        raise click.UsageError("--web shows a run to people, and --json prints results for programs: leave out one")
    if not (web or plot or write) and look is not None:
        raise click.UsageError("--look needs --plot, --web or --write")
    chosen = labpages.look_of(one, look or 1) if web or plot or look else None
    serve = labpages.server() if web else None
    if write:
        labpages.capture(one, write, chosen if look else None)
    if plot and chosen:
        labpages.draw(chosen, plot)
    progress_file()  # says now if the file is damaged
    asks = not (no_predict or as_json)
    if asks:
        for heading in ("Question", "What to predict"):  # Both have numbers that a prediction needs.
            echo(f"## {heading}\n\n{filled(one.section(heading))}\n")
    predictions = _predict(one) if asks else {}
    results, controls = labpages.measured(one)
    every = [*results, *(result for _, result in controls)]
    right = all(result.right for result in every)
    skipped = sum(bool(result.skipped) for result in every)
    if as_json:
        rows = [_record(result) for result in results]
        others = [_record(result, change=change) for change, result in controls]
        echo(json.dumps({"lab": one.number, "right": right, "values": rows, "controls": others}, indent=1))
    else:
        for result in results:
            _row(result, predictions.get(result.value.name), asks)
        for change, result in controls:
            echo(f"\nControl: {change}")
            _row(result, None, False)
        words = (
            "Every measured value is what its formula says"
            if right
            else "A measured value is not what its formula says"
        )
        echo("\n" + words + (f" ({skipped} skipped)." if skipped else "."))
        echo("\n" + filled(one.section("Explanation")))
    remember(one, run=True)
    if serve and chosen:
        echo(f"\n{chosen.title}:")
        timeline, cursor, scenario = labpages.opened(chosen)
        serve(timeline, cursor=cursor, scenario=scenario, port=port, browser=not no_browser)
    click.get_current_context().exit(0 if right else 1)


@lab.command()
@click.argument("number", metavar="N")
@click.argument("folder", metavar="[DIR]", default=".", type=click.Path(file_okay=False))
def start(number: str, folder: str) -> None:
    """Copy the exercise of lab N to the folder DIR (by default this one). A file that exists stays as it is."""
    one = one_lab(number)
    target = Path(folder) / one.exercise
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        echo(f"{target} exists already, and stays as it is")
    else:
        shutil.copyfile(one.starter, target)
        echo(f"{target} is yours now: change it, and then call `pystack lab check {one.number}`")
    before = progress_file().file(one)
    remember(one, file=str(target.resolve()))
    if before and before.exists() and before.resolve() != target.resolve():
        echo(f"{before} was your file until now. It stays as it is, and `pystack lab check {before}` grades it.")
    echo("\n" + filled(one.section("Exercise")))


@lab.command()
@click.argument("number", metavar="N")
def hint(number: str) -> None:
    """Show one more of the three hints of lab N, after those that you have seen."""
    one = one_lab(number)
    progress = progress_file()
    hints = one.hints()
    seen = min(progress.hints(one) + 1, len(hints))
    for index, text in enumerate(hints[:seen], 1):
        echo(f"{index}/{len(hints)}  " + filled(text).replace("\n", "\n     "))
    remember(one, hints=seen)


@lab.command()
@click.argument("number", metavar="N")
def solution(number: str) -> None:
    """Show a solution of the exercise of lab N."""
    echo(one_lab(number).solution.read_text(encoding="utf-8").rstrip())


@lab.command()
@click.argument("number", metavar="[N]", required=False)
@click.option("--yes", is_flag=True, help="Do not ask before the progress of all labs is removed.")
def reset(number: str | None, yes: bool) -> None:
    """Forget the progress of lab N, or of all labs. Your files stay where they are."""
    progress = progress_file()
    if number is None:
        if not yes and sys.stdin.isatty():
            click.confirm("Forget the progress of all labs?", abort=True)
        progress.labs.clear()
    else:
        progress.forget(one_lab(number))
    progress.save()


@lab.command()
@click.argument("file", required=False, type=click.Path(dir_okay=False))
@click.option("--learner", default="", help="Your name, for the one who collects the files.")
def export(file: str | None, learner: str) -> None:
    """Write your progress in all labs as JSON to FILE, or print it. It has no paths of your machine."""
    from pystack.labs.folders import labs

    progress = progress_file()
    text = json.dumps({"learner": learner, "labs": [progress.report(one) for one in labs()]}, indent=1)
    if file is None:
        echo(text)
    else:
        Path(file).write_text(text + "\n", encoding="utf-8")
        echo(f"{file} has your progress")


lab.add_command(labgrades.check)
lab.add_command(labgrades.watch)
lab.add_command(labgrades.grade_folder)
lab.add_command(labpages.plot)
lab.add_command(labpages.handout)
