"""A host of the kernel: namespaces for network, files, processes and the host name, without root if need be.

A process of its own holds them (keeper.py). This side keeps a socket to it. When the socket is closed, for which the end of this process is enough,
every process of the host is killed and the namespaces disappear.
"""

import errno
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import weakref
from collections.abc import Sequence
from typing import Any, Self

HERE = os.path.dirname(os.path.abspath(__file__))
#: seconds within which the process must have made its namespaces
START = 20.0
# `pystack.patching` replaces the module's names while programs run on simulated hosts; here, the kernel's are meant
_socketpair, _Popen, _recv_fds = socket.socketpair, subprocess.Popen, socket.recv_fds


class HostSpace:
    """The namespaces of one host.

    name   its host name
    pid    the number of its process 1, as this process sees it
    users  whether it has a user namespace of its own; root needs none

    OSError: the kernel allows no namespaces here. The text says how to allow them.
    """

    def __init__(self, name: str):
        self.name = name
        self.users = os.geteuid() != 0
        try:
            self._start()
        except PermissionError:
            if self.users:
                raise
            self.users = True  # root without CAP_SYS_ADMIN, as in a container
            self._start()
        _spaces.add(self)

    def _start(self) -> None:
        ours, theirs = _socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        folder = tempfile.mkdtemp(prefix="pystack-")
        try:
            script = os.path.join(HERE, "keeper.py")
            words = [sys.executable, "-I", "-S", script, str(theirs.fileno()), self.name, folder, str(int(self.users))]
            self._keeper = _Popen(
                words,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                start_new_session=True,
            )
            theirs.close()
            self._sock = ours
            ours.settimeout(START)
            self._greet()
        except BaseException:
            ours.close()
            theirs.close()
            raise
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _greet(self) -> None:
        """Wait until the host is there."""
        self.pid = 0
        ready = False
        while not (ready and self.pid):
            said = self._read()[0]
            self.pid = said.get("pid", self.pid)
            ready = ready or "ready" in said
            if "errno" in said:
                self._keeper.wait()
                raise OSError(said["errno"], f"{said['text']}{_advice(said['errno'])}")

    def _read(self) -> tuple[dict[str, Any], list[int]]:
        data, fds, _, _ = _recv_fds(self._sock, 1 << 16, 4, socket.MSG_CMSG_CLOEXEC)
        if not data:
            raise OSError(errno.EPIPE, f"the process of the kernel host {self.name!r} has ended")
        return json.loads(data), list(fds)

    @property
    def closed(self) -> bool:
        """Whether the namespaces are gone."""
        return self._keeper is None

    def _ask(self, **request: Any) -> list[int]:
        if self._keeper is None:
            raise OSError(errno.EBADF, f"the kernel host {self.name!r} is closed")
        self._sock.send(json.dumps(request).encode())
        said, fds = self._read()
        if "errno" in said:
            raise OSError(said["errno"], said["text"])
        return fds

    def open(self, path: str, flags: int) -> int:
        """A descriptor of a file that was opened inside, such as /dev/net/tun."""
        return self._ask(do="open", path=path, flags=flags)[0]

    def datagram_socket(self, address: tuple[str, int] | None = None) -> Any:
        """A UDP socket of the host's kernel, bound to an address or not. This process may use it like its own."""
        import _socket  # not `socket.socket`, which means the stack while a program is patched

        return _socket.socket(socket.AF_INET, socket.SOCK_DGRAM, 0, self._ask(do="socket", bind=address)[0])

    def write(self, path: str, text: str) -> None:
        """Write a file inside, such as one below /proc/sys/net."""
        self._ask(do="write", path=path, text=text)

    def seal(self, size: int, count: int) -> None:
        """Let programs write to the folder /tmp only, which is empty, and has room for `size` bytes and `count` files and folders.

        The folder is in memory, and disappears with the host, whatever is in it. /var/tmp and /dev/shm are the same folder.
        """
        self._ask(do="seal", size=size, count=count)

    def own_file(self, path: str, text: str) -> None:
        """Give /etc/hosts, /etc/resolv.conf or /etc/nsswitch.conf, as the host sees it, a new content."""
        self._ask(do="file", path=path, text=text)

    def command(self, argv: Sequence[str]) -> list[str]:
        """The command line that runs argv inside the host. Its process ends as the command does, and passes signals on."""
        return command_line(self.pid, argv)

    def close(self) -> None:
        """End all processes of the host, and wait until it has disappeared."""
        keeper, self._keeper = self._keeper, None  # type: ignore[assignment]
        if keeper is None:
            return
        self._sock.close()
        try:
            keeper.wait(5)
        except subprocess.TimeoutExpired:  # somebody has stopped it
            keeper.send_signal(signal.SIGKILL)
            keeper.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


_spaces: "weakref.WeakSet[HostSpace]" = weakref.WeakSet()


def _after_fork() -> None:
    # The host ends when all copies of the socket are closed, and it is the parent's.
    for space in list(_spaces):
        space._sock.close()


os.register_at_fork(after_in_child=_after_fork)


def command_line(pid: int, argv: Sequence[str]) -> list[str]:
    """The command line that runs argv inside the host whose process 1 has this number. Any process of the same user may run it."""
    return [sys.executable, "-I", "-S", os.path.join(HERE, "enter.py"), str(pid), *argv]


def _advice(code: int) -> str:
    """The end of an error message: what the user can do."""
    if code in (errno.EPERM, errno.EACCES):
        return "; the kernel allows this user no namespaces (sysctl kernel.apparmor_restrict_unprivileged_userns, or run as root)"
    if code == errno.ENOSPC:
        return "; there may be no more namespaces (sysctl user.max_user_namespaces)"
    return ""
