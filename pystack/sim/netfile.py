"""A network in a file: a Python file with a function `network`, and the programs of its hosts.

    def network(seed=1):
        net = Network(seed)
        ...
        return net

    programs = {"client": get}       # by the names of hosts: a run ends when these have ended
    background = {"web": serve}      # these are ended then

`network` may have the parameter `seed`. A program is a function without arguments, or a list of such functions (see sim/running.py). On a
kernel host (Network.kernel), it is a command, such as ["curl", "http://web/"], or a list of commands.
"""

import inspect
import os
import runpy
import sys
from typing import Any

from pystack.sim.commands import Stay, is_command, several
from pystack.sim.network import Network, recording


class NetworkFileError(ValueError):
    """The file does not describe a network. The text says what is missing."""


class NetworkFile:
    """The network of a file, and its programs: host name -> list of functions or commands.

    seed    the argument of the function `network`, or None: its default
    record  a file into which the network's hosts are recorded (Network.record), or None
    """

    def __init__(self, path: str, seed: int | None = None, record: str | None = None):
        self.path = path
        if not os.path.isfile(path):
            why = "it is a directory" if os.path.isdir(path) else "there is no such file"
            raise NetworkFileError(f"{path}: {why}")
        folder = os.path.dirname(os.path.abspath(path))
        sys.path.insert(0, folder)
        try:
            space = runpy.run_path(path, run_name="pystack_network")
        except SyntaxError as error:
            if error.filename is not None:
                raise
            raise NetworkFileError(f"{path} is no Python file: {error.msg}") from None  # for example null bytes
        finally:
            sys.path.remove(folder)
        make = space.get("network")
        if not callable(make):
            raise NetworkFileError(f"{path} has no function `network`, which returns a pystack.sim.Network")
        signature = inspect.signature(make)
        takes_seed = "seed" in signature.parameters
        if seed is not None and not takes_seed:
            raise NetworkFileError(f"{path}: a seed was given, but the function `network` has no parameter `seed`")
        arguments = {} if seed is None else {"seed": seed}
        try:
            signature.bind(**arguments)
        except TypeError as error:
            raise NetworkFileError(
                f"{path}: each parameter of the function `network` needs a default value: {error}"
            ) from None
        with recording(record):
            self.net: Network = make(**arguments)
        if not isinstance(self.net, Network):
            raise NetworkFileError(f"{path}: the function `network` returned {self.net!r}, and no pystack.sim.Network")
        self.programs = self._functions(space, "programs")
        self.background = self._functions(space, "background")

    def _functions(self, space: dict[str, Any], name: str) -> dict[str, list[Any]]:
        """The programs of `programs` or `background`, checked."""
        found = space.get(name, {})
        if not isinstance(found, dict):
            raise NetworkFileError(f"{self.path}: `{name}` is a dict, host name -> function, and not {found!r}")
        lists = {host: fn if several(fn) else [fn] for host, fn in found.items()}
        for host, functions in lists.items():
            self.check_host(host, f"`{name}`")
            for fn in functions:
                if host in self.net.kernels:
                    if not is_command(fn):
                        raise NetworkFileError(
                            f"{self.path}: `{name}` of {host!r}: {fn!r} is not a command, which is a list of words"
                        )
                elif not callable(fn):
                    raise NetworkFileError(f"{self.path}: `{name}` of {host!r}: {fn!r} is not a function")
        return lists

    def check_host(self, name: Any, where: str) -> None:
        """Raise an error if there is no such host."""
        hosts = [*self.net.hosts, *self.net.kernels]
        if name not in hosts:
            raise NetworkFileError(
                f"{self.path}: {where} names {name!r}, which is no host of the network; there are {', '.join(hosts) or 'none'}"
            )

    def free_host(self) -> str:
        """The only host without a program, for another program. An error if there are several, or none."""
        free = [name for name in self.net.hosts if name not in self.programs and name not in self.background]
        if len(free) != 1:
            raise NetworkFileError(
                f"{self.path}: name the program's host (--host); there are {', '.join(self.net.hosts) or 'none'}"
            )
        return free[0]

    def run(self, **options: Any) -> dict[str, list[Any]]:
        """Run the programs. Returns what those of `programs` returned, in lists by host."""
        if not self.programs:
            raise NetworkFileError(
                f"{self.path} has no `programs`: name what runs, such as programs = {{'client': main}}"
            )
        return self.net.run(self.programs, background=self.background, **options)  # type: ignore[no-any-return]

    def up(self, duration: int | None = None) -> None:
        """Let the network be up, in real time: for `duration` ns, or until an exception. All programs run, and none of them ends it."""
        names = [*self.net.hosts, *self.net.kernels]
        if not names:
            raise NetworkFileError(f"{self.path}: the network has no host")
        everything = {
            name: [*self.programs.get(name, []), *self.background.get(name, [])]
            for name in names
            if name in self.programs or name in self.background
        }
        self.net.real_time()
        self.net.run({names[0]: Stay(duration)}, background=everything, limit=1 << 62)
