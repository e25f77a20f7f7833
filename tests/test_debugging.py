"""docs/debugging.md: its program under pdb, uncompiled, stops in the state machine."""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def debug(tmp_path) -> str:
    """What pdb prints for the page's commands."""
    page = (ROOT / "docs" / "debugging.md").read_text()
    (program,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    commands = re.findall(r"^\(Pdb\) (.*)$", page, re.MULTILINE)
    (tmp_path / "handshake.py").write_text(program)
    env = {**os.environ, "PYTHONPATH": str(ROOT), "PYSTACK_PURE": "1"}
    result = subprocess.run(
        [sys.executable, "-m", "pdb", str(tmp_path / "handshake.py")],
        input="\n".join([*commands, "q", ""]),
        capture_output=True,
        text=True,
        timeout=60,
        env=env,
        cwd=tmp_path,
    )
    return result.stdout


def test_pdb_stops_in_the_state_machine(tmp_path):
    out = debug(tmp_path)
    assert re.search(r"Breakpoint 1 at .*pystack_c/tcp/input\.py:\d+", out), out
    assert re.search(r"\(3, 'SYN-RECEIVED', 'tcp 10\.0\.0\.2:80-10\.0\.0\.1:\d+'\)", out), out
