"""Runs as arguments of commands: `step` and `time` read a file, or run a scenario, and run a scenario again with changes."""

from typing import TYPE_CHECKING, Any

import click

from pystack.visible import one_line

if TYPE_CHECKING:
    from pystack.stepper.cursor import Cursor
    from pystack.stepper.scenarios import Scenario
    from pystack.stepper.timeline import Timeline


class ReadProgress:
    """A line on a terminal that shows the progress while a large file is read."""

    LARGE = 4 << 20

    def __init__(self, name: str):
        self.name = name
        self.shown = -1

    def __call__(self, done: int, size: int) -> None:
        """Print each full percent."""
        import sys

        if size < self.LARGE or not sys.stderr.isatty():
            return
        percent = min(done * 100 // size, 100)
        if percent != self.shown:
            self.shown = percent
            end = "\n" if percent == 100 else ""
            click.echo(f"\rreading {one_line(self.name)}: {percent} %{end}", nl=False, err=True)


def open_run(what: str, seed: int, partial: bool, trusted: bool) -> "tuple[Timeline, Scenario | None]":
    """Return the timeline of a file, or of a scenario if no file has that name."""
    import os

    from pystack.cli.scenario import scenario_errors, scenario_of
    from pystack.stepper.timeline import Timeline
    from pystack.trace.errors import TraceError

    found = scenario_of(what)
    if found is not None:
        with scenario_errors(what):
            return found.timeline(seed), found
    if not os.path.exists(what):
        raise click.UsageError(f"{what}: there is no such file or scenario; `pystack step --list` lists the scenarios")
    try:
        return Timeline.load(what, partial=partial, progress=ReadProgress(what), trusted=trusted), None
    except TraceError as error:
        hint = "; --partial accepts the part that exists" if ": truncated" in str(error) and not partial else ""
        raise click.ClickException(f"{error}{hint}") from None


def what_if(cursor: "Cursor", scenario: "Scenario | None", options: dict[str, Any]) -> "Timeline":
    """Run the scenario with the changes and return its timeline."""
    if scenario is None:
        raise click.UsageError(
            "--what-if needs a scenario: a recording has no other side that could react to the change"
        )
    from pystack.stepper import changes
    from pystack.stepper.branch import ChangeError, branch

    try:
        chosen = [changes.parse(text) for text in options["changes"]]
        return branch(scenario, cursor if options["at"] else None, *chosen, seed=options["seed"])
    except ChangeError as error:
        raise click.UsageError(f"--what-if: {error}") from None
