"""docs/howto/sweeps.md is a program that runs, and its commands do what the page says."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "howto" / "sweeps.md"


@pytest.mark.once
def test_the_guide_to_sweeps_runs(tmp_path):
    pytest.importorskip("matplotlib")
    page = PAGE.read_text()
    blocks = re.findall(r"^```python\n(.*?)^```", page, re.M | re.S)
    assert len(blocks) == 4 and blocks[0].startswith("# transfer.py")
    (tmp_path / "transfer.py").write_text(blocks[0])
    (tmp_path / "guide.py").write_text("".join(blocks[1:]).replace("/tmp/", f"{tmp_path}/"))
    done = subprocess.run([sys.executable, "guide.py"], cwd=tmp_path, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 7 and "reno" in done.stdout
    assert (tmp_path / "transfer.svg").stat().st_size > 1000
    for command in re.findall(r"^    pystack (sweep transfer.py --value .*)$", page, re.M):
        command = command.replace("--seeds 100", "--seeds 5")
        args = [sys.executable, "-m", "pystack.cli", *command.split()]
        done = subprocess.run(args, cwd=tmp_path, capture_output=True, text=True, timeout=100)
        assert done.returncode == 0, done.stderr
        assert len(done.stdout.splitlines()) == 8
    assert "24 of 30 rows are there already" in done.stderr
    assert (tmp_path / "transfer.png").read_bytes()[:4] == b"\x89PNG"
