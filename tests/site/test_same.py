"""The Python of the site gives the same results as this one, compiled: frames, events, values of the labs, and grades."""

import json
import subprocess
from pathlib import Path

import pytest

from pystack.labs.folders import labs
from tests.site import same

HERE = Path(__file__).resolve().parent
NUMBERS = [lab.number for lab in labs()]


@pytest.fixture(scope="module")
def theirs(site):
    command = ["node", str(HERE / "facts.mjs"), str(site), str(HERE / "same.py"), json.dumps(NUMBERS)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1500)
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout)


@pytest.mark.timeout(1600)
def test_it_is_another_python(theirs):
    assert theirs["python"].startswith("3.14.") and theirs["build"].endswith(".py")


@pytest.mark.timeout(1600)
def test_a_scenario_has_the_same_frames_events_and_views(theirs):
    assert theirs["scenario"] == same.scenario()


@pytest.mark.timeout(1600)
def test_a_lossy_transfer_is_the_same_frame_by_frame(theirs):
    assert theirs["transfer"] == same.transfer()


@pytest.mark.timeout(1600)
@pytest.mark.parametrize("number", NUMBERS)
def test_a_lab_measures_and_grades_the_same(theirs, number):
    found = theirs["labs"][str(number)]
    ours = same.of_lab(
        number, found["values"]
    )  # the page has no programs, and what they measure is compared with nothing
    both = found["values"].keys() & ours["values"].keys()
    assert {name: found["values"][name] for name in both} == {name: ours["values"][name] for name in both}
    both = found["grades"].keys() & ours["grades"].keys()
    assert {file: found["grades"][file] for file in both} == {file: ours["grades"][file] for file in both}


@pytest.mark.timeout(1600)
def test_most_labs_are_compared(theirs):
    """The tests above compare what is there, so this one counts it."""
    assert sum(len(lab["values"]) for lab in theirs["labs"].values()) > 200
    assert sum(len(lab["grades"]) for lab in theirs["labs"].values()) > 30
