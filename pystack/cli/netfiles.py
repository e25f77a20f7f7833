"""What the commands for networks in files share: opening the file, and ending in an orderly way."""

import contextlib
import traceback
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from pystack.sim.netfile import NetworkFile
    from pystack.sim.network import Network


def print_error(error: Exception, path: str) -> None:
    """Print the traceback of an exception. It begins with the file's own part, if there is one."""
    at = start = error.__traceback__
    while at is not None and at.tb_frame.f_code.co_filename != path:
        at = at.tb_next
    if at is None and not (isinstance(error, SyntaxError) and error.filename == path):
        at = start
    traceback.print_exception(error.with_traceback(at))


def open_file(path: str, seed: int | None, record: str | None = None) -> "NetworkFile":
    """The network of a file. UsageError: the file does not describe one. Exit: it raised an exception, which is printed."""
    from pystack.sim.netfile import NetworkFile, NetworkFileError

    try:
        return NetworkFile(path, seed, record)
    except NetworkFileError as error:
        raise click.UsageError(str(error)) from None
    except OSError as error:
        if record is None or error.filename != record:
            print_error(error, path)
            raise click.exceptions.Exit(1) from None
        raise click.ClickException(f"{record}: {error.strerror}") from None
    except Exception as error:  # of the file
        print_error(error, path)
        raise click.exceptions.Exit(1) from None


def _capture(net: "Network", write: str) -> None:
    try:
        net.annotated_capture(write)
    except OSError as error:
        raise click.ClickException(f"{write}: {error.strerror}") from None


@contextlib.contextmanager
def running(file: "NetworkFile", write: str | None) -> Iterator[None]:
    """While the programs of a file run: a capture, if one is wanted, and a message for each way to end without success."""
    from pystack.sim.netfile import NetworkFileError
    from pystack.sim.scheduler import SimError

    try:
        if write is not None:
            _capture(file.net, write)
        yield
    except click.ClickException:
        raise
    except NetworkFileError as error:
        raise click.UsageError(str(error)) from None
    except SimError as error:
        raise click.ClickException(str(error)) from None
    except Exception as error:  # of a program
        print_error(error, file.path)
        raise click.exceptions.Exit(1) from None
    finally:
        file.net.close()


def late_line(net: "Network") -> str:
    """How far a network in real time was off."""
    return f"the real clock: {net.driver.late}" if net.driver is not None else ""


def summary(net: "Network") -> Iterator[str]:
    """The time, and what happened on each link."""
    yield f"the programs ended at {net.now / 1e9:.6f} s"
    for link in net.links.values():
        counts = [
            f"{port.node.name} sent {channel.stats.frames} frames"
            + (f", {channel.stats.dropped()} were lost" if channel.stats.dropped() else "")
            for port, channel in ((link.a, link.ab), (link.b, link.ba))
        ]
        yield f"{link.name}: {'; '.join(counts)}"
    if net.driver is not None:
        yield late_line(net)
