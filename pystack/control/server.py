"""The control socket: a running stack shows its tables to other processes of the same user.

Each stack has one AF_UNIX stream socket, `<runtime directory>/<name>.sock`, with mode 0600 in a directory of mode 0700.
A request is one line of JSON, {"view": NAME, ...arguments}. The answer is one line, {"result": ...} or {"error": TEXT}.
views.py has the views. Requests cannot change anything, with four exceptions. {"nft": COMMANDS} changes the packet filter, by
a text in nft's JSON; if it is refused, the answer has the "path" of the command that is wrong, too. {"ip": [WORD, ...]} runs a command of
iproute.py, which may change the routes and rules. Its answer is the list of the lines that the command prints. A stack that was started with a gate
(stepper/live.py) also accepts {"step": COMMAND}. Its answer describes the frame that is held. A stack that was started
with a bad link (sim/fault.py) accepts {"link": {SETTING: VALUE, ...}}. Its answer is a line with the settings that hold then.
"""

import errno
import json
import logging
import os
import re
import socket
import stat
import struct
import tempfile
import threading
from typing import Any

from pystack import iproute
from pystack.control.views import VIEWS
from pystack.runtime.realtime import RealtimeHost
from pystack_c.filter.nft.errors import NftError as FilterError

log = logging.getLogger("pystack.control")

#: bytes of a request; the longest are those of `pystack nft -f`
MAX_REQUEST = 1 << 24
TIMEOUT = 5.0
# before any replacement (pystack.patching)
_socket = socket.socket
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")


class ControlError(Exception):
    """The stack did not answer, or refused the request."""


def directory(create: bool = False) -> str:
    """Return the directory of this user's control sockets.

    Raises ControlError if the directory belongs to another user, or if other users can access it.
    """
    base = os.environ.get("XDG_RUNTIME_DIR")
    if base:
        path = os.path.join(base, "pystack")
    elif os.geteuid() == 0 and os.access("/run", os.W_OK):
        path = "/run/pystack"
    else:
        path = os.path.join(tempfile.gettempdir(), f"pystack-{os.geteuid()}")
    if create:
        os.makedirs(path, mode=0o700, exist_ok=True)
    if os.path.exists(path):
        found = os.lstat(path)
        # In a directory that everyone may write to, another user may have created it first.
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
            raise ControlError(f"{path} must be a directory that belongs to this user and has mode 0700")
    return path


def socket_path(name: str, create: bool = False) -> str:
    """Return the path of a stack's control socket. Raises ControlError if the name is not valid."""
    if not _NAME.fullmatch(name):
        raise ControlError(
            f"{name!r} is not a valid name for a stack: use at most 64 letters, digits and the characters _ . -"
        )
    return os.path.join(directory(create), f"{name}.sock")


class ControlServer:
    """Serves the views of one host in its own thread."""

    def __init__(self, host: RealtimeHost, name: str | None = None, link: Any = None):
        self.host = host
        self.link = link
        self.path = socket_path(name or host.name, create=True)
        self._sock: socket.socket | None = None
        self._owner = os.getpid()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Listen. Raises ControlError if a running stack already has the name."""
        self._sock = sock = listen(self.path, f"a stack named {self.host.name!r} is already running ({self.path})")
        self._thread = threading.Thread(target=self._run, args=(sock,), name="pystack-control", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop serving, and remove the socket."""
        sock, self._sock = self._sock, None
        if sock is None:
            return
        if self._owner != os.getpid():
            # This is a child's copy, and the parent still listens there.
            sock.close()
            return
        try:
            os.unlink(self.path)
        except FileNotFoundError:
            pass
        sock.shutdown(socket.SHUT_RDWR)
        if self._thread is not None:
            self._thread.join(2)
        sock.close()

    def _run(self, sock: socket.socket) -> None:
        while self._sock is not None:
            try:
                conn, _ = sock.accept()
            except OSError:
                return
            with conn:
                try:
                    conn.settimeout(TIMEOUT)
                    self._serve(conn)
                except (OSError, ValueError) as exc:
                    log.debug("control connection: %s", exc)

    def _serve(self, conn: socket.socket) -> None:
        cred = conn.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        _, uid, _ = struct.unpack("=iII", cred)
        if uid not in (0, os.geteuid()):
            return
        with conn.makefile("rb") as file:
            line = file.readline(MAX_REQUEST + 1)
        if len(line) > MAX_REQUEST:
            answer: dict[str, Any] = {"error": "the request is too long"}
        else:
            answer = self._answer(line)
        conn.sendall(json.dumps(answer).encode() + b"\n")

    def _answer(self, line: bytes) -> dict[str, Any]:
        try:
            request = json.loads(line)
            if "step" in request:
                return self._step(str(request["step"]), bool(request.get("look")))
            if "nft" in request:
                return self._change_filter(str(request["nft"]))
            if "ip" in request:
                return self._ip([str(word) for word in request["ip"]])
            if "link" in request:
                return self._change_link({str(key): str(value) for key, value in request["link"].items()})
            view = VIEWS[request.pop("view")]
            arguments = {str(key): bool(value) for key, value in request.items()}
        except (ValueError, AttributeError, KeyError, TypeError, RecursionError):
            return {"error": f"a request is a line of JSON with a view, one of {', '.join(VIEWS)}"}
        try:
            return {"result": self.host.inspect(lambda stack: view(stack, **arguments))}
        except TypeError as exc:
            return {"error": str(exc)}

    def _change_filter(self, commands: str) -> dict[str, Any]:
        try:
            self.host.setup("nft", commands)
        except FilterError as exc:
            return {"error": exc.message, "path": list(exc.path)}
        except OSError as exc:
            return {"error": str(exc)}
        return {"result": None}

    def _ip(self, words: list[str]) -> dict[str, Any]:
        try:
            if iproute.changes(words):
                return {"result": iproute.run(self.host, words)}
            return {"result": self.host.inspect(lambda stack: iproute.run(self.host, words))}
        except iproute.IpError as exc:
            return {"error": str(exc)}

    def _change_link(self, changes: dict[str, str]) -> dict[str, Any]:
        if self.link is None:
            return {"error": f"{self.host.name!r} was not started with --delay or another option for a link"}

        def change(stack: Any) -> str:
            self.link.change(changes)
            return str(self.link.link_text())

        try:
            return {"result": self.host.inspect(change)}
        except (TypeError, ValueError) as exc:
            return {"error": str(exc)}

    def _step(self, command: str, look: bool) -> dict[str, Any]:
        gate = self.host.gate
        if gate is None:
            return {"error": f"{self.host.name!r} was not started with --step"}
        said = "" if look else gate.command(command)
        held = gate.wait(0, 0)
        passed = [] if held is None else gate.take_passed()
        return {"result": {"said": said, "held": None if held is None else held.as_dict(), "passed": passed}}


