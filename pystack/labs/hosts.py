"""Values that the real programs of this machine measure: on a kernel host, in a network of pystack, by the real clock."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pystack.labs.folders import no_host
from pystack.labs.values import LabValue, lacking, program
from pystack.sim.hub import Signal
from pystack.sim.network import Network, S
from pystack.sim.programs import Program, spawn

#: seconds after which a program of the machine is ended: on a busy machine, PostgreSQL needs more than 20 to make a database
LIMIT = 60


@dataclass(frozen=True)
class HostValue(LabValue):
    """A value that programs of this machine measure on a kernel host. It is skipped if one of them is missing, or if there can be no such host."""

    def missing(self) -> str:
        """Return what this machine lacks, or ""."""
        return super().missing() or no_host()


@dataclass(frozen=True)
class DatabaseValue(HostValue):
    """A value that needs a real PostgreSQL, which refuses to run as root."""

    def missing(self) -> str:
        """Return what this machine lacks, or ""."""
        return super().missing() or lacking(not_root()[0])


def is_user(number: int) -> bool:
    """Return True if this process can have a user with this number. In a user namespace, there may be one user only (user_namespaces(7))."""
    lines = Path("/proc/self/uid_map").read_text().splitlines()
    return any(int(first) <= number < int(first) + int(count) for first, _, count in map(str.split, lines))


def not_root() -> list[str]:
    """Return the beginning of a command that runs a program of a kernel host as another user than root.

    Root becomes the user nobody. Somebody else is root only in the host's user namespace, and there may be no other user in it. A namespace
    inside of it has the same user under another number.
    """
    import pwd  # a browser has no users

    nobody = pwd.getpwnam("nobody")
    if os.geteuid() == 0 and is_user(nobody.pw_uid):
        return ["setpriv", f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups"]
    return ["unshare", f"--map-user={nobody.pw_uid}", f"--map-group={nobody.pw_gid}"]


def said(host: Any, *words: str, **options: Any) -> str:
    """Run a program on a kernel host, and return what it prints, errors included."""
    done = host.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=LIMIT, **options)
    return str(done.stdout)


def play(net: Network, work: Program, seconds: float = LIMIT) -> Any:
    """Run a program of a host of pystack in real time, and return its result. TimeoutError: it has not ended in time."""
    ended = Signal("a program beside a kernel host")
    box: list[Any] = []

    def join() -> Program:
        try:
            box.append((yield spawn(net, work)))
        finally:
            ended.fire()

    spawn(net, join())
    if not net.hub.park(ended, net.now + int(seconds * S)) or not box:
        raise TimeoutError(f"the program did not end in {seconds:g} seconds")
    return box[0]


@contextmanager
def postgres(host: Any, address: str) -> Iterator[str]:
    """Run PostgreSQL on a kernel host, with an empty database, not as root. Yields its folder. It lets everybody in whom the network lets in."""
    other = not_root()
    folder = tempfile.mkdtemp(prefix="pystack-lab-")
    try:
        if other[0] == "setpriv":
            shutil.chown(folder, "nobody")
        server = program("postgres")
        make = [*other, os.path.join(os.path.dirname(os.path.realpath(server)), "initdb")]
        make += "-D data -U postgres -A trust --no-sync --no-instructions --locale=C -E UTF8".split()
        subprocess.run(make, check=True, capture_output=True, timeout=LIMIT, cwd=folder)
        Path(folder, "data", "pg_hba.conf").write_text("host all all 0.0.0.0/0 trust\nlocal all all trust\n")
        options = ["-D", "data", "-h", address, "-k", folder, "-F"]
        options += "-c shared_buffers=1MB -c max_connections=10".split()
        log = open(Path(folder, "log"), "wb")
        with log:
            running = host.popen([*other, server, *options], cwd=folder, stdout=log, stderr=log)
        yield folder
        running.send_signal(signal.SIGINT)  # PostgreSQL's fast shutdown
        with suppress(subprocess.TimeoutExpired):
            running.wait(LIMIT)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
