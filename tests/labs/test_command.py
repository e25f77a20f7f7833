"""`pystack lab`: what a learner sees, the exit status, and the progress."""

import json
import os
import pty
import re
import shutil
import subprocess
import sys

import pytest
from click.testing import CliRunner

from pystack.cli.main import cli
from pystack.labs import folders, grading
from pystack.labs.course import measuring
from pystack.labs.progress import LabProgress, state_file
from pystack.labs.values import LabValue

SOLUTION = "def send_request(c, h, b):\n    yield c.sendall(h + b)\n"


@pytest.fixture(autouse=True)
def own_state(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)


def lab(*args, text=None):
    return CliRunner().invoke(cli, ["lab", *args], input=text, prog_name="pystack")


def states():
    return {row["lab"]: row["state"] for row in json.loads(lab("list", "--json").output)}


def test_a_learner_works_through_a_lab():
    assert states()[17] == "open"
    assert "## Story" in lab("show", "17").output
    ran = lab("run", "17", text="60\n20 ms\n\nlong\n10\n60\n\n")
    assert ran.exit_code == 0, ran.output
    assert "predicted  60 ms  (right)\n    measured   60 ms\n    formula    2 R + D = 60 ms" in ran.output
    assert "predicted  20 ms  (not so)\n    measured   10 ms\n    formula    R = 10 ms" in ran.output
    assert "?: " not in ran.output
    assert "predicted  -\n" in ran.output and "'long' is not a number: write for example 25" in ran.output
    assert "Control: The server acknowledges at once" in ran.output and "measured   20 ms" in ran.output
    assert "Every measured value is what its formula says." in ran.output and "Two rules meet" in ran.output
    assert states()[17] == "run"
    started = lab("start", "nagle", "mine")
    assert started.exit_code == 0 and "mine/lab_17_nagle.py is yours now" in started.output
    assert states()[17] == "started"
    wrong = lab("check", "17")
    assert wrong.exit_code == 1 and "lab 17: wrong\nAn exchange took 60 ms" in wrong.output
    for number in (1, 2, 3, 3):
        assert [line[:3] for line in lab("hint", "17").output.splitlines() if line[0] != " "] == [
            f"{n}/3" for n in range(1, number + 1)
        ]
    with open("mine/lab_17_nagle.py", "w") as file:
        file.write(SOLUTION)
    assert "stays as it is" in lab("start", "17", "mine").output
    right = lab("check")
    assert (right.exit_code, right.output) == (0, "lab 17: right\n")
    assert states() == {one.number: "solved" if one.number == 17 else "open" for one in folders.labs()}
    assert "yield client.sendall(header + body)" in lab("solution", "17").output
    assert lab("reset", "17").exit_code == 0 and states()[17] == "open"
    with open("mine/lab_17_nagle.py") as file:
        assert file.read() == SOLUTION


def test_results_as_json():
    found = json.loads(lab("run", "12", "--json").output)
    assert found["lab"] == 12 and found["right"]
    assert found["values"][0]["measured"] == found["values"][0]["expected"] == [10, 20, 40, 80, 81, 82, 83]
    assert found["controls"][0]["measured"] == [10, 15, 23, 35]


def test_a_file_is_graded_by_its_name(tmp_path):
    (tmp_path / "anna_lab_17_nagle.py").write_text(SOLUTION + "print('\x1b[2J')\n")
    found = lab("check", "anna_lab_17_nagle.py", "--json")
    assert found.exit_code == 0
    (record,) = json.loads(found.output)
    assert (record["lab"], record["verdict"], record["output"]) == (17, "right", "\x1b[2J\n")
    assert "\\x1b[2J" in lab("check", "anna_lab_17_nagle.py").output


def test_a_result_that_is_not_the_formulas_is_status_1(monkeypatch):
    experiment = folders.lab_of("17").module("experiment")
    monkeypatch.setattr(experiment, "measure", lambda name: 7)
    done = lab("run", "17", "--no-predict")
    assert done.exit_code == 1 and "A measured value is not what its formula says." in done.output
    assert not json.loads(lab("run", "17", "--json").output)["right"]


