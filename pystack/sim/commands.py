"""Commands as the programs of kernel hosts: `net.run({web: ["nginx", "-g", "daemon off;"], client: ["curl", "http://web/"]})`."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pystack.sim.nodes import SimHost

if TYPE_CHECKING:
    from pystack.sim.kernelhost import KernelHost


def is_command(program: Any) -> bool:
    """Whether a program is a list of words, and so a command."""
    return isinstance(program, HostCommand) or (
        isinstance(program, list | tuple) and bool(program) and all(isinstance(word, str) for word in program)
    )


def several(programs: Any) -> bool:
    """Whether this is a list of programs. A list of words is one program, a command."""
    return isinstance(programs, list) and not is_command(programs)


class HostCommand:
    """A command line, as a program of a run.

    status  its exit status once it has ended, as Popen.returncode has it
    """

    def __init__(self, words: Any):
        self.words: list[str] = words.words if isinstance(words, HostCommand) else list(words)
        self.__name__ = os.path.basename(self.words[0])

    def start(self, host: KernelHost, end: Callable[[Any, BaseException | None], Any]) -> None:
        """Start it. `end(status, None)` is called when it has ended."""
        driver = host.driver
        process = host.popen(self.words)
        watched = os.pidfd_open(process.pid)

        def ended() -> None:
            driver.forget(watched)
            os.close(watched)
            end(process.wait(), None)

        driver.watch(watched, ended)

    def __call__(self) -> Any:
        """A command does not run in this process."""
        raise TypeError(f"the command {self.words!r} runs on a kernel host only")


class Stay:
    """A program that does nothing and ends after `duration` ns, or never: a run lasts as long as it does.

    net.run({host: Stay(10 * S)}, background={web: serve})
    """

    __name__ = "stay"

    def __init__(self, duration: int | None = None):
        self.duration = duration

    def start(self, host: Any, end: Callable[[Any, BaseException | None], Any]) -> None:
        """Begin. `end(None, None)` is called when the time is over."""
        if self.duration is not None:
            host.net.after(self.duration, end, None, None)

    def __call__(self) -> Any:
        """It is no function."""
        raise TypeError("Stay is a program for Network.run")


def check_place(host: Any, program: Any) -> None:
    """TypeError: a command is for kernel hosts, and kernel hosts run nothing else."""
    if not isinstance(host, SimHost) and not isinstance(program, HostCommand | Stay):
        raise TypeError(f"{host.name} is a kernel host: its programs are commands, lists of words, not {program!r:.60}")
    if isinstance(program, HostCommand) and isinstance(host, SimHost):
        raise TypeError(
            f"{host.name} is no kernel host, so its programs are functions, not commands such as {program.words!r:.60}"
        )
