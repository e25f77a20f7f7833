"""`pystack net`: networks in files."""

import contextlib
import traceback
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from pystack.style import echo
from pystack.visible import visible

if TYPE_CHECKING:
    from pystack.sim.netfile import NetworkFile
    from pystack.sim.network import Network

EXAMPLES = """\b
FILE is Python. Its function `network` returns a pystack.sim.Network, and its dicts `programs` and
`background` name the functions that run on the hosts:
  def network(seed=1):
      net = Network(seed)
      net.link(net.host("client"), net.host("web"), addrs=("10.0.0.1/24", "10.0.0.2/24"), delay=5 * MS)
      return net
  programs = {"client": get}
  background = {"web": serve}

\b
Examples:
  pystack net show shop.py
  pystack net run shop.py --seed 7 --write run.pcapng
  pystack run --sim shop.py --host client -- python client.py http://web/
"""


def print_error(error: Exception, path: str) -> None:
    """Print the traceback of an exception. It begins with the file's own part, if there is one."""
    at = start = error.__traceback__
    while at is not None and at.tb_frame.f_code.co_filename != path:
        at = at.tb_next
    if at is None and not (isinstance(error, SyntaxError) and error.filename == path):
        at = start
    traceback.print_exception(error.with_traceback(at))


def open_file(path: str, seed: int | None) -> "NetworkFile":
    """The network of a file. UsageError: the file does not describe one. Exit: it raised an exception, which is printed."""
    from pystack.sim.netfile import NetworkFile, NetworkFileError

    try:
        return NetworkFile(path, seed)
    except NetworkFileError as error:
        raise click.UsageError(str(error)) from None
    except Exception as error:  # of the file
        print_error(error, path)
        raise click.exceptions.Exit(1) from None


@contextlib.contextmanager
def running(file: "NetworkFile", write: str | None) -> Iterator[None]:
    """While the programs of a file run: a capture, if one is wanted, and a message for each way to end without success."""
    from pystack.sim.netfile import NetworkFileError
    from pystack.sim.scheduler import SimError

    if write is not None:
        file.net.annotated_capture(write)
    try:
        yield
    except NetworkFileError as error:
        raise click.UsageError(str(error)) from None
    except SimError as error:
        raise click.ClickException(str(error)) from None
    except Exception as error:  # of a program
        print_error(error, file.path)
        raise click.exceptions.Exit(1) from None
    finally:
        file.net.close()


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


@click.group(epilog=EXAMPLES)
def net() -> None:
    """Run or show a simulated network that a file describes."""


@net.command()
@click.argument("file")
@click.option("--seed", type=int, help="The network's seed; the function `network` needs the parameter `seed`.")
@click.option("--write", metavar="FILE", help="Write a pcapng capture of all hosts with the reasons as comments.")
@click.option("--real-time", is_flag=True, help="Let time pass as in reality, to watch the programs.")
def run(file: str, seed: int | None, write: str | None, real_time: bool) -> int:
    """Run the programs of FILE in virtual time until they have ended, and print what they returned and what the links did."""
    found = open_file(file, seed)
    with running(found, write):
        results = found.run(real_time=real_time)
    for host, values in results.items():
        for value in values:
            if value is not None:
                echo(visible(f"{host}: {value!r}"))
    for line in summary(found.net):
        echo(line)
    return 0


@net.command()
@click.argument("file")
def show(file: str) -> int:
    """Draw the network of FILE as text: nodes, links with their faults, addresses and routes."""
    from pystack.sim.drawing import draw

    echo(draw(open_file(file, None).net))
    return 0
