"""docs/howto/routing.md is a program that runs, and prints what the page shows."""

import re
from pathlib import Path

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "howto" / "routing.md").read_text()


def test_the_page_runs_and_prints_what_it_shows(capsys):
    program = "\n".join(re.findall(r"```python\n(.*?)```", PAGE, re.S))
    shown = "".join(re.findall(r"```text\n(.*?)```", PAGE, re.S))
    exec(compile(program, "routing.md", "exec"), {})
    assert capsys.readouterr().out == shown
