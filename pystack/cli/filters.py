"""The option --filter, which `up`, `run`, `ping`, `traceroute` and `replay` share."""

from collections.abc import Callable
from typing import Any

import click

FILTER_OPTION = click.option(
    "--filter",
    metavar="EXPRESSION",
    help="Let --write leave out all frames but these, in tcpdump's language: 'tcp port 80'.",
)


def needs_write(expression: str | None, write: str | None) -> None:
    """Raise UsageError if there is a filter without a capture."""
    if expression is not None and write is None:
        raise click.UsageError("--filter needs --write: it chooses the frames of the capture")


def filtered(expression: str | None, sink: Callable[..., None], kinds: Any = None) -> Callable[..., None]:
    """Return the sink behind the filter of --filter. UsageError if it cannot be compiled."""
    if expression is None:
        return sink
    from pystack import bpf
    from pystack.trace.annotate import only

    try:
        return only(bpf.matcher(expression), sink, kinds)
    except bpf.CompilerMissing as error:
        raise click.ClickException(str(error)) from None
    except bpf.FilterError as error:
        raise click.UsageError(f"--filter: {error}") from None
