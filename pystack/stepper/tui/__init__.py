"""The stepper in the terminal, with Textual (extra `tui`): `pystack step FILE|SCENARIO`."""

import sys
from typing import Any

from pystack.stepper.cursor import Cursor
from pystack.stepper.scenarios import Scenario
from pystack.stepper.timeline import Timeline
from pystack.stepper.tui.app import Rest, StepperApp
from pystack.stepper.tui.session import TerminalSession

__all__ = ["TerminalSession", "StepperApp", "run"]


def run(
    timeline: Timeline,
    cursor: "Cursor | None" = None,
    scenario: "Scenario | None" = None,
    seed: int = 1,
    against: "Timeline | None" = None,
    rest: "Rest | None" = None,
    **options: Any,
) -> None:
    """Step through a timeline on this terminal until the user quits. `seed` is that of the scenario's network.
    `against` is another run to compare with.
    `rest` reads the whole recording, if the timeline is only its beginning.

    If standard output is no terminal, the program exits with a message.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        sys.exit("pystack step: the stepper needs a terminal; --text prints the same text")
    session = TerminalSession(timeline, cursor, scenario, seed)
    if against is not None:
        session.compare_with(against)
    StepperApp(session, rest).run()
