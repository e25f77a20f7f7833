"""Asks tshark, Wireshark's program for the terminal, about a capture."""

import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path


def fields(path: Path, expression: str, *names: str) -> list[list[str]]:
    """Return these fields of the frames that a display filter matches, by default their numbers."""
    command = ["tshark", "-r", str(path), "-Y", expression, "-T", "fields"]
    for name in names or ("frame.number",):
        command += ["-e", name]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return [line.split("\t") for line in done.stdout.splitlines()]


def ask(capture: Callable[[Path], object], expression: str, *names: str) -> list[list[str]]:
    """Write a capture to a temporary file, and return `fields` of it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "capture.pcapng"
        capture(path)
        return fields(path, expression, *names)
