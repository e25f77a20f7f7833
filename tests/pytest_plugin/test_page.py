"""docs/howto/five-minutes.md is executed as it stands: its files are written, and its commands have the output that it shows."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("greenlet")
PAGE = Path(__file__).resolve().parents[2] / "docs" / "howto" / "five-minutes.md"


def pattern(line):
    """A line of the page as a pattern. Numbers may differ, because they depend on the version of the core; `*` is any text."""
    parts = [
        r"\d+(?:\.\d+)?" if part[:1].isdigit() else ".*" if part == "*" else re.escape(part)
        for part in re.split(r"(\d+(?:\.\d+)?|\*)", line)
    ]
    return "".join(parts)


def check(shown, output):
    """Compare the lines that the page shows with the output. "..." leaves lines out."""
    at = 0
    lines = output.splitlines()
    left_out = False
    for line in shown:
        if line == "...":
            left_out = True
            continue
        found = [index for index in range(at, len(lines)) if re.fullmatch(pattern(line), lines[index])]
        assert found and (left_out or found[0] == at), f"{line!r} is not in the output:\n{output}"
        at, left_out = found[0] + 1, False


def blocks():
    return re.findall(r"^```(python|console)\n(.*?)^```", PAGE.read_text(), re.M | re.S)


def commands(text):
    """The commands of a block, each with the lines of its output."""
    found = []
    for line in text.splitlines():
        if line.startswith("$ "):
            found.append((line[2:], []))
        else:
            found[-1][1].append(line)
    return found


@pytest.mark.slow
@pytest.mark.timeout(500)
def test_the_page_runs(tmp_path, monkeypatch):
    root = PAGE.parents[2]
    monkeypatch.setenv("PATH", os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    monkeypatch.setenv("PYTHONPATH", str(root))
    monkeypatch.setenv("PYTEST_ADDOPTS", "-p no:asyncio -p no:randomly")
    monkeypatch.setenv("COLUMNS", "80")
    if shutil.which("pytest") is None:
        pytest.skip("the command pytest is not installed")
    seen = 0
    for language, text in blocks():
        if language == "python":
            name = re.match(r"# (\w+\.py)\n", text)[1]
            (tmp_path / name).write_text(text)
            shutil.rmtree(tmp_path / "__pycache__", ignore_errors=True)  # a file may change within the same second
            continue
        for command, shown in commands(text):
            done = subprocess.run(command, shell=True, cwd=tmp_path, capture_output=True, text=True, timeout=240)
            assert done.returncode == any(line.startswith("E ") for line in shown), done.stdout + done.stderr
            check(shown, done.stdout)
            seen += 1
    assert seen == 5
    left = {path.suffix for path in tmp_path.glob(".pytest_cache/d/pystack/test_shop/*seed=17.*")}
    assert left == {".json", ".pytrace", ".pcapng", ".html"}


def test_control_a_line_that_is_missing_is_noticed():
    check(["...", "seed 17, failed", "..."], "a\nseed 3, failed\nb")
    for shown in (["seed 17, failed"], ["...", "seed 17, passed"], ["...", "b", "a"]):
        with pytest.raises(AssertionError):
            check(shown, "a\nseed 3, failed\nb")
