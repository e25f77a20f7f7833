"""What `make test` runs a second time: tests in real time that failed, and never those in virtual time."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ARGUMENTS = ROOT / "tests/support/again.args"

TEST = """
from pathlib import Path

def test_it():
    first = Path(__file__).with_suffix(".first")
    if not first.exists():
        first.touch()
        raise ValueError("the first time")

def test_what_always_fails():
    assert False
"""


def ran(root: Path, folder: str) -> str:
    """Run a test that fails the first time, and one that always does, in a folder of a new tree. Return what pytest printed."""
    (root / folder).mkdir(parents=True)
    (root / folder / "test_it.py").write_text(TEST)
    (root / "pytest.ini").write_text("[pytest]\n")
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", f"@{ARGUMENTS}", folder]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=120).stdout


def test_a_test_in_real_time_that_passes_at_once_again_is_listed(tmp_path):
    output = ran(tmp_path, "tests/socket")
    assert "1 failed, 1 passed, 2 rerun" in output
    assert "RERUN tests/socket/test_it.py::test_it" in output and "the first time" in output


def test_a_test_in_virtual_time_is_not_run_again(tmp_path):
    assert "2 failed in" in ran(tmp_path, "tests/sim")


def test_the_folders_exist():
    folders = [line.partition("=")[2] for line in ARGUMENTS.read_text().splitlines() if "exclude-path" in line]
    assert len(folders) >= 10 and all((ROOT / folder / "__init__.py").exists() for folder in folders)
