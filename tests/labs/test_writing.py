"""docs/howto/writing-a-lab.md: the blocks of the page are a whole lab, which lives outside of the package."""

import os
import re
import shutil
import subprocess
import sys

import pytest

from pystack.labs.folders import HERE, lab_of, labs

ROOT = HERE.parents[1]
PAGE = (ROOT / "docs" / "howto" / "writing-a-lab.md").read_text()
LOOKS = re.search(r"^`looks` of `experiment.py`:\n\n```python\n(.*?)^```$", PAGE, re.M | re.S)[1]
BLOCKS = dict(re.findall(r"^`(\w+\.\w+)`:\n\n```\w+\n(.*?)^```$", PAGE, re.M | re.S))

#: modules of single labs
HELPERS = (
    "beside.py",
    "dam.py",
    "database.py",
    "ends.py",
    "fairness.py",
    "flood.py",
    "forger.py",
    "home.py",
    "hosts.py",
    "messages.py",
    "paths.py",
    "poison.py",
    "scripts.py",
    "secure.py",
    "slow.py",
    "tls.py",
    "tools.py",
    "trial.py",
    "trouble.py",
    "world.py",
    "zones.py",
)


@pytest.fixture
def place(tmp_path):
    folder = tmp_path / "labs" / "lab_90_distance"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text('"""Lab 90: distance and rate."""\n')
    for name, text in BLOCKS.items():
        (folder / name).write_text(text)
    with (folder / "experiment.py").open("a") as file:
        file.write("\n\nfrom pystack.labs.looks import LabLook\n\n" + LOOKS)
    return folder


def lab(place, *args):
    env = {**os.environ, "PYSTACK_LABS": str(place.parent), "XDG_STATE_HOME": str(place.parent.parent)}
    command = [sys.executable, "-m", "pystack.cli", "lab", *args]
    done = subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True, timeout=100)
    return done.returncode, done.stdout


def test_the_lab_of_the_page_is_right(place):
    status, said = lab(place, "check", "90", "--lab")
    assert status == 0 and re.fullmatch(r"lab 90: right, \d+\.\d s \(\d+\.\d s\)\n", said)
    status, said = lab(place, "run", "90", "--no-predict")
    assert status == 0 and "measured   11.112 ms\n    formula    R / 2 + bits / rate = 11.112 ms" in said
    assert (
        "    measured   22.112 ms" in said and "    measured   11.2112 ms" in said
    )  # 10.9 ms earlier, as its page says
    assert "  Distance and rate" in lab(place, "list")[1]


def test_the_looks_of_the_page_can_be_drawn(place, tmp_path):
    status, said = lab(place, "plot", "90", "-o", str(tmp_path / "plots"))
    assert (status, said) == (0, f"{tmp_path}/plots/lab_90_distance.svg: A long datagram, and the time of its bits\n")
    assert "UDP len 1472" in (tmp_path / "plots" / "lab_90_distance.svg").read_text()


def test_control_a_wrong_lab_is_noticed(place):
    (place / "solution.py").write_text(BLOCKS["starter.py"])
    status, said = lab(place, "check", "90", "--lab")
    assert status == 1 and said.startswith("lab 90: the grader refuses the solution: `arrival(1, 10000000, 1000000)`")


def test_the_page_names_the_files_of_each_lab():
    for one in labs():
        for path in one.path.iterdir():
            name = "wrong_*.py" if path.name.startswith("wrong_") else path.name
            if path.is_file() and name not in HELPERS:
                assert f"`{name}`" in PAGE


def listed(place, **more):
    """`pystack lab list` with a folder of one's own."""
    env = {**os.environ, "PYSTACK_LABS": str(place), "XDG_STATE_HOME": str(place), **more}
    done = subprocess.run([sys.executable, "-m", "pystack.cli", "lab", "list"], env=env, capture_output=True, text=True)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout + done.stderr


def test_a_mistake_of_an_author_is_one_line(tmp_path):
    folder = tmp_path / "lab_90_mine"
    shutil.copytree(lab_of("17").path, folder)
    status, said = listed(tmp_path)
    assert status == 0 and " 90  open" in said  # the control
    experiment = folder / "experiment.py"
    good = experiment.read_text()
    experiment.write_text("# a comment\n\ndef (\n")
    status, said = listed(tmp_path)
    assert status == 1 and f"lab 90 has an error in {experiment}, line 3: invalid syntax" in said
    experiment.write_text(good)
    folder.rename(tmp_path / "lab_17_mine")
    status, said = listed(tmp_path)
    assert status == 1 and "two labs have the number 17" in said and str(tmp_path / "lab_17_mine") in said


@pytest.mark.parametrize("place", ["mylabs", "/nowhere/labs"])
def test_a_folder_of_labs_that_is_none_is_said(tmp_path, place):
    status, said = listed(tmp_path, PYSTACK_LABS=place)
    assert status == 1 and f"the variable PYSTACK_LABS is '{place}', which is not the absolute path of a folder" in said
