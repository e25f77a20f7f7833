"""docs/howto/captures.md: its programs run, its output is the commands', and its table has every finding."""

import re
import shlex
from pathlib import Path

from click.testing import CliRunner

from pystack.cli.main import cli
from pystack.stepper.capture.tcp import FINDINGS

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "howto" / "captures.md").read_text()


def test_the_programs_run_and_the_output_is_that_of_the_commands(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    programs = re.findall(r"^```python\n(.*?)^```", PAGE, re.M | re.S)
    assert len(programs) == 2
    for program in programs:
        exec(program, {})
    blocks = re.findall(r"^```\n\$ pystack (.*?)^```", PAGE, re.M | re.S)
    assert len(blocks) == 3
    for block in blocks:
        command, *lines = block.splitlines()
        result = CliRunner().invoke(cli, shlex.split(command), standalone_mode=False)
        output = result.output.splitlines()
        assert lines and [line for line in lines if line not in output] == [], result.output
    kinds = re.search(r"--kind sequence`, `throughput`, `rtt` .* and `ladder` draw it", PAGE)
    assert kinds


def test_every_finding_is_in_the_table():
    part = PAGE.partition("<!-- findings -->")[2].partition("<!-- end -->")[0]
    rows = dict(re.findall(r"^\| (.+?) \(`(\w+)`\) \| .+ \|$", part, re.M))
    assert {name: words for words, name in rows.items()} == FINDINGS
