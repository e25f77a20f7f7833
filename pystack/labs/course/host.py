"""How the course runs experiments and grades files on this machine: each in a process of its own, which can be stopped."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

from pystack.labs.course.measuring import MeasureProgress
from pystack.labs.folders import HERE, LabError, LabFolder
from pystack.labs.grading import LabGrade, grade

#: how often a stop is looked for, in seconds
TICK = 0.1
#: how long a run to look at may take, in seconds
LONGEST_LOOK = 120


def grade_text(lab: LabFolder, text: str, stop: threading.Event | None = None) -> LabGrade:
    """Grade a learner's text. LabError if another thread sets `stop`."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / lab.exercise
        path.write_text(text, encoding="utf-8")
        return grade(lab, path, None, stop)


def measure_apart(
    lab: LabFolder, progress: MeasureProgress | None = None, stop: threading.Event | None = None
) -> list[list[Any]]:
    """Measure a lab in a process of its own, as `measuring.measured` does. LabError if another thread sets `stop`, or if the process fails."""
    command, env = _command(str(lab.number))
    with tempfile.TemporaryFile() as err:
        process = subprocess.Popen(
            command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=err, start_new_session=True
        )
        ended = threading.Event()
        watcher = threading.Thread(target=_end_at, args=(process, stop, ended), daemon=True)
        watcher.start()
        try:
            found = _read(process, progress)
        finally:
            ended.set()
            watcher.join()
            process.wait()
        if found is not None:
            return found
        if stop is not None and stop.is_set():
            raise LabError("the run was stopped")
        err.seek(0)
        raise _failure(err.read(), process.returncode)


def record_apart(lab: LabFolder, look: int) -> bytes:
    """Return the recording of a lab's look, which is run in a process of its own. LabError if the process fails."""
    return _bytes(lab, str(look))


def write_apart(lab: LabFolder) -> bytes:
    """Return a lab's capture, which is written in a process of its own. LabError if the process fails."""
    return _bytes(lab, "capture")


def _bytes(lab: LabFolder, what: str) -> bytes:
    """Return what a runner writes."""
    command, env = _command(str(lab.number), what)
    process = subprocess.Popen(
        command,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        found, err = process.communicate(timeout=LONGEST_LOOK)
    except subprocess.TimeoutExpired:
        raise LabError(f"the run took more than {LONGEST_LOOK} seconds") from None
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    if process.returncode or not found:
        raise _failure(err, process.returncode)
    return found


def _command(*arguments: str) -> tuple[list[str], dict[str, str]]:
    """Return the command of a runner, and its environment."""
    places = [str(HERE.parents[1]), os.environ.get("PYTHONPATH", "")]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, places))}
    return [sys.executable, "-P", "-m", "pystack.labs.course.runner", *arguments], env


def _failure(err: bytes, status: int) -> LabError:
    """Return an error with the last line that a runner wrote."""
    lines = err.decode("utf-8", "replace").strip().splitlines()
    return LabError(f"the experiment failed: {lines[-1][:300] if lines else f'status {status}'}")


def _end_at(process: "subprocess.Popen[bytes]", stop: threading.Event | None, ended: threading.Event) -> None:
    """End a process and its children when `stop` is set, or when the caller has read its results."""
    while not ended.wait(TICK):
        if stop is not None and stop.is_set():
            break
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _read(process: "subprocess.Popen[bytes]", progress: MeasureProgress | None) -> list[list[Any]] | None:
    """Return what the process measured, or None if it ended without a result."""
    assert process.stdout is not None
    with process.stdout as lines:
        for line in lines:
            try:
                said = json.loads(line)
            except ValueError:
                return None  # It was stopped in the middle of a line.
            if "found" in said:
                found: list[list[Any]] = said["found"]
                return found
            if progress is not None:
                progress(*said["progress"])
    return None
