"""The other side of `pystack up`: where a program must run to talk to the stack, and a shell that is there."""

import os
import signal
import subprocess
from typing import TYPE_CHECKING, Any

from pystack.style import echo

if TYPE_CHECKING:
    from pystack.cli.common import Settings

#: how many ancestors of the process are looked at
MOST_ANCESTORS = 64
#: the line of /proc/self/uid_map outside of all user namespaces
ALL_USERS = ["0", "0", "4294967295"]


def _words(path: str) -> list[str]:
    try:
        with open(path) as file:
            return file.read().split()
    except OSError:
        return []


def _inode(path: str) -> int:
    try:
        return os.stat(path).st_ino
    except OSError:
        return 0


def way_in(settings: "Settings") -> list[str]:
    """Return the command that runs another one, from another terminal, in the network namespace of the kernel's side.

    No words: any terminal of this machine is there already.
    """
    if settings.netns is not None:
        if "/" in settings.netns:
            return ["nsenter", f"--net={settings.netns}"]
        return ["ip", "netns", "exec", settings.netns]
    pid = str(os.getpid())
    if _words("/proc/self/uid_map") not in ([], ALL_USERS):
        return ["nsenter", "-t", pid, "-U", "-n", "--preserve-credentials"]
    return ["nsenter", "-t", pid, "-n"] if _is_apart() else []


def _is_apart() -> bool:
    """Return True if an ancestor of this process is in another network namespace, as the shell before `ip netns exec` is."""
    own, pid = _inode("/proc/self/ns/net"), os.getppid()
    for _ in range(MOST_ANCESTORS):
        if pid <= 0:
            break
        if _inode(f"/proc/{pid}/ns/net") not in (0, own):  # 0: this process may not look
            return True
        # the fourth word; the second one, the name in parentheses, may contain spaces
        words = _words(f"/proc/{pid}/stat")
        names = [place for place, word in enumerate(words) if word.endswith(")")]
        pid = int(words[names[-1] + 2]) if names else 0
    return False


def explain(settings: "Settings") -> None:
    """Say how to reach the stack from another terminal, if that needs more than the address."""
    words = way_in(settings)
    if not words or not settings.address:
        return
    command = " ".join([*words, "ping", settings.address[0].partition("/")[0]])
    what = " (nsenter runs a command in the namespaces of another process)" if words[0] == "nsenter" else ""
    echo(
        f"  the kernel's side is in a network namespace; from another terminal: {command}{what}; --shell starts a shell there",
        err=True,
    )


def run_shell(settings: "Settings", running: Any) -> int:
    """Run the user's shell in the network namespace of the kernel's side until it ends, and return its exit status.

    If the stack stops by itself, the shell gets a SIGHUP, as if its terminal were closed.
    """
    from pystack.kernel.netns import Namespace

    shell = os.environ.get("SHELL") or "/bin/sh"
    environment = {**os.environ, "PYSTACK_NAME": settings.name}
    echo(f"  this shell is on the kernel's side of {running.iface.name}; `exit` ends it and the stack", err=True)
    # Ctrl-C is for what runs in the shell. A handler, unlike SIG_IGN, is not inherited by the shell.
    before = signal.signal(signal.SIGINT, lambda number, frame: None)
    try:
        if settings.netns is None:
            process = subprocess.Popen([shell], env=environment)
        else:
            with Namespace.open(settings.netns) as space:
                process = space.popen([shell], env=environment)
        while True:
            try:
                return process.wait(0.5)
            except subprocess.TimeoutExpired:
                if running.host.failure is not None:
                    process.send_signal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGINT, before)
