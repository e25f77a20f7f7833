"""docs/howto/programs.md: its programs and its commands run."""

import os
import re
import sys
from pathlib import Path

import pytest

from tests.programs.test_run import KERNEL
from tests.programs.test_run import lab as lab  # noqa: PLC0414 (a fixture)

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "howto" / "programs.md").read_text()


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```", PAGE, re.M | re.S)


def test_the_programs(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    programs = blocks("python")
    assert len(programs) == 2
    for program in programs:
        exec(compile(program, "programs.md", "exec"), {"__name__": "__main__"})
    assert '"GET / HTTP/1.1" 200' in capsys.readouterr().err


@pytest.mark.kernel
@KERNEL
@pytest.mark.parametrize("number", [0, 1])
def test_the_commands(lab, tmp_path, number):
    commands = blocks("sh")
    assert len(commands) == 2
    bin_ = tmp_path / "bin"
    bin_.mkdir()
    (bin_ / "pystack").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m pystack.cli "$@"\n')
    (bin_ / "pystack").chmod(0o755)
    lab.env["PATH"] = f"{bin_}:{os.environ['PATH']}"
    done = lab.run("bash", "-ec", f"cd {tmp_path}\n{commands[number]}", timeout=90)
    assert done.returncode in (0, 143), done.stderr
    assert ("Directory listing for /", "hello from the stack")[number] in done.stdout
