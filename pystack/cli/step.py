"""`pystack step`."""

from typing import TYPE_CHECKING, Any

import click

from pystack.style import echo
from pystack.visible import one_line

if TYPE_CHECKING:
    from pystack.stepper.cursor import Cursor
    from pystack.stepper.scenarios import Scenario
    from pystack.stepper.timeline import Timeline

EXAMPLES = """\b
Examples:
  pystack step --list                               the scenarios, and what each one asks
  pystack step loss-fast-retransmit                 step through one in the terminal
  pystack step run.pytrace --web                    a recording, in the browser
  pystack step nagle --why                          the question and its answer, in words
  pystack step rto --break 'event.kind == "retransmit"'
  pystack step rto --text --at frame=5              one frame, its reasons, and the state after it
  pystack step nagle --what-if nodelay=a            the run as it is, and with TCP_NODELAY, side by side
  pystack step run.pytrace --verify                 forwards, backwards, and by a second replay
"""


@click.command(epilog=EXAMPLES)
@click.argument("what", metavar="[FILE|SCENARIO]", required=False)
@click.option("--list", "list_", is_flag=True, help="List the scenarios.")
@click.option("--text", is_flag=True, help="Print the frames and what the stacks decided, and exit.")
@click.option("--why", is_flag=True, help="Explain in words: the scenario's question, or what --at or --break names.")
@click.option("--at", metavar="PLACE", help="Begin at frame=N, event=N, time=SECONDS, first or last.")
@click.option("--break", "breaks", metavar="EXPR", multiple=True, help="A breakpoint, such as 'state == TIME_WAIT'.")
@click.option("--watch", "watches", metavar="EXPR", multiple=True, help="Stop where the value changes; repeatable.")
@click.option(
    "--what-if", "changes", metavar="CHANGE", multiple=True, help="Run a scenario with a change, and compare."
)
@click.option("--verify", is_flag=True, help="Check the states: forwards, backwards, and by a second replay.")
@click.option("--web", is_flag=True, help="Serve the stepper to a browser, on this machine only.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Port of --web; 0 takes a free one.")
@click.option("--no-browser", is_flag=True, help="With --web: open no browser.")
@click.option("--export", metavar="FILE", help="Write one HTML page that opens offline.")
@click.option("--seed", type=int, default=1, show_default=True, help="Seed of a scenario's network.")
@click.option("--partial", is_flag=True, help="Accept a recording that was cut off, as a crash leaves it.")
@click.option("--trusted", is_flag=True, help="No limits on what the recording expands to and makes.")
def step(what: str | None, **options: Any) -> int:
    """Step through a recording or a scenario: forwards, backwards, with every decision explained.

    FILE is a recording (`pystack up --record`); SCENARIO a name of --list. Without further options: in the terminal.
    Exit status 1 where no breakpoint was hit, or --verify found a difference.
    """
    if options["list_"]:
        return _list()
    if what is None:
        raise click.UsageError("which recording or scenario? `pystack step --list` shows the scenarios")
    from pystack.stepper.cursor import Cursor

    timeline, scenario = _open(what, options["seed"], options["partial"], options["trusted"])
    if options["verify"]:
        return _verify(timeline, what, scenario, options["seed"])
    cursor = Cursor(timeline)
    hit = _place(cursor, options)
    if options["changes"]:
        other = _what_if(cursor, scenario, options)
        if not options["web"] and not options["export"] and not options["why"]:
            return _side_by_side(timeline, other)
        timeline, cursor = other, Cursor(other)
    if options["export"]:
        export = _face("pystack.stepper.export", "export", "web", "--export")
        try:
            export(timeline, options["export"])
        except ValueError as error:
            raise click.ClickException(str(error)) from None
        echo(f"written: {options['export']}")
        return 0
    if options["text"] or options["why"] or (hit and not options["web"]):
        return _text(cursor, scenario, options)
    if options["web"]:
        serve = _face("pystack.stepper.web", "serve", "web", "--web")
        serve(timeline, port=options["port"], browser=not options["no_browser"], cursor=cursor, scenario=scenario)
        return 0
    run = _face("pystack.stepper.tui", "run", "tui", "the terminal stepper")
    run(timeline, cursor=cursor, scenario=scenario, seed=options["seed"])
    return 0


def _list() -> int:
    from pystack.stepper import scenarios

    for name in scenarios.NAMES:
        found = scenarios.get(name)
        echo(f"{name:22}{found.title}\n{'':22}  {found.question}")
    return 0


def _open(what: str, seed: int, partial: bool, trusted: bool) -> "tuple[Timeline, Scenario | None]":
    """The timeline of a file, or of a scenario where no file has that name."""
    import os

    from pystack.stepper import scenarios
    from pystack.stepper.timeline import Timeline
    from pystack.trace.errors import TraceError

    if what in scenarios.NAMES and not os.path.isfile(what):
        found = scenarios.get(what)
        return found.timeline(seed), found
    if not os.path.exists(what):
        raise click.UsageError(f"{what}: neither a file nor a scenario; `pystack step --list` shows the scenarios")
    try:
        return Timeline.load(what, partial=partial, progress=_Progress(what), trusted=trusted), None
    except TraceError as error:
        hint = "; --partial takes what is there" if ": truncated" in str(error) and not partial else ""
        raise click.ClickException(f"{error}{hint}") from None


