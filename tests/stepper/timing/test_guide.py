"""docs/howto/where-time-went.md: its program runs, its output is the command's, and its tables have every cause."""

import re
from pathlib import Path

from click.testing import CliRunner

from pystack.cli.main import cli
from pystack.stepper.timing import CAUSES, WHYS

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "howto" / "where-time-went.md").read_text()


def test_the_program_runs():
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE, re.M | re.S)
    assert blocks
    for block in blocks:
        exec(block, {})


def test_the_output_is_that_of_the_command():
    for block in re.findall(r"^```\n\$ pystack time (.*?)^```", PAGE, re.M | re.S):
        command, *lines = block.splitlines()
        output = CliRunner().invoke(cli, ["time", *command.split()], standalone_mode=False).output.splitlines()
        assert lines and [line for line in lines if line not in output] == []


def test_every_cause_and_reason_is_in_the_tables():
    for name, known in (("causes", CAUSES), ("whys", WHYS)):
        part = PAGE.partition(f"<!-- {name} -->")[2].partition("<!-- end -->")[0]
        assert dict(re.findall(r"^\| (.+?) \| (.+) \|$", part, re.M)) == {
            key: text for key, text in known.items() if key
        }