def listen(path: str, taken: str) -> socket.socket:
    """Return a socket that listens at this path, with mode 0600. Raises ControlError(taken) if another process listens there."""
    sock = _socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if os.path.exists(path):
            if alive(path):
                raise ControlError(taken)
            os.unlink(path)  # its process was killed
        mask = os.umask(0o177)
        try:
            sock.bind(path)
        finally:
            os.umask(mask)
        sock.listen(16)
    except BaseException:
        sock.close()
        raise
    return sock


def alive(path: str) -> bool:
    """Return whether a process listens at this path. EAGAIN: it does, and has no room for another connection now (unix(7))."""
    with _socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        return probe.connect_ex(path) in (0, errno.EAGAIN)


def names() -> list[str]:
    """Return the names of this user's stacks that have a control socket."""
    try:
        return sorted(entry.removesuffix(".sock") for entry in os.listdir(directory()) if entry.endswith(".sock"))
    except FileNotFoundError:
        return []


def query(name: str, view: str, **arguments: bool) -> Any:
    """Request a view of a running stack: query("pystack", "sockets", info=True). Raises ControlError if that fails."""
    return _ask(name, {"view": view, **arguments})


def ip(name: str, words: list[str]) -> list[str]:
    """Run a command of `ip` on a running stack (pystack.iproute), and return the lines that it prints.

    Raises ControlError if the command is wrong or refused, or the stack does not answer.
    """
    return [str(line) for line in _ask(name, {"ip": words})]


def step(name: str, command: str = "", look: bool = False) -> Any:
    """Give a command to a stack that is stepped (stepper.live.StepGate.command). With `look`, only report its position.

    Returns a dict: `said` is the command's output, `held` the held frame as a dict or None, and `passed` the lines of
    the frames that were let through. Raises ControlError if the stack does not answer.
    """
    return _ask(name, {"step": command, "look": look})


def change_link(name: str, changes: dict[str, str]) -> str:
    """Change settings of a running stack's link (sim/live.py). Returns the settings that hold then, as a line. Raises ControlError."""
    return str(_ask(name, {"link": changes}))


def change_filter(name: str, commands: str) -> None:
    """Change the packet filter of a running stack, by commands in nft's JSON.

    Raises the core's NftError with the place in the JSON if they are refused, and ControlError if the stack does not answer.
    """
    _ask(name, {"nft": commands})


def _ask(name: str, request: dict[str, Any]) -> Any:
    path = socket_path(name)
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.settimeout(TIMEOUT)
            sock.connect(path)
            sock.sendall(json.dumps(request).encode() + b"\n")
            with sock.makefile("rb") as file:
                answer = json.loads(file.read())
    except (FileNotFoundError, ConnectionRefusedError):
        running = ", ".join(names()) or "none is running"
        raise ControlError(f"no stack named {name!r} answers here ({running})") from None
    except (OSError, ValueError) as exc:
        raise ControlError(f"{path}: {exc}") from exc
    if "path" in answer:
        raise FilterError(answer["error"], tuple(answer["path"]))
    if "error" in answer:
        raise ControlError(answer["error"])
    return answer["result"]
