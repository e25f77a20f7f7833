"""docs/reference/driver-safety.md: each test that it names exists, and each lock, hook and file of the driver is in it."""

import ast
import re
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

import pystack
from pystack import running as stack

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "reference" / "driver-safety.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("heading", ["## What is supported", "## Descriptors"])
def test_each_line_of_these_tables_names_a_test(heading):
    section = PAGE.split(heading)[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| ")][1:]
    assert len(lines) > 15
    for line in lines:
        found = re.search(r"`(tests/[\w/]+\.py)::(\w+)` \|$", line)
        assert found, line
        tree = ast.parse((ROOT / found[1]).read_text(encoding="utf-8"))
        assert found[2] in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, line


def test_each_lock_hook_and_file_is_in_the_second_table():
    made = re.compile(
        r"threading\.(R?Lock|Condition|(Bounded)?Semaphore|Event)\b|atexit\.register|(?<![\w.])open\([^)]*, \"[wax]b?\""
    )
    for path in sorted((ROOT / "pystack").rglob("*.py")):
        if made.search(path.read_text(encoding="utf-8")):
            assert f"`{path.relative_to(ROOT)}`" in PAGE, path


def test_no_module_claims_to_be_safe_without_the_gil():
    text = (ROOT / "setup.py").read_text(encoding="utf-8")
    assert "freethreading_compatible" not in text
    for path in (ROOT / "pystack").rglob("*.pxd"):
        assert "freethreading_compatible" not in path.read_text(encoding="utf-8")
    for path in (ROOT / "pystack").rglob("*.py"):
        assert "freethreading_compatible" not in path.read_text(encoding="utf-8")


def test_without_the_gil_up_warns(monkeypatch):
    monkeypatch.setattr(sys, "_is_gil_enabled", lambda: False, raising=False)
    with pytest.warns(RuntimeWarning, match="without the GIL"), stack.up(tap=None, name="free"):
        pass
    monkeypatch.setattr(sys, "_is_gil_enabled", lambda: True, raising=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        stack.up(tap=None, name="free").close()


@pytest.mark.skipif(not any(pystack.compiled().values()), reason="uncompiled, each interpreter has modules of its own")
@pytest.mark.skipif(sys.version_info >= (3, 13), reason="the module for subinterpreters has another name there")
def test_a_second_interpreter_is_refused():
    code = """
import _xxsubinterpreters as sub
import pystack.running
other = sub.create()
sub.run_string(other, '''
try:
    import pystack.running
except ImportError as exc:
    print("refused:", exc)
''')
sub.destroy(other)
pystack.running.up(tap=None, name="first").close()
print("the first goes on")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.startswith("refused:") and done.stdout.endswith("the first goes on\n"), done.stderr
