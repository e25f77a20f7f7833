"""Every folder of pystack/labs is a whole lab: its values, its control, and a grader that accepts and refuses the right files."""

import ast
import re
from dataclasses import replace
from pathlib import Path

import pytest

from pystack.labs import checking, child, folders
from pystack.labs.folders import LabError, labs
from pystack.labs.grading import grade
from pystack.labs.values import LabValue
from tests.labs import forked
from tests.labs.forked import Graders

EACH_LAB = pytest.mark.parametrize("lab", labs(), ids=lambda lab: lab.name)
EACH_WRONG = pytest.mark.parametrize(
    ("lab", "file"),
    [(lab, file) for lab in labs() for file in lab.wrong()],
    ids=lambda part: getattr(part, "name", part),
)


def test_the_labs_are_there_and_each_folder_is_one():
    assert {(12, "slow_start"), (17, "nagle"), (19, "connections")} <= {(lab.number, lab.name) for lab in labs()}
    there = {path.name for path in folders.HERE.iterdir() if path.is_dir() and path.name != "__pycache__"}
    # `pystack course` and `pystack lab handout` are packages beside the labs.
    assert there - {"course", "handout"} == {lab.path.name for lab in labs()}


def skip_without(lab):
    if lab.lacks():
        pytest.skip(lab.lacks())


@EACH_LAB
def test_the_experiment_gives_what_the_formulas_say(lab):
    results = lab.measure()
    assert len(results) >= 3
    assert [result for result in results if not result.right] == []
    # A value is skipped only if its program is missing.
    assert all(bool(result.skipped) == bool(result.value.missing()) for result in results)


@EACH_LAB
def test_the_control_gives_the_other_result(lab):
    controls = lab.controls()
    assert controls and all(result.right for _, result in controls)


@EACH_LAB
def test_the_grader_accepts_the_solution(lab):
    skip_without(lab)
    found = grade(lab, lab.solution)
    assert (found.verdict, found.text) == ("right", "")


@EACH_LAB
def test_the_text_of_the_starter_file_fits_into_the_editor_and_on_paper(lab):
    """The editor of the course and the handouts have room for about 100 characters, and longer lines of prose are cut into uneven pieces."""
    text = lab.starter.read_text()
    end = {".py": '\n"""', ".c": "*/", ".js": "\n'use strict'"}[lab.suffix]
    assert max(map(len, text[: text.index(end)].splitlines())) <= 105


@EACH_LAB
def test_the_grader_refuses_the_starter_file(lab):
    skip_without(lab)
    found = grade(lab, lab.starter)
    assert found.verdict == "wrong" and found.text


@pytest.fixture(scope="module")
def graders():
    with Graders() as graders:
        yield graders


@EACH_WRONG
def test_the_grader_refuses_a_wrong_answer_with_the_hint_that_fits(lab, file, graders):
    skip_without(lab)
    # The graders of programs that are not Python start processes, and only `grade` ends all of them.
    found = (graders.grade if lab.suffix == ".py" else grade)(lab, lab.path / file)
    assert found.verdict == "wrong" and found.text.startswith(lab.wrong()[file])


@pytest.mark.parametrize(
    "text",
    [
        "def send_request(c, h, b):\n    yield c.sendall(h + b)\n",
        "print('hello')\ndef send_request(c, h, b):\n    yield c.sendall(h)\n    yield c.sendall(b)\n",
        "print(open('/etc/hostname').read())\n",
        "x = bytes(1 << 40)\n",
        "import sys\nraise ValueError(sys.argv, __file__)\n",
        "import os\nos._exit(3)\n",
    ],
    ids=["right", "wrong", "refused", "memory", "error", "ended"],
)
def test_the_forked_grader_gives_the_same_grades(graders, text, tmp_path):
    path = tmp_path / "lab_17_nagle.py"
    path.write_text(text)
    expected = grade(folders.lab_of("17"), path)
    found = graders.grade(folders.lab_of("17"), path)
    assert (found.verdict, found.output) == (expected.verdict, expected.output)
    assert found.text.replace(str(Path(forked.__file__).resolve()), "") == expected.text.replace(child.__file__, "")


def _without_a_section(text):
    """The RFCs and drafts of a list of which no section is named."""
    parts = re.split(r"(?=RFC \d|draft-)", " ".join(text.split()))[1:]
    return [part for part in parts if not re.search(r"\bsections? ", part) and ', "' not in part]


