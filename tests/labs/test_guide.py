"""docs/howto/labs.md: its commands do what the page says, and it lists all labs and limits."""

import re
from dataclasses import fields
from pathlib import Path

import pytest
from click.testing import CliRunner

from pystack.cli.main import cli
from pystack.labs import child
from pystack.labs.folders import labs
from pystack.labs.grading import GradeLimits

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "howto" / "labs.md").read_text()


@pytest.mark.once
def test_the_commands_of_the_page_run(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    lines = [line for block in re.findall(r"^```sh\n(.*?)^```", PAGE, re.M | re.S) for line in block.splitlines()]
    assert len(lines) == 13
    for line in lines:
        done = CliRunner().invoke(cli, line.split()[1:], prog_name="pystack")
        assert done.exit_code == (1 if line == "pystack lab check 17" else 0), done.output
        if line == "pystack lab check 17":
            assert "An exchange took 60 ms" in done.output  # as the page says
            (solution,) = re.findall(r"^```python\n(.*?)^```", PAGE, re.M | re.S)
            (tmp_path / "lab_17_nagle.py").write_text(solution)
            done = CliRunner().invoke(cli, line.split()[1:], prog_name="pystack")
            assert done.output == "lab 17: right\n"
    files = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.*") if "state" not in path.parts}
    assert files == {
        "lab_17_nagle.html", "lab_17_nagle.py", "nagle.svg", "slides/lab_17_nagle.svg", "slides/lab_17_nagle_2.svg",
        "solutions/lab_17_nagle_solutions.pdf", "udp.pcapng",
    }  # fmt: skip


def test_the_page_has_the_labs_and_the_limits():
    for lab in labs():
        assert f"| {lab.number} | [{lab.title}](../../pystack/labs/{lab.path.name}/page.md) |" in PAGE
    limits = GradeLimits()
    assert [field.name for field in fields(limits)] == ["cpu", "wall", "memory"]
    for text in (
        f"after {limits.cpu} seconds of processor time",
        f"after {limits.wall:g} seconds",
        f"{limits.memory >> 20} MiB",
    ):
        assert text in PAGE
    assert f"more than {child.OUTPUT >> 20} MiB" in PAGE