def test_a_learner_goes_back_to_a_question():
    """The second prediction is changed, and the first one is kept by an empty answer. Before the first question there is none."""
    ran = lab("run", "17", text="<\n60\n30\nback\n<\n\n10\n60\n\n\n\n")
    assert ran.exit_code == 0, ran.output
    assert "An empty answer skips a question, and < goes back to the one before.\n" in ran.output
    assert ran.output.count("This is the first question.\n") == 1
    assert "  (so far: 60 ms)" in ran.output and "  (so far: 30 ms)" in ran.output
    assert "predicted  60 ms  (right)\n    measured   60 ms" in ran.output
    assert "predicted  10 ms  (right)\n    measured   10 ms" in ran.output


def test_a_learner_reads_what_a_prediction_needs_before_the_first_question():
    """Some labs give a number in the question, and others where they say what to predict."""
    ran = lab("run", "16", text="\n" * 20)
    before = " ".join(ran.output.partition("How many errors come back?")[0].split())
    assert "The sender forbids fragmentation, as TCP does." in before
    assert "Its first timeout is after 230 ms" in before


@pytest.mark.once
def test_check_all_checks_the_labs_themselves(monkeypatch):
    some = tuple(one for one in folders.labs() if one.number in (12, 17))  # test_labs.py checks each lab
    monkeypatch.setattr(folders, "labs", lambda: some)
    done = lab("check", "all")
    assert done.exit_code == 0
    seconds = r", \d+\.\d s \(\d+\.\d s\)"
    assert re.fullmatch("".join(f"lab {one.number}: right{seconds}\n" for one in some), done.output)
    assert re.fullmatch(f"lab 17: right{seconds}\n", lab("check", "17", "--lab").output)
    experiment = folders.lab_of("17").module("experiment")
    monkeypatch.setattr(experiment, "control", lambda name: 7_000_000)
    done = lab("check", "all", "--jobs", "1", "--json")
    wrong = {record["lab"]: record["text"] for record in json.loads(done.output) if record["verdict"] != "right"}
    assert done.exit_code == 1
    assert wrong == {17: "control 'The server acknowledges at once (no delayed ACK)': 7 ms"}


@pytest.mark.once
def test_a_lab_that_raises_or_hangs_is_a_fault_of_it_alone(tmp_path):
    # In a process of its own, a lab of PYSTACK_LABS: its experiment raises, and then its module ends the process.
    shutil.copytree(folders.lab_of("17").path, tmp_path / "lab_90_broken")
    experiment = tmp_path / "lab_90_broken" / "experiment.py"
    text = experiment.read_text()
    env = {**os.environ, "PYSTACK_LABS": str(tmp_path)}
    code = "from pystack.labs.checking import check_all; from pystack.labs.folders import lab_of; print(list(check_all([lab_of('90')] * 2, 2)))"
    for line, says in (
        ("measure = None", "TypeError: 'NoneType' object"),
        ("import os; os._exit(7)", "the check ended with status 7"),
    ):
        experiment.write_text(text + line + "\n")
        done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
        assert done.stdout.count(f'faults=["{says}' if "'" in says else f"faults=['{says}") == 2, done.stdout


def test_a_terminal_shows_what_is_measured():
    """The line is for a terminal only, and it is gone when the results come."""
    terminal, side = pty.openpty()
    command = [sys.executable, "-m", "pystack.cli", "lab", "run", "17", "--no-predict"]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=side, text=True, check=True, timeout=60)
    os.close(side)
    said = os.read(terminal, 65536).decode()
    os.close(terminal)
    values = folders.lab_of("17").values()
    assert f"\r\x1b[Kmeasuring 2 of {len(values) + 1}: {values[1].question[:40]}" in said
    assert said.endswith("\r\x1b[K") and "measuring" not in done.stdout
    again = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert again.stderr == "" and again.stdout == done.stdout


def test_a_check_of_a_lab_says_what_was_skipped(monkeypatch):
    assert "skipped" not in lab("check", "19", "--lab").output
    monkeypatch.setenv("PATH", "/nowhere")
    says = "2 values skipped: needs traceroute, which the Debian package traceroute has; needs ping, which the Debian package iputils-ping has"
    assert lab("check", "3", "--lab").output.startswith(f"lab 3: right ({says}), ")
    (record,) = json.loads(lab("check", "3", "--lab", "--json", "--junit", "j.xml").output)
    assert (record["verdict"], record["skipped"]) == ("right", says)
    with open("j.xml") as file:
        assert says in file.read()


