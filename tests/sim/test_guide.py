"""docs/howto/simulator.md is a program that runs."""

import re
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs" / "howto" / "simulator.md"


def test_the_guide_runs(tmp_path):
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.M | re.S)
    assert len(blocks) >= 6
    program = "\n".join(blocks).replace("/tmp/", f"{tmp_path}/")
    names: dict = {}
    exec(compile(program, str(PAGE), "exec"), names)
    assert names["link"].ab.stats.delivered > 50
