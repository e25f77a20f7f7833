"""The control socket of a network that is up (`pystack net up`): `pystack net exec` asks it for a node, or runs a program on one.

A request is one line of JSON, {"node": NAME}. The answer is one line: {"kernel": PID}, the number of process 1 of a kernel host, or {"host": NAME}, or
{"error": TEXT}. A request {"node": NAME, "argv": [...]} for a host of pystack comes with two descriptors, for standard output and error. The
answer {"status": NUMBER} follows when the program has ended. The sockets have the modes of those of stacks (see server.py).
"""

import glob
import json
import os
import socket
from collections.abc import Callable
from typing import Any

from pystack.control.server import MAX_REQUEST, ControlError, alive, directory, listen, socket_path

PREFIX = "net-"
# before any replacement (pystack.patching)
_socket = socket.socket
#: run(host name, argv, out, err, end): start a program; `end(status)` is called when it has ended. Returns the function that ends it early
Runner = Callable[[str, list[str], int, int, Callable[[int], None]], Callable[[], None]]


class NetworkControl:
    """Serves the control socket in the thread that drives the network."""

    def __init__(self, net: Any, name: str, runner: Runner):
        self.net = net
        self.runner = runner
        self.driver = net.real_time()
        self.path = socket_path(PREFIX + name, create=True)
        self._sock = listen(self.path, f"a network named {name!r} is up already: choose another --name")
        self._sock.setblocking(False)
        self._clients: dict[int, tuple[Any, Callable[[], None] | None]] = {}
        self.driver.watch(self._sock.fileno(), self._accept)

    def _accept(self) -> None:
        try:
            client, _ = self._sock.accept()
        except BlockingIOError:
            return
        client.setblocking(False)
        fd = client.fileno()
        self._clients[fd] = (client, None)
        self.driver.watch(fd, lambda: self._read(fd))

    def _read(self, fd: int) -> None:
        client, stop = self._clients[fd]
        try:
            data, fds, _, _ = socket.recv_fds(client, MAX_REQUEST, 2, socket.MSG_CMSG_CLOEXEC)
        except BlockingIOError:
            return
        except OSError:
            data, fds = b"", []
        if not data or stop is not None:
            for one in fds:
                os.close(one)
            self._drop(fd)
            return
        answer = self._answer(fd, data, fds)
        if answer is not None:
            self._say(fd, answer)

    def _answer(self, fd: int, data: bytes, fds: list[int]) -> dict[str, Any] | None:
        """The answer, or None if it comes later."""
        try:
            request = json.loads(data)
            node, argv = str(request["node"]), request.get("argv")
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return self._refuse("a request is a line of JSON with the name of a node", fds)
        if node in self.net.kernels:
            self.net.kernels[node].refresh()
            return {"kernel": self.net.kernels[node].space.pid}
        if node not in self.net.hosts:
            known = ", ".join([*self.net.kernels, *self.net.hosts])
            return self._refuse(f"there is no host {node!r}; there are {known}", fds)
        if argv is None:
            return {"host": node}
        if len(fds) != 2 or not isinstance(argv, list):
            return self._refuse("a program needs its words and two descriptors", fds)
        try:
            stop = self.runner(
                node, [str(word) for word in argv], fds[0], fds[1], lambda status: self._say(fd, {"status": status})
            )
        except ControlError as error:
            return self._refuse(str(error), fds)
        self._clients[fd] = (self._clients[fd][0], stop)
        return None

    def _refuse(self, why: str, fds: list[int]) -> dict[str, Any]:
        for one in fds:
            os.close(one)
        return {"error": why}

    def _say(self, fd: int, answer: dict[str, Any]) -> None:
        """Send the answer, and end the conversation."""
        found = self._clients.get(fd)
        if found is not None:
            try:
                found[0].sendall(json.dumps(answer).encode() + b"\n")
            except OSError:
                pass  # the other side has gone
            self._clients[fd] = (found[0], None)
            self._drop(fd)

    def _drop(self, fd: int) -> None:
        client, stop = self._clients.pop(fd)
        self.driver.forget(fd)
        client.close()
        if stop is not None:
            stop()

    def close(self) -> None:
        """Stop serving, and remove the socket."""
        for fd in list(self._clients):
            self._drop(fd)
        self.driver.forget(self._sock.fileno())
        self._sock.close()
        try:
            os.unlink(self.path)
        except FileNotFoundError:
            pass


def find(name: str | None) -> str:
    """The path of the socket of a network by its name; without one, of the only network that is up."""
    if name is not None:
        return socket_path(PREFIX + name)
    found = sorted(glob.glob(os.path.join(glob.escape(directory()), PREFIX + "*.sock")))
    up = [path for path in found if alive(path)]
    if len(up) != 1:
        names = ", ".join(os.path.basename(path)[len(PREFIX) : -5] for path in up)
        raise ControlError(
            f"name the network (--name): {names} are up" if up else "no network is up (pystack net up FILE)"
        )
    return up[0]


def ask(path: str, request: dict[str, Any], fds: tuple[int, ...] = ()) -> dict[str, Any]:
    """Send a request and wait for the answer. ControlError: there is no network, or it refused."""
    with _socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        try:
            sock.connect(path)
        except OSError as error:
            raise ControlError(f"no network is up at {path}: {error.strerror}") from None
        socket.send_fds(sock, [json.dumps(request).encode() + b"\n"], fds)
        data = b""
        while not data.endswith(b"\n"):
            more = sock.recv(65536)
            if not more:
                raise ControlError("the network has ended")
            data += more
    answer: dict[str, Any] = json.loads(data)
    if "error" in answer:
        raise ControlError(answer["error"])
    return answer
