"""`pystack net up` and `pystack net exec`: networks in real time."""

import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import click

from pystack.cli.run import find_program, run_program, to_the_end
from pystack.style import echo

if TYPE_CHECKING:
    from pystack.sim.network import Network

#: the streams (out, err) of the program of `net exec` to which the running code belongs
_streams: ContextVar[tuple[Any, Any] | None] = ContextVar("pystack_net_exec", default=None)


class Routed:
    """sys.stdout or sys.stderr: what a program of `net exec` writes goes to the terminal of that command."""

    def __init__(self, number: int, other: Any):
        self._number = number
        self._other = other

    def _stream(self) -> Any:
        streams = _streams.get()
        return self._other if streams is None else streams[self._number]

    def write(self, text: str) -> Any:
        """Write text to the stream."""
        return self._stream().write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream(), name)


class Executor:
    """Runs Python programs on hosts of pystack for `net exec`, one at a time, because a process has one sys.argv."""

    def __init__(self, net: "Network"):
        self.net = net
        self._running = False

    def start(self, host: str, argv: list[str], out: int, err: int, end: Callable[[int], None]) -> Callable[[], None]:
        """Start a program. `end(status)` is called when it has ended. Returns the function that ends it early."""
        from pystack.control.server import ControlError
        from pystack.sim.threads import join_own

        if self._running:
            raise ControlError("another program of `net exec` runs in the process of the network: wait for its end")
        try:
            function, words = find_program(tuple(argv))
        except click.UsageError as error:
            raise ControlError(error.format_message()) from None
        self._running = True
        streams = tuple(os.fdopen(fd, "w", buffering=1, errors="backslashreplace") for fd in (out, err))
        status = [1]

        def program() -> None:
            _streams.set((streams[0], streams[1]))
            with to_the_end(join_own):
                status[0] = run_program(function, words)

        green = self.net.hub.spawn(self.net.hosts[host], program, name=os.path.basename(words[0]))

        def ended() -> None:
            self._running = False
            for stream in streams:
                with suppress(OSError):  # the terminal has gone
                    stream.close()
            end(status[0])

        green.ended.append(ended)

        def stop() -> None:
            if not green.done:
                self.net.after(0, green.kill)

        return stop


def terminate(number: int, frame: object) -> None:
    """End as after Ctrl-C, with the exit status of the signal."""
    raise SystemExit(128 + number)


@click.command()
@click.argument("file")
@click.option("--for", "duration", metavar="TIME", help="End after this time, such as 10s; by default, at Ctrl-C.")
@click.option("--name", help="Name of the network for `pystack net exec`; by default, the name of the file.")
@click.option(
    "--seed", type=click.IntRange(min=0), help="The network's seed; the function `network` needs the parameter `seed`."
)
@click.option("--write", metavar="FILE", help="Write a pcapng capture of all hosts with the reasons as comments.")
@click.option("--record", metavar="FILE", help="Record the simulated hosts into this file, for `pystack step`.")
def up(
    file: str, duration: str | None, name: str | None, seed: int | None, write: str | None, record: str | None
) -> int:
    """Let the network of FILE be up in real time, with all its programs, until Ctrl-C.

    Kernel hosts (Network.kernel) run programs of any language. At the end, the command prints how late frames were.
    """
    from pystack.cli.netfiles import late_line, open_file, running
    from pystack.control.network import NetworkControl
    from pystack.control.server import ControlError
    from pystack.sim.units import parse_time

    try:
        limit = None if duration is None else parse_time(duration)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--for") from None
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, terminate)
    found = open_file(file, seed, record)
    net = found.net
    name = name or os.path.splitext(os.path.basename(file))[0]
    before = sys.stdout, sys.stderr
    with running(found, write):
        try:
            control = NetworkControl(net, name, Executor(net).start)
        except ControlError as error:
            raise click.ClickException(str(error)) from None
        try:
            sys.stdout, sys.stderr = Routed(0, sys.stdout), Routed(1, sys.stderr)  # type: ignore[assignment]
            echo(f"the network {name} is up: pystack net exec --name {name} NODE -- COMMAND")
            found.up(limit)
        except KeyboardInterrupt:
            pass
        finally:
            sys.stdout, sys.stderr = before
            control.close()
    echo(late_line(net))
    return 0


@click.command("exec", context_settings={"ignore_unknown_options": False, "allow_interspersed_args": False})
@click.option("--name", help="Name of the network; it may be left out if only one is up.")
@click.argument("node")
@click.argument("command", nargs=-1, required=True)
def exec_(name: str | None, node: str, command: tuple[str, ...]) -> int:
    """Run COMMAND on a host of a network that is up (`pystack net up`).

    On a kernel host, COMMAND is any program. On a host of pystack, it is a Python program, as for `pystack run`, and it runs in the
    process of the network without standard input.
    """
    from pystack.control.network import ask, find
    from pystack.control.server import ControlError
    from pystack.kernel.space import command_line

    if command[0] == "--":
        command = command[1:]
    try:
        path = find(name)
        answer = ask(path, {"node": node})
        if "kernel" not in answer:
            return int(ask(path, {"node": node, "argv": list(command)}, (1, 2))["status"])
    except ControlError as error:
        raise click.ClickException(str(error)) from None
    words = command_line(answer["kernel"], command)
    sys.stdout.flush()
    os.execv(words[0], words)