class _Progress:
    """A line on a terminal while a large file is read."""

    LARGE = 4 << 20

    def __init__(self, name: str):
        self.name = name
        self.shown = -1

    def __call__(self, done: int, size: int) -> None:
        """Shown at each full percent."""
        import sys

        if size < self.LARGE or not sys.stderr.isatty():
            return
        percent = min(done * 100 // size, 100)
        if percent != self.shown:
            self.shown = percent
            end = "\n" if percent == 100 else ""
            click.echo(f"\rreading {one_line(self.name)}: {percent} %{end}", nl=False, err=True)


def _face(module: str, name: str, extra: str, what: str) -> Any:
    """A function of a face, imported only now; a clear message where its packages are missing."""
    import importlib

    try:
        return getattr(importlib.import_module(module), name)
    except ImportError as error:
        raise click.ClickException(f"{what} needs {error.name}: pip install 'pystack[{extra}]'") from None


def _place(cursor: "Cursor", options: dict[str, Any]) -> bool:
    """Put the cursor where --at says, and set the breakpoints; True where there are any."""
    from pystack.stepper.expr import ExpressionError

    at = options["at"]
    try:
        if at:
            _goto(cursor, at)
        for text in options["breaks"]:
            cursor.add_break(text)
        for text in options["watches"]:
            cursor.watch(text)
    except ExpressionError as error:
        raise click.UsageError(f"{error.what}\n  {error.caret().splitlines()[0]}\n  {' ' * error.column}^") from None
    except ValueError as error:
        raise click.UsageError(f"--at {at}: {error}") from None
    return bool(cursor.breakpoints)


def _side_by_side(one: "Timeline", two: "Timeline") -> int:
    import shutil

    from pystack.stepper import text

    for line in text.side_by_side(one, two, shutil.get_terminal_size((160, 0)).columns):
        echo(one_line(line))
    return 0


def _goto(cursor: "Cursor", at: str) -> None:
    unit, _, value = at.partition("=")
    if at == "first":
        cursor.first()
    elif at == "last":
        cursor.last()
    elif unit == "time":
        cursor.goto(time=cursor.timeline.start + round(float(value) * 1e9))
    elif unit in ("frame", "event"):
        cursor.goto(**{unit: int(value)})
    else:
        raise ValueError("frame=N, event=N, time=SECONDS, first or last")


def _text(cursor: "Cursor", scenario: "Scenario | None", options: dict[str, Any]) -> int:
    from pystack.stepper import text

    if cursor.breakpoints:
        hits = 0
        while (stop := cursor.run()) is not None:
            hits += 1
            echo(f"-- {stop}")
            echo(text.place(cursor))
        echo(f"{hits} stop{'' if hits == 1 else 's'}")
        return 0 if hits else 1
    if options["at"]:
        echo(text.place(cursor))
    elif options["why"]:
        if scenario is None:
            raise click.UsageError("--why explains a place of a recording: add --at or --break")
        echo(text.answer(cursor.timeline, scenario))
    else:
        for line in text.story(cursor.timeline):
            echo(line)
    return 0


def _verify(timeline: "Timeline", what: str, scenario: "Scenario | None", seed: int) -> int:
    import time

    from pystack.stepper.verify import VerificationError, verify

    start = time.monotonic()
    try:
        if scenario is not None:
            result = verify(timeline, scenario.record(seed))
        elif timeline.complete:
            with open(what, "rb") as file:
                result = verify(timeline, file)
        else:
            result = verify(timeline)
    except VerificationError as error:
        echo(f"DIFFERS: {error}")
        return 1
    second = (
        f"{result.values} values as a second replay has them" if result.values else "no second replay: it was cut off"
    )
    echo(
        f"the same forwards, backwards and forwards again: {result.events} events, {result.frames} frames, "
        f"{result.states} states hashed ({result.digest}), {second}, in {time.monotonic() - start:.1f} s"
    )
    return 0


def _what_if(cursor: "Cursor", scenario: "Scenario | None", options: dict[str, Any]) -> "Timeline":
    """The other run."""
    if scenario is None:
        raise click.UsageError("--what-if needs a scenario: a recording of the world cannot be run on otherwise")
    from pystack.stepper import changes
    from pystack.stepper.branch import ChangeError, branch

    try:
        chosen = [changes.parse(text) for text in options["changes"]]
        return branch(scenario, cursor if options["at"] else None, *chosen, seed=options["seed"])
    except ChangeError as error:
        raise click.UsageError(f"--what-if: {error}") from None
