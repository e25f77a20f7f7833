"""What commands need of the packages of extras. If one is missing, the error names it and the extra."""

import contextlib
import importlib
from collections.abc import Iterator
from typing import Any

import click


def face(module: str, name: str, extra: str, what: str) -> Any:
    """Import a function of a user interface. If its packages are missing, the error message names them."""
    try:
        return getattr(importlib.import_module(module), name)
    except ImportError as error:
        raise click.ClickException(f"{what} needs the package {error.name}: pip install 'pystack[{extra}]'") from None


@contextlib.contextmanager
def drawing() -> Iterator[None]:
    """Turn the error of a plot whose package is missing into a line for the user."""
    try:
        yield
    except ImportError as error:
        if error.name is None or error.name.partition(".")[0] not in ("matplotlib", "numpy"):
            raise
        raise click.ClickException("plots need the package matplotlib: pip install 'pystack[plot]'") from None
