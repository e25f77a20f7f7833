"""docs/rfc9293.md: every requirement of RFC 9293 is there, and every test that it names exists."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "rfc9293.md").read_text()
LINES = [line.strip("| ").split(" | ") for line in PAGE.splitlines() if re.match(r"\| [A-Z]+-\d+ \|", line)]


def test_all_requirements_are_there_once():
    # Appendix B: 69 MUST (MUST NOT among them), 31 SHOULD, 18 MAY, one RECOMMENDED.
    expect = [
        f"{kind}-{n}"
        for kind, most in (("MUST", 69), ("SHLD", 31), ("MAY", 18), ("REC", 1))
        for n in range(1, most + 1)
    ]
    assert sorted(line[0] for line in LINES) == sorted(expect)


def functions(path: Path) -> set[str]:
    return {node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("line", LINES, ids=lambda line: line[0])
def test_what_shows_it_exists(line):
    shown = re.findall(r"`([\w/]+\.py)::(\w+)`", line[3])
    if line[0].startswith("MUST") and not shown:
        assert line[3].startswith("Not done"), "a MUST is tested, or said to be missing"
    for name, function in shown:
        places = [base / name for base in (ROOT / "tests", ROOT / "tests" / "pystack_c")]
        found = [path for path in places if path.exists()]
        assert found and function in functions(found[0]), f"{name}::{function}"
