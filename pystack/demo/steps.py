"""The steps of the demo: each runs a real program on the kernel's side and checks its result."""

import hashlib
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from pystack.kernel.netns import Namespace
from pystack.services import http
from pystack.trace.narrator import Narrator, Tally, amount
from pystack.visible import one_line

#: seconds that a program may take before the step counts as failed
LIMIT = 60


@dataclass
class StepResult:
    """The result of a step; `seconds` is its duration, `size` the bytes that it moved."""

    name: str
    ok: bool
    detail: str
    seconds: float
    size: int = 0
    tally: Tally | None = None

    def rate(self) -> str:
        """The rate in megabits per second; "" if no bytes were moved."""
        return f"{self.size * 8 / self.seconds / 1e6:.0f} Mbit/s" if self.size and self.seconds else ""


class Kernel:
    """The kernel's side: runs programs in the namespace and leaves none of them behind."""

    def __init__(self, space: Namespace, narrator: Narrator):
        self.space = space
        self.narrator = narrator

    def run(self, argv: Sequence[str], data: bytes | None = None, show: bool = True) -> tuple[int, bytes]:
        """Run a program to its end and return (exit status, output). With `show`, its lines are printed as they arrive."""
        name = argv[0]
        process = self.space.popen(
            argv,
            stdin=subprocess.DEVNULL if data is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "LC_ALL": "C"},
        )
        alarm = threading.Timer(LIMIT, process.kill)
        alarm.start()
        errors = threading.Thread(target=self._errors, args=(name, process.stderr), daemon=True)
        errors.start()
        feeder = threading.Thread(target=_feed, args=(process.stdin, data), daemon=True)
        if data is not None:
            feeder.start()
        try:
            output = bytearray()
            assert process.stdout is not None
            while piece := process.stdout.readline() if show else os.read(process.stdout.fileno(), 1 << 18):
                output += piece
                if show:
                    self.tell(name, piece)
            return process.wait(), bytes(output)
        finally:
            alarm.cancel()
            end(process)
            errors.join(5)
            if data is not None:
                feeder.join(5)
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream is not None:
                    _close(stream)

    def tell(self, name: str, line: bytes) -> None:
        """Print a line of a program's output."""
        text = one_line(line.decode(errors="replace").rstrip())
        if text:
            self.narrator.say(self.narrator.style(f"{name:>10} | ", "dim") + text)

    def _errors(self, name: str, stream: object) -> None:
        for line in stream:  # type: ignore[attr-defined]
            self.tell(name, line)


def end(process: "subprocess.Popen[bytes]") -> None:
    """End a program with SIGTERM, and after a second with SIGKILL."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(1)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _feed(stream: object, data: bytes | None) -> None:
    try:
        stream.write(data)  # type: ignore[attr-defined]
        stream.close()  # type: ignore[attr-defined]
    except OSError:
        pass  # the program ended early; its exit status says so


def _close(stream: object) -> None:
    try:
        stream.close()  # type: ignore[attr-defined]
    except OSError:
        pass


class DemoSteps:
    """The steps, in order. Each returns a StepResult that says whether its check passed."""

    def __init__(self, kernel: Kernel, address: str, size: int, seed: int):
        self.kernel = kernel
        self.narrator = kernel.narrator
        self.address = address
        self.size = size
        self.seed = seed
        self.curl = ["curl", "-q", "-sS", "--fail", "--noproxy", "*", "--max-time", str(LIMIT - 5)]

    def ping(self, count: int = 3) -> StepResult:
        """Run ping -c 3; the stack must answer every request."""
        argv = ["ping", "-n", "-c", str(count), "-i", "0.2", "-W", "2", self.address]
        self.narrator.step(f"$ {' '.join(argv)}")
        start = time.monotonic()
        status, output = self.kernel.run(argv)
        seconds = time.monotonic() - start
        text = output.decode(errors="replace")
        received = re.search(r"(\d{1,9}) received", text)
        rtt = re.search(r"= ([\d.]+)/([\d.]+)/([\d.]+)", text)
        answered = int(received[1]) if received else 0
        detail = f"{answered} of {count} answered"
        if rtt:
            detail += f", {rtt[1]} to {rtt[3]} ms"
        return self._result("ping", status == 0 and answered == count, detail, seconds, status)

    def page(self) -> StepResult:
        """Fetch the page with curl; every byte must be as the server sent it."""
        argv = [*self.curl, f"http://{self.address}/"]
        self.narrator.step(f"$ curl http://{self.address}/")
        start = time.monotonic()
        status, output = self.kernel.run(argv)
        seconds = time.monotonic() - start
        same = output == http.PAGE
        detail = f"{len(output)} bytes, {'as the server sent them' if same else 'NOT what the server sent'}"
        return self._result("curl, a page", status == 0 and same, detail, seconds, status)

    def download(self) -> StepResult:
        """Fetch some megabytes with curl; the SHA-256 of both sides must be equal."""
        url = f"http://{self.address}/bytes/{self.size}"
        self.narrator.step(f"$ curl {url} | sha256sum      ({amount(self.size)} from the stack)")
        start = time.monotonic()
        status, output = self.kernel.run([*self.curl, url], show=False)
        seconds = time.monotonic() - start
        got = hashlib.sha256(output).hexdigest()
        sent = http.pattern_sha256(self.size)
        same = got == sent
        self._hashes("the stack sent", sent, "curl received", got)
        name = f"curl, {amount(self.size)} from the stack"
        return self._result(name, status == 0 and same, _equal(same), seconds, status, len(output))

    def upload(self) -> StepResult:
        """Send some megabytes to the stack with curl; the server must report the SHA-256 of the data that was sent."""
        data = Random(self.seed).randbytes(self.size)
        url = f"http://{self.address}/upload"
        self.narrator.step(f"$ curl -X PUT --data-binary @- {url}      ({amount(len(data))} to the stack)")
        headers = ["-H", "Content-Type: application/octet-stream", "-H", "Expect:"]
        argv = [*self.curl, "-X", "PUT", *headers, "--data-binary", "@-", url]
        start = time.monotonic()
        status, output = self.kernel.run(argv, data, show=False)
        seconds = time.monotonic() - start
        sent = hashlib.sha256(data).hexdigest()
        got = output.decode(errors="replace").strip()
        self._hashes("curl sent", sent, "the stack received", got or "nothing")
        name = f"curl, {amount(len(data))} to the stack"
        return self._result(name, status == 0 and got == sent, _equal(got == sent), seconds, status, len(data))

    def _hashes(self, first: str, one: str, second: str, two: str) -> None:
        self.narrator.settle()
        self.narrator.say(f"{first:>20}: sha256 {one}")
        self.narrator.say(f"{second:>20}: sha256 {two}")

    def _result(self, name: str, ok: bool, detail: str, seconds: float, status: int, size: int = 0) -> StepResult:
        tally = self.narrator.settle()
        if status != 0:
            detail += f"; exit status {status}" if status > 0 else f"; killed by signal {-status}"
        mark = self.narrator.style("ok", "green") if ok else self.narrator.style("FAILED", "red", "bold")
        self.narrator.say(f"{mark}  {name}: {detail}")
        return StepResult(name, ok, detail, seconds, size, tally)


def _equal(same: bool) -> str:
    return "SHA-256 equal" if same else "SHA-256 DIFFERS"
