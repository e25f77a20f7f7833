"""A served stepper to ask: `pystack step ... --web` in a process of its own, as a user starts it."""

import http.client
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from pystack.stepper.web import bundle

ROOT = Path(__file__).resolve().parents[3]


def need_page() -> None:
    """Skip where the page is not built: there is no npm."""
    pytest.importorskip("starlette")
    pytest.importorskip("uvicorn")
    if not (bundle.STATIC / "stepper.js").exists():
        pytest.skip("the web stepper's page is not built (npm is missing): python web/build.py")


class Served:
    """The address, and plain requests to it."""

    def __init__(self, address: str):
        self.address = address
        parts = urlsplit(address)
        self.port = parts.port
        self.secret = parts.path.strip("/")

    def ask(
        self, method: str, path: str, body: Any = None, **headers: str
    ) -> tuple[int, bytes, http.client.HTTPMessage]:
        """Status, body and headers of an answer; `path` is below the secret unless it begins with a slash."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            where = path if path.startswith("/") else f"/{self.secret}/{path}"
            connection.putrequest(method, where, skip_host="Host" in headers)
            data = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else b""
            fields = {"Content-Type": "application/json", "Content-Length": str(len(data))} if body is not None else {}
            for name, value in {**fields, **{name.replace("_", "-"): value for name, value in headers.items()}}.items():
                connection.putheader(name, value)
            connection.endheaders(data)
            answer = connection.getresponse()
            return answer.status, answer.read(), answer.headers
        finally:
            connection.close()

    def json(self, path: str, body: Any = None) -> Any:
        """What a good request gives."""
        status, data, _ = self.ask("GET" if body is None else "POST", path, body)
        assert status == 200, data
        return json.loads(data)

    def error(self, path: str, body: Any = None) -> str:
        """What a bad request is told."""
        status, data, _ = self.ask("GET" if body is None else "POST", path, body)
        assert status in (400, 404), (status, data)
        return json.loads(data)["error"]


@contextmanager
def serving(*argv: str, cwd: "str | Path | None" = None) -> Iterator[Served]:
    """`pystack step ARGV --web` until the end, in a directory."""
    with commanding("step", *argv, "--web", cwd=cwd) as served:
        yield served


@contextmanager
def commanding(*argv: str, cwd: "str | Path | None" = None, **more: str) -> Iterator[Served]:
    """A command that serves a page, until the end, in a directory and with more in its environment."""
    need_page()
    command = [sys.executable, "-m", "pystack.cli", *argv, "--no-browser"]
    env = {**os.environ, "PYTHONPATH": str(ROOT), **more}
    process = subprocess.Popen(command, env=env, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        line = process.stdout.readline().strip()
        assert line.startswith("http://127.0.0.1:"), line + process.stderr.read()
        yield Served(line)
        process.terminate()
        _, complaints = process.communicate(timeout=60)
        assert "Traceback" not in complaints, complaints
    finally:
        process.kill()
        process.communicate()
