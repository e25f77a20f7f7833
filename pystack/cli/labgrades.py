"""`pystack lab check`, `watch` and `grade`: files of learners are graded."""

import contextlib
import io
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pystack.cli.labstate import filled, one_lab, progress_file, remember
from pystack.style import echo

if TYPE_CHECKING:
    from pystack.labs.folders import LabFolder
    from pystack.labs.grading import LabGrade
    from pystack.labs.progress import LabProgress


def _chosen(what: str | None, progress: "LabProgress") -> "list[tuple[LabFolder, Path]]":
    """Return the labs and files to grade."""
    from pystack.labs.folders import SUFFIXES, LabError, lab_of, lab_of_file, labs

    if what is None:
        started = [(one, path) for one in labs() if (path := progress.file(one))]
        if not started:
            raise LabError("no exercise is started: call `pystack lab start N`")
        return started
    if what.endswith(SUFFIXES):
        return [(lab_of_file(Path(what)), Path(what))]
    one = lab_of(what)
    path = progress.file(one)
    if path is None:
        raise LabError(f"the exercise of lab {one.number} is not started: call `pystack lab start {one.number}`")
    return [(one, path)]


def _graded(one: "LabFolder", path: Path) -> "LabGrade":
    """Grade a file, and remember at once if it is right. A file that cannot be read has a grade, too, because others wait for theirs."""
    from pystack.labs.folders import LabError
    from pystack.labs.grading import LabGrade, grade

    try:
        result = grade(one, path)
    except LabError as error:
        return LabGrade(one.number, "unreadable", str(error))
    if result.right:
        remember(one, solved=True)
    return result


def _say(result: "LabGrade") -> None:
    """Print a grade for the learner."""
    if result.output:
        echo(f"Your file printed:\n{result.output.rstrip()[-2000:]}\n")
    echo(f"lab {result.lab}: {result.verdict}")
    if result.text:
        echo(filled(result.text))


@click.command()
@click.argument("what", metavar="[N|FILE]", required=False)
def watch(what: str | None) -> None:
    """Grade your exercise of lab N, or the file FILE, or all that you have started, now and each time that you save it. Ctrl-C ends it.

    This needs the extra `watch`.
    """
    from pystack.labs.watching import saves

    chosen = {path: one for one, path in _chosen(what, progress_file())}
    waiting = saves(list(chosen))
    try:
        next(waiting, None)  # From here on, no save is missed.
        for path in chosen:
            if path.is_file():
                _say(_graded(chosen[path], path))
        while True:
            echo("\nWaiting until you save. Ctrl-C ends this.")
            saved = next(waiting, None)
            if saved is None:
                return
            _say(_graded(chosen[saved], saved))
    except KeyboardInterrupt:
        return


@click.command()
@click.argument("what", metavar="[N|FILE|all]", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print the grades as JSON.")
@click.option("--junit", type=click.Path(dir_okay=False), help="Write the grades to this file, in JUnit's XML.")
@click.option("--lab", "itself", is_flag=True, help="Check lab N itself, for those who write it, as `check all` does.")
@click.option(
    "--jobs",
    type=click.IntRange(0, 64),
    default=0,
    help="How many labs `check all` checks at a time, or how many files of one lab.  [default: as many as there are processors]",
)
def check(what: str | None, as_json: bool, junit: str | None, itself: bool, jobs: int) -> None:
    """Grade your exercise of lab N, or the file FILE, or all that you have started.

    `check all` checks the labs themselves: each value and control, and each grader with the solution and with wrong answers. It says how long each lab
    takes: by the clock, and of processors.

    A file is graded in a process of its own, with limits of time and memory. The exit status is 1 if a file is not right.
    """
    from pystack.labs.checking import check_all
    from pystack.labs.folders import LabError, labs

    records: list[dict[str, Any]] = []
    if what == "all" or itself:
        for found in check_all(labs() if what in ("all", None) else [one_lab(what)], jobs):
            text = "; ".join(found.faults)
            records.append(
                {
                    "lab": found.lab,
                    "verdict": "wrong" if text else "right",
                    "text": text,
                    "skipped": found.skips(),
                    "seconds": round(found.seconds, 3),
                    "processor": round(found.processor, 3),
                }
            )
            if not as_json:
                skipped = f" ({found.skips()})" if found.skips() else ""
                echo(f"lab {found.lab}: {text or 'right'}{skipped}, {found.seconds:.1f} s ({found.processor:.1f} s)")
    else:
        for one, path in _chosen(what, progress_file()):
            began = time.monotonic()
            result = _graded(one, path)
            if what is not None and result.verdict == "unreadable":
                raise LabError(result.text)
            seconds = round(time.monotonic() - began, 3)
            records.append({**vars(result), "file": str(path), "seconds": seconds})
            if not as_json:
                _say(result)
    if junit:
        from pystack.labs.junit import write

        write(Path(junit), records)
    if as_json:
        echo(json.dumps(records, indent=1))
    click.get_current_context().exit(0 if all(record["verdict"] == "right" for record in records) else 1)


@click.command("grade")
@click.argument("folder", metavar="DIR", type=click.Path(exists=True, file_okay=False))
@click.option("--out", type=click.Path(dir_okay=False), help="Write the CSV to this file instead of printing it.")
@click.option(
    "--bom", is_flag=True, help="Begin the file of --out with a byte order mark: Excel then reads it as UTF-8."
)
@click.option("--jobs", default=1, show_default=True, type=click.IntRange(1, 64), help="How many files at a time.")
@click.option("--cpu", default=10, show_default=True, type=click.IntRange(1), help="Seconds of processor time a file.")
@click.option("--wall", default=60, show_default=True, type=click.IntRange(1), help="Seconds of time a file.")
@click.option("--memory", default=512, show_default=True, type=click.IntRange(64), help="MiB of memory a file.")
def grade_folder(folder: str, out: str | None, bom: bool, jobs: int, cpu: int, wall: int, memory: int) -> None:
    """Grade a folder of submissions into a CSV, for a lecturer.

    The names of the files say the lab and the learner: anna/lab_17_nagle.py, or anna_lab_17_nagle.py. Each file is graded in a process of its own, with limits. The
    exit status is 0 if each file was graded, whatever its grade is. The grader is no sandbox: grade files of people whom you do not trust in a container.
    """
    from pystack.labs.classroom import GradeTable, grade_all, submissions
    from pystack.labs.grading import GradeLimits

    if bom and not out:
        raise click.UsageError("--bom is for a file: name it with --out")
    place = Path(folder)
    found = submissions(place)
    unread = 0
    with open(out, "w", encoding="utf-8", newline="") if out else contextlib.nullcontext(io.StringIO()) as file:
        file.write("\ufeff" if bom else "")
        table = GradeTable(file, place)
        for one in grade_all(found, GradeLimits(cpu, wall, memory << 20), jobs):
            table.write(one)
            unread += one.grade.verdict == "unreadable"
            if out:
                echo(f"{one.submission.path.relative_to(place)}: {one.grade.verdict}")
        if isinstance(file, io.StringIO):
            echo(file.getvalue(), nl=False)
    click.get_current_context().exit(1 if unread else 0)
