"""The editor's half of a debugging session: the Debug Adapter Protocol, spoken with debugpy as VS Code speaks it.

The launch configuration is the repository's own `.vscode/launch.json`, with the editor's variables filled in.
"""

import json
import queue
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


def configuration(name: str, **values: str) -> dict[str, Any]:
    """A launch configuration by its name; `values` are what the editor fills in for `${file}`, `${input:...}`."""
    text = (ROOT / ".vscode" / "launch.json").read_text()
    (found,) = [one for one in json.loads(text)["configurations"] if one["name"] == name]

    def filled(value: Any) -> Any:
        if isinstance(value, str):
            for key, instead in {"workspaceFolder": str(ROOT), **values}.items():
                value = value.replace(f"${{{key}}}", instead)
            assert "${" not in value, f"nothing is put in for {value}"
            return value
        if isinstance(value, list):
            return [filled(one) for one in value]
        return {key: filled(one) for key, one in value.items()} if isinstance(value, dict) else value

    return filled(found)


class Editor:
    """A session with debugpy's adapter over its standard streams."""

    def __init__(self, seconds: float = 60) -> None:
        self.adapter = subprocess.Popen(
            [sys.executable, "-m", "debugpy.adapter"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT
        )
        self.deadline = time.monotonic() + seconds
        self.sent = 0
        self.waiting: list[dict[str, Any]] = []
        self.output: list[str] = []
        self.came: queue.Queue[dict[str, Any]] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def __enter__(self) -> "Editor":
        return self

    def __exit__(self, *error: object) -> None:
        try:
            if self.adapter.poll() is None:
                self.wait_for(self.send("disconnect", terminateDebuggee=True))
        finally:
            self.adapter.kill()
            self.adapter.wait()
            for stream in (self.adapter.stdin, self.adapter.stdout):
                if stream is not None:
                    stream.close()

    def _read(self) -> None:
        """Messages as they come: a header with the length, an empty line, JSON."""
        stream = self.adapter.stdout
        assert stream is not None
        try:
            while line := stream.readline():
                length = 0
                while line.strip():
                    if line.lower().startswith(b"content-length:"):
                        length = int(line.split(b":")[1])
                    line = stream.readline()
                self.came.put(json.loads(stream.read(length)))
        except ValueError:  # closed meanwhile
            pass

    def send(self, command: str, **arguments: Any) -> int:
        """A request; the number under which its answer comes."""
        self.sent += 1
        message = {"seq": self.sent, "type": "request", "command": command, "arguments": arguments}
        body = json.dumps(message).encode()
        assert self.adapter.stdin is not None
        self.adapter.stdin.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
        self.adapter.stdin.flush()
        return self.sent

    def _next(self, wanted: Any) -> dict[str, Any]:
        """The first message that is wanted; others wait."""
        for message in self.waiting:
            if wanted(message):
                self.waiting.remove(message)
                return message
        while True:
            message = self.came.get(timeout=max(self.deadline - time.monotonic(), 0.01))
            if message["type"] == "event" and message["event"] == "output":
                self.output.append(message["body"]["output"])
            if wanted(message):
                return message
            self.waiting.append(message)

    def wait_for(self, request: int) -> dict[str, Any]:
        """The answer to a request."""
        answer = self._next(lambda message: message["type"] == "response" and message["request_seq"] == request)
        assert answer["success"], (answer, self.output)
        return answer.get("body") or {}

    def ask(self, command: str, **arguments: Any) -> dict[str, Any]:
        """A request and its answer."""
        return self.wait_for(self.send(command, **arguments))

    def event(self, *names: str) -> dict[str, Any]:
        """The next event of one of these names."""
        return self._next(lambda message: message["type"] == "event" and message["event"] in names)

    def launch(self, settings: dict[str, Any], breakpoints: dict[Path, list[int]]) -> list[dict[str, Any]]:
        """Start a program as the editor does, with breakpoints; what the debugger made of these."""
        self.ask("initialize", clientID="test", adapterID="debugpy", pathFormat="path", linesStartAt1=True)
        started = self.send("launch", **settings, python=[sys.executable])
        self.event("initialized")
        found = []
        for path, lines in breakpoints.items():
            wanted = [{"line": line} for line in lines]
            found += self.ask("setBreakpoints", source={"path": str(path)}, breakpoints=wanted)["breakpoints"]
        self.ask("configurationDone")
        self.wait_for(started)
        return found

    def stopped(self) -> dict[str, Any]:
        """Wait until the program stands; the innermost frame. An AssertionError if it ends instead."""
        event = self.event("stopped", "terminated")
        assert event["event"] == "stopped", "".join(self.output)
        self.thread = event["body"]["threadId"]
        return self.ask("stackTrace", threadId=self.thread)["stackFrames"][0]

    def value(self, expression: str, frame: dict[str, Any]) -> str:
        """An expression's value there, as the editor shows it."""
        return self.ask("evaluate", expression=expression, frameId=frame["id"], context="watch")["result"]