def test_the_list_has_time_and_needs(monkeypatch):
    rows = {row["lab"]: row for row in json.loads(lab("list", "--json").output)}
    assert (rows[17]["minutes"], rows[17]["needs"], rows[17]["lacks"]) == (20, [], [])
    assert rows[39]["needs"] == ["gcc", "prlimit", "setpriv", "ss", "a kernel host"] and rows[39]["minutes"] > 60
    assert rows[37]["needs"] == ["curl", "ping", "a kernel host"] and rows[5]["needs"] == ["cypcap", "tcpdump"]
    assert all(row["minutes"] in range(10, 125, 5) for row in rows.values())
    monkeypatch.setenv("PATH", "/nowhere")
    lines = lab("list").output.splitlines()
    place = next(n for n, line in enumerate(lines) if line.startswith(" 19  "))
    assert lines[place].split()[1:4] == ["open", "25", "min"] and lines[place].endswith("(with openssl)")
    assert lines[place + 1].strip() == "needs openssl, which the Debian package openssl has"


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["run", "99"], "there is no lab '99'"),
        (["check", "17"], "call `pystack lab start 17`"),
        (["check"], "no exercise is started"),
        (["check", "mine.py"], "does not say to which lab it belongs"),
        (["check", "lab_17_nagle.py"], "No such file"),
    ],
)
def test_wrong_usage_is_one_line(args, says):
    done = lab(*args)
    assert done.exit_code == 1 and says in done.output and len(done.output.splitlines()) == 1


def test_the_progress_is_below_the_state_directory(tmp_path, monkeypatch):
    assert state_file() == tmp_path / "state" / "pystack" / "labs.json"
    lab("hint", "17")
    assert json.loads(state_file().read_text()) == {"17": {"hints": 1}}
    assert [path.name for path in state_file().parent.iterdir()] == ["labs.json"]
    assert LabProgress().hints(folders.lab_of("17")) == 1
    assert lab("reset").exit_code == 0 and json.loads(state_file().read_text()) == {}
    state_file().write_text("[1]")
    done = lab("list")
    assert done.exit_code == 1 and "is damaged: remove it" in done.output
    monkeypatch.setenv("XDG_STATE_HOME", "relative")  # the specification: such a path is ignored
    monkeypatch.setenv("HOME", str(tmp_path))
    assert state_file() == tmp_path / ".local" / "state" / "pystack" / "labs.json"


def test_another_terminal_may_change_the_progress_meanwhile(monkeypatch):
    """A run waits for predictions, and a check for the grader, while the learner goes on elsewhere."""
    measure, grade = measuring.measured, grading.grade

    def elsewhere(number):
        progress = LabProgress()
        progress.of(folders.lab_of(number))["solved"] = True
        progress.save()

    monkeypatch.setattr(measuring, "measured", lambda *given: elsewhere("9") or measure(*given))
    assert lab("run", "17", "--no-predict").exit_code == 0
    assert LabProgress().labs == {"9": {"solved": True}, "17": {"run": True}}
    monkeypatch.setattr(grading, "grade", lambda one, path: elsewhere("3") or grade(one, path))
    with open("lab_17_nagle.py", "w") as file:
        file.write(SOLUTION)
    assert lab("check", "lab_17_nagle.py").exit_code == 0
    solved = {"solved": True}
    assert LabProgress().labs == {"9": solved, "17": {"run": True, **solved}, "3": solved}


def test_what_others_save_at_the_same_time_is_kept():
    """Each of them has read the file before the others write it."""
    one, two, three, labs = LabProgress(), LabProgress(), LabProgress(), folders.labs()
    one.of(labs[0]).update(run=True, hints=1)
    one.save()
    two.of(labs[0])["solved"] = True
    two.of(labs[1])["run"] = True
    two.save()
    assert LabProgress().labs == {"1": {"run": True, "hints": 1, "solved": True}, "2": {"run": True}}
    three.forget(labs[1])  # it knows of none
    one.forget(labs[0])  # and what two has added to this lab stays
    three.save()
    one.save()
    assert LabProgress().labs == one.labs == {"1": {"solved": True}, "2": {"run": True}}
    one.labs.clear()
    one.save()
    assert LabProgress().labs == {}


