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
from pystack.labs.values import LabValue, program
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
    """A value that needs a real PostgreSQL, which refuses to run as root. Only root can run it as another user."""

    def missing(self) -> str:
        """Return what this machine lacks, or ""."""
        return super().missing() or (
            "" if os.geteuid() == 0 else "needs root, which starts PostgreSQL as the user nobody"
        )


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
    """Run PostgreSQL on a kernel host, with an empty database, as the user nobody. Yields its folder. It lets everybody in whom the network lets in."""
    import pwd  # a browser has no users

    nobody = pwd.getpwnam("nobody")
    folder = tempfile.mkdtemp(prefix="pystack-lab-")
    try:
        os.chown(folder, nobody.pw_uid, nobody.pw_gid)
        as_nobody: dict[str, Any] = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": [], "cwd": folder}
        server = program("postgres")
        make = [os.path.join(os.path.dirname(os.path.realpath(server)), "initdb")]
        make += "-D data -U postgres -A trust --no-sync --no-instructions --locale=C -E UTF8".split()
        subprocess.run(make, check=True, capture_output=True, timeout=LIMIT, **as_nobody)
        Path(folder, "data", "pg_hba.conf").write_text("host all all 0.0.0.0/0 trust\nlocal all all trust\n")
        options = ["-D", "data", "-h", address, "-k", folder, "-F"]
        options += "-c shared_buffers=1MB -c max_connections=10".split()
        setpriv = ["setpriv", f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups"]
        log = open(Path(folder, "log"), "wb")
        with log:
            running = host.popen([*setpriv, server, *options], cwd=folder, stdout=log, stderr=log)
        yield folder
        running.send_signal(signal.SIGINT)  # PostgreSQL's fast shutdown
        with suppress(subprocess.TimeoutExpired):
            running.wait(LIMIT)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
