"""FreeBSD's ways, each by a script of its own: passed with `--profile freebsd`, failed as Linux (the control)."""

import os

import pytest

from pystack.pkt import Settings, run_path
from pystack.pkt.parser import parse
from pystack.pkt.report import FAILED, PASSED, find_scripts, run_script

FOLDER = os.path.join(os.path.dirname(__file__), "freebsd")
SCRIPTS = find_scripts(FOLDER)


@pytest.mark.parametrize("path", SCRIPTS, ids=[os.path.basename(p) for p in SCRIPTS])
def test_script(path):
    verdict = run_path(path, Settings.for_profile("freebsd"))
    assert verdict.verdict == PASSED, (verdict.line, verdict.reason)
    if not path.endswith(("syn-again.pkt", "syn-with-fin.pkt", "no-options.pkt")):  # (they set what they need)
        assert run_path(path, Settings()).verdict == FAILED


@pytest.mark.parametrize(
    ("name", "old", "new", "word"),
    [
        ("syn-again.pkt", "slop=700", "slop=0", "time"),
        ("syn-again.pkt", "retries=1", "retries=0", "flags"),
        ("no-options.pkt", "TCP_NOOPT, [1]", "TCP_NOOPT, [0]", "options"),
    ],
)
def test_what_they_set_counts(name, old, new, word):
    path = os.path.join(FOLDER, name)
    with open(path, encoding="utf-8") as file:
        text = file.read()
    assert old in text
    verdict = run_script(parse(text.replace(old, new), path), Settings.for_profile("freebsd"))
    assert verdict.verdict == FAILED and word in verdict.reason


def test_there_are_scripts():
    assert len(SCRIPTS) >= 7