def test_many_processes_save_at_the_same_time():
    code = (
        "import sys, types; from pystack.labs.progress import LabProgress\n"
        "for number in range(40):\n"
        "    progress = LabProgress()\n"
        "    progress.of(types.SimpleNamespace(number=f'{sys.argv[1]}.{number}'))['run'] = True\n"
        "    progress.save()\n"
    )
    running = [subprocess.Popen([sys.executable, "-c", code, str(number)]) for number in range(4)]
    assert [process.wait(60) for process in running] == [0] * 4
    assert len(LabProgress().labs) == 4 * 40


@pytest.mark.parametrize("why", ["no fcntl", "no lock", "held"])
def test_without_the_lock_it_is_saved_too(monkeypatch, why):
    """Windows has no such lock, some file systems have none, and a process that holds it may have been stopped."""
    fcntl = pytest.importorskip("fcntl")
    state_file().parent.mkdir(parents=True)
    held = os.open(state_file().parent, os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    if why == "no fcntl":
        monkeypatch.setitem(sys.modules, "fcntl", None)
    elif why == "no lock":
        monkeypatch.setattr(fcntl, "flock", lambda fd, how: (_ for _ in ()).throw(OSError(95, "not supported")))
    monkeypatch.setattr("pystack.labs.progress.LOCK", 0.05)
    progress = LabProgress()
    progress.of(folders.lab_of("17"))["run"] = True
    progress.save()
    os.close(held)
    assert LabProgress().labs == {"17": {"run": True}}


def test_a_result_is_there_also_if_the_progress_cannot_be_saved(monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", "/proc/none")
    with open("lab_17_nagle.py", "w") as file:
        file.write(SOLUTION)
    unsaved = "your progress is not saved: /proc/none/pystack/labs.json: No such file or directory\n"
    done = lab("check", "lab_17_nagle.py")
    assert (done.exit_code, done.stdout, done.stderr) == (0, "lab 17: right\n", unsaved)
    assert lab("run", "17", "--no-predict").exit_code == 0
    done = lab("hint", "17")
    assert done.exit_code == 0 and done.stdout.startswith("1/3") and done.stderr == unsaved


def test_a_file_that_is_gone_does_not_keep_others_from_their_grades():
    for number in ("9", "17", "18"):
        lab("start", number)
    with open("lab_17_nagle.py", "w") as file:
        file.write(SOLUTION)
    os.remove("lab_09_segment.py")
    found = lab("check", "--json", "--junit", "grades.xml")
    rows = json.loads(found.output)
    assert found.exit_code == 1
    assert [(row["lab"], row["verdict"]) for row in rows] == [(9, "unreadable"), (17, "right"), (18, "wrong")]
    assert rows[0]["text"].endswith("lab_09_segment.py: No such file or directory")
    assert os.path.exists("grades.xml") and states()[17] == "solved"


def test_a_lab_that_is_started_anew_elsewhere_names_the_first_file():
    lab("start", "17", "one")
    again = lab("start", "17", "two")
    assert re.search(r"one/lab_17_nagle.py was your file until now. It stays as it is", again.output)
    assert "until now" not in lab("start", "17", "two").output
    os.remove("two/lab_17_nagle.py")
    assert "until now" not in lab("start", "17", "one").output


def test_a_value_that_needs_not_be_exact_says_how_far_it_may_be():
    """Otherwise 281.6 ms and 282.4 ms look like a mistake, and the line below says that they are the same."""
    ran = lab("run", "35", "--no-predict").output
    assert "formula    R + 100 F / rate + s = 282.4096 ms (within 2.4224 ms)\n" in ran
    assert "formula    none = 0 segments\n" in ran


def test_a_list_without_numbers_is_none():
    value = LabValue("x", "Which drops?", "none", [])
    assert value.text([]) == "none" and value.text([1_000_000]) == "1 ms"
