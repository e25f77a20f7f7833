"""Grades a learner's file in a process of its own, with limits of time and memory."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from pystack.labs.folders import HERE, LONGEST, LabError, LabFolder


@dataclass(frozen=True)
class GradeLimits:
    """What a learner's file may use: seconds of processor time, seconds of wall time, and bytes of memory."""

    cpu: int = 10
    wall: float = 60
    memory: int = 512 << 20


@dataclass(frozen=True)
class LabGrade:
    """`verdict` is "right", "wrong", "error", "refused", "stopped" or "skipped". `text` is the hint or the reason, `output` what the file printed."""

    lab: int
    verdict: str
    text: str
    output: str = ""

    @property
    def right(self) -> bool:
        """Return True if the exercise is solved."""
        return self.verdict == "right"


def _wait(process: "subprocess.Popen[bytes]", seconds: float, stop: threading.Event | None) -> bool:
    """Wait until a process has ended, or for some seconds, or until `stop` is set. Returns True if it was too slow."""
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(min(left, 0.5))
            return False
        if stop is not None and stop.is_set():
            raise LabError("grading was stopped")
    return True


def grade(
    lab: LabFolder, path: Path, limits: GradeLimits | None = None, stop: threading.Event | None = None
) -> LabGrade:
    """Grade a file. LabError if it cannot be read, or if another thread sets `stop`."""
    limits = limits or GradeLimits()
    if path.suffix != lab.suffix:
        raise LabError(f"{path} is no exercise of lab {lab.number}, whose files end with {lab.suffix}")
    try:
        if path.exists() and not path.is_file():
            raise LabError(f"{path} is not a regular file")
        if path.stat().st_size > LONGEST:
            raise LabError(f"{path} has more than {LONGEST} bytes, which is too long for an exercise")
        path.read_bytes().decode("utf-8")
    except OSError as error:
        raise LabError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise LabError(f"{path} is not a text in UTF-8: save it again with this encoding") from None
    command = [sys.executable, "-P", "-m", "pystack.labs.child", str(lab.number), str(path.resolve())]
    command += [str(limits.cpu), str(limits.memory)]
    # The file gets none of the caller's environment, which may hold secrets.
    env = {"PYTHONPATH": str(HERE.parents[1]), "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"}
    env |= {name: os.environ[name] for name in ("PATH", "PYSTACK_PURE", "PYSTACK_LABS") if name in os.environ}
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
        tempfile.TemporaryFile() as out,
        tempfile.TemporaryFile() as err,
    ):
        process = subprocess.Popen(
            command, env=env, cwd=folder, stdin=subprocess.DEVNULL, stdout=out, stderr=err, start_new_session=True
        )
        try:
            late = _wait(process, limits.wall, stop)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            status = process.wait()
        out.seek(0)
        err.seek(0)
        return _result(lab, status, late, out.read().decode(), err.read().decode("utf-8", "replace"), limits)


def too_slow(lab: LabFolder, limits: GradeLimits, output: str = "") -> LabGrade:
    """Return the grade of a file that did not end in time."""
    text = f"The grader stopped your file after {limits.wall:g} seconds. Is there an endless loop, or does it sleep?"
    return LabGrade(lab.number, "stopped", text, output)


def _result(lab: LabFolder, status: int, late: bool, result: str, output: str, limits: GradeLimits) -> LabGrade:
    """Turn the end of the process into a grade."""
    if late:
        return too_slow(lab, limits, output)
    if status in (-signal.SIGXCPU, -signal.SIGKILL):
        text = f"The grader stopped your file after {limits.cpu} seconds of processor time. Is there an endless loop?"
        return LabGrade(lab.number, "stopped", text, output)
    try:
        found = json.loads(result)
        text = (
            found["text"].encode("utf-8", "backslashreplace").decode()
        )  # An exception's text may have half of a pair.
        return LabGrade(lab.number, found["verdict"], text, output)
    except (ValueError, KeyError, TypeError, AttributeError):
        text = f"The process of your file ended with status {status} before the grader had a result."
        return LabGrade(lab.number, "stopped", text, output)
