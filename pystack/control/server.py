"""The control socket: a running stack shows its tables to other processes of the same user.

One AF_UNIX stream socket a stack, `<runtime directory>/<name>.sock`, mode 0600 in a directory of mode 0700. A
request is one line of JSON, {"view": NAME, ...arguments}; the answer is one line, {"result": ...} or {"error": TEXT}.
The views are in views.py. Nothing can be changed through it, but a stack that was started to be stepped
(stepping.py) takes {"step": COMMAND} too; the answer tells the frame that is held.
"""

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

from pystack.control.views import VIEWS
from pystack.runtime.realtime import RealtimeHost

log = logging.getLogger("pystack.control")

MAX_REQUEST = 4096
TIMEOUT = 5.0
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")


class ControlError(Exception):
    """The stack could not be asked, or refused."""


def directory(create: bool = False) -> str:
    """Where the control sockets of this user are."""
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
        # In a directory that all may write to, somebody else may have been first.
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
            raise ControlError(f"{path} must be a directory that belongs to this user and has mode 0700")
    return path


def socket_path(name: str, create: bool = False) -> str:
    """The path of a stack's control socket."""
    if not _NAME.fullmatch(name):
        raise ControlError(
            f"{name!r} is not a valid name for a stack: use at most 64 letters, digits and the characters _ . -"
        )
    return os.path.join(directory(create), f"{name}.sock")


class ControlServer:
    """Serves the views of one host, in a thread of its own."""

    def __init__(self, host: RealtimeHost, name: str | None = None):
        self.host = host
        self.path = socket_path(name or host.name, create=True)
        self._sock: socket.socket | None = None
        self._owner = os.getpid()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Listen. ControlError where a running stack has the name already."""
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            if os.path.exists(self.path):
                if _alive(self.path):
                    raise ControlError(f"a stack named {self.host.name!r} is already running ({self.path})")
                os.unlink(self.path)
            mask = os.umask(0o177)
            try:
                sock.bind(self.path)
            finally:
                os.umask(mask)
            sock.listen(16)
        except BaseException:
            sock.close()
            raise
        self._sock = sock
        self._thread = threading.Thread(target=self._run, args=(sock,), name="pystack-control", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop serving; the socket is removed."""
        sock, self._sock = self._sock, None
        if sock is None:
            return
        if self._owner != os.getpid():
            # A child's copy: the parent still listens there.
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
            view = VIEWS[request.pop("view")]
            arguments = {str(key): bool(value) for key, value in request.items()}
        except (ValueError, AttributeError, KeyError, TypeError):
            return {"error": f"a request is a line of JSON with a view, one of {', '.join(VIEWS)}"}
        try:
            return {"result": self.host.inspect(lambda stack: view(stack, **arguments))}
        except TypeError as exc:
            return {"error": str(exc)}

    def _step(self, command: str, look: bool) -> dict[str, Any]:
        gate = self.host.gate
        if gate is None:
            return {"error": f"{self.host.name!r} was not started with --step"}
        said = "" if look else gate.command(command)
        held = gate.wait(0, 0)
        passed = [] if held is None else gate.take_passed()
        return {"result": {"said": said, "held": None if held is None else held.as_dict(), "passed": passed}}


def _alive(path: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(TIMEOUT)
        try:
            probe.connect(path)
        except OSError:
            return False
    return True


def names() -> list[str]:
    """The stacks of this user that have a control socket."""
    try:
        return sorted(entry.removesuffix(".sock") for entry in os.listdir(directory()) if entry.endswith(".sock"))
    except FileNotFoundError:
        return []


def query(name: str, view: str, **arguments: bool) -> Any:
    """Ask a running stack for a view: query("pystack", "sockets", info=True). ControlError says why it cannot be had."""
    return _ask(name, {"view": view, **arguments})


def step(name: str, command: str = "", look: bool = False) -> Any:
    """Give a command to a stack that is stepped (stepping.Gate.command), or with `look` only see where it stands.

    A dict: `said` by the command, `held` (a stepping.Held as a dict) or None, and `passed`, lines of frames let through.
    """
    return _ask(name, {"step": command, "look": look})


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
    if "error" in answer:
        raise ControlError(answer["error"])
    return answer["result"]
