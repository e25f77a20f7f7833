"""Scenarios as arguments of commands: `step`, `time`, `plot` and `replay` take their names in place of a file."""

import contextlib
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from pystack.stepper.scenarios import Scenario


def scenario_of(what: str) -> "Scenario | None":
    """Return the scenario with that name, or None if there is none, or if a file has that name."""
    from pystack.stepper import scenarios

    return scenarios.get(what) if scenarios.known(what) and not os.path.isfile(what) else None


@contextlib.contextmanager
def scenario_errors(name: str) -> Iterator[None]:
    """Turn the error of a scenario that cannot run into a line for the user. Its text names the extra that is missing."""
    from pystack.sim.scheduler import SimError

    try:
        yield
    except (ImportError, SimError) as error:
        raise click.ClickException(f"the scenario {name}: {error}") from None