@EACH_LAB
def test_the_folder_is_whole(lab):
    assert len(lab.hints()) == 3 and len(set(lab.wrong().values())) == len(lab.wrong()) >= 3
    assert {path.name for path in lab.path.glob(f"wrong_*{lab.suffix}")} == set(lab.wrong())
    assert lab.page.startswith(f"# Lab {lab.number}: {lab.title}\n") and lab.title
    for heading in ("Story", "Question", "What to predict", "Explanation", "Exercise", "Further reading"):
        assert lab.section(heading)
    assert "RFC" in lab.section("Further reading") and _without_a_section(lab.section("Further reading")) == []
    for path in lab.path.glob("*.py"):
        assert len(path.read_text().splitlines()) < 200
        assert ast.get_docstring(ast.parse(path.read_text()))


def test_control_a_lab_that_is_wrong_is_noticed(monkeypatch):
    lab = folders.lab_of("17")
    experiment, grader = lab.module("experiment"), lab.module("grader")
    monkeypatch.setattr(experiment, "VALUES", [replace(experiment.VALUES[0], expected=experiment.R)])
    control = experiment.CONTROLS[0]
    monkeypatch.setattr(experiment, "CONTROLS", [replace(control, value=replace(control.value, expected=experiment.R))])
    monkeypatch.setattr(grader, "WRONG", {"solution.py": "It is right", "wrong_padded.py": "The cork"})
    found = list(checking.faults(lab))
    assert found[0] == "twice: 60 ms instead of 10 ms"
    assert found[1].startswith("control ") and found[1].endswith(": 20 ms")
    assert found[2] == "solution.py should get the hint 'It is right', and gets right: "
    assert found[3].startswith("wrong_padded.py should get the hint 'The cork', and gets wrong: The server got other")
    assert len(found) == 5  # and there must be three wrong answers


def test_a_value_reads_predictions_and_compares_them():
    value = LabValue("v", "How long?", "R", 60_000_000)
    assert value.parse("60") == value.parse(" 60 ms") == 60_000_000 and value.fits(value.parse("60.0"))
    assert not value.fits(value.parse("61")) and not value.fits(None) and not value.fits([60_000_000])
    assert value.text(60_000_000) == "60 ms" and value.text(None) == "-"
    assert (
        value.text(6_000_000_000_000) == "6000000 ms"
        and LabValue("v", "", "", 0, "bytes").text(10_000_000) == "10000000 bytes"
    )
    rounds = LabValue("v", "How many?", "2^n", [10, 20], "segments", tolerance=1)
    assert rounds.fits(rounds.parse("10, 21")) and not rounds.fits(rounds.parse("10, 22"))
    assert not rounds.fits([10]) and rounds.text([10, 20]) == "10, 20 segments"
    for wrong in ("", "many", "1, 2, 3", "nan ms"):
        with pytest.raises(ValueError, match="write"):
            rounds.parse(wrong)
    for endless in ("nan", "-inf", "1e999", "1e308"):  # in ns, the last one is too large as well
        with pytest.raises(ValueError, match="is not a number"):
            value.parse(endless)
    with pytest.raises(ValueError, match="write one number"):
        value.parse("1, 2")


def test_a_program_that_is_missing_is_named_with_its_package(monkeypatch):
    lab = folders.lab_of("19")
    monkeypatch.setenv("PATH", "/nowhere")
    skipped = [result for result in lab.measure() if result.skipped]
    assert [result.value.name for result in skipped] == ["tls new", "tls pooled"]
    assert skipped[0].skipped == "needs openssl, which the Debian package openssl has"


def test_labs_are_found_by_number_name_and_file():
    nagle = folders.lab_of("17")
    assert folders.lab_of("nagle") == folders.lab_of("lab_17_nagle") == nagle
    assert folders.lab_of_file(Path("/x/lab_17_nagle.py")) == nagle
    with pytest.raises(LabError, match=r"no lab '99'; there are 1 \(layers\), 2"):
        folders.lab_of("99")
    with pytest.raises(LabError, match="does not say to which lab"):
        folders.lab_of_file(Path("/x/mine.py"))


def test_a_module_that_is_missing_is_named_with_its_extra(monkeypatch):
    value = LabValue("v", "How many?", "2", 2, needs="cypcap tcpdump")
    monkeypatch.setattr("pystack.labs.values.find_spec", lambda name: None)
    assert value.missing() == "needs cypcap, which pip install 'pystack[filter]' installs"
    monkeypatch.setattr("pystack.labs.values.find_spec", lambda name: True)
    monkeypatch.setenv("PATH", "/nowhere")
    assert value.missing() == "needs tcpdump, which the Debian package tcpdump has"


@pytest.mark.parametrize("text", ["'x'", "[1, 2]", "(b'1', b'2')"])
def test_a_result_of_the_wrong_type_is_no_error_of_the_grader(tmp_path, text):
    path = tmp_path / "answer.py"
    path.write_text(f"def receive(*args):\n    return {text}\n")
    found = grade(folders.lab_of("4"), path)
    assert found.verdict == "wrong" and found.text.startswith("`receive` returns None, or a pair")
