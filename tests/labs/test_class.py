"""What a lecturer uses: a folder of submissions becomes a CSV, hostile ones are stopped, and results are exported."""

import csv
import json
import os
import signal
import subprocess
import sys
import threading
import time
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from click.testing import CliRunner

from pystack.cli.main import cli
from pystack.labs import classroom, watching
from pystack.labs.folders import LabError, lab_of
from pystack.labs.grading import GradeLimits
from pystack.trace.pcapng import PcapngReader

ROOT = Path(__file__).resolve().parents[2]
SOLUTION = "def send_request(c, h, b):\n    yield c.sendall(h + b)\n"
WRONG = "def send_request(c, h, b):\n    yield c.sendall(h)\n    yield c.sendall(b)\n"


@pytest.fixture(autouse=True)
def own_state(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)


def lab(*args):
    return CliRunner().invoke(cli, ["lab", *args], prog_name="pystack")


def write(folder, files):
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def test_a_folder_becomes_a_csv_and_hostile_files_are_stopped(tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("secret")
    place = tmp_path / "class"
    write(
        place,
        {
            "anna/lab_17_nagle.py": SOLUTION,
            "bert_lab_17_nagle.py": WRONG,
            "cleo/lab_17_nagle.py": "while True:\n    pass\n",
            "dora/lab_17_nagle.py": "x = bytes(1 << 40)\n",
            "emil/lab_17_nagle.py": f"print(open({str(secret)!r}).read())\n",
            "fred/lab_17_nagle.py": "import socket\nsocket.create_connection(('127.0.0.1', 9))\n",
            "=cmd()/lab_17_nagle.py": SOLUTION,
            "gina/mine.py": SOLUTION,
            "ida/lab_17_nagle.py": "raise ValueError('\\ud800 half')\n",
            ".hidden/lab_17_nagle.py": SOLUTION,
        },
    )
    (place / "hans_lab_17_nagle.py").symlink_to(secret)
    done = lab("grade", str(place), "--cpu", "2", "--memory", "64", "--jobs", "2", "--out", "grades.csv")
    assert done.exit_code == 1  # two files have no grade
    assert "anna/lab_17_nagle.py: right" in done.output
    rows = list(csv.DictReader(Path("grades.csv").read_text().splitlines()))
    found = {row["learner"]: (row["verdict"], row["text"]) for row in rows}
    assert list(found) == ["'=cmd()", "anna", "bert", "cleo", "dora", "emil", "fred", "gina", "hans", "ida"]
    assert found["'=cmd()"] == found["anna"] == ("right", "")
    assert found["bert"][0] == "wrong" and found["bert"][1].startswith("An exchange took 60 ms")
    assert found["cleo"] == (
        "stopped",
        "The grader stopped your file after 2 seconds of processor time. Is there an endless loop?",
    )
    assert found["dora"] == ("stopped", "The grader stopped your file because it needs too much memory.")
    assert found["emil"][0] == "refused" and "tried to open" in found["emil"][1]
    assert found["fred"][0] == "refused" and "tried to use a socket of this machine" in found["fred"][1]
    assert found["gina"][0] == "unreadable" and "does not say to which lab" in found["gina"][1]
    assert found["ida"] == ("error", r"Your file raised ValueError in line 1: \ud800 half")
    assert found["hans"] == ("unreadable", "It is a symbolic link, which the grader does not follow.")
    assert {row["lab"] for row in rows} == {"17", ""} and all(float(row["seconds"]) >= 0 for row in rows)


@pytest.mark.parametrize("out", [(), ("--out", "grades.csv")])
def test_a_name_that_is_no_utf8_does_not_end_the_grading(tmp_path, out):
    """Archives of other systems have such names. The grades after it were lost."""
    place = tmp_path / "class"
    place.mkdir()
    for name in (b"zo\xeb_lab_17_nagle.py", "zoë_lab_17_nagle.py".encode()):
        with open(os.path.join(os.fsencode(place), name), "w") as file:
            file.write(SOLUTION)
    done = lab("grade", str(place), *out)
    assert done.exit_code == 0, done.output
    rows = list(csv.DictReader((Path("grades.csv").read_text() if out else done.output).splitlines()))
    assert [(row["learner"], row["verdict"]) for row in rows] == [("zoë", "right"), (r"zo\xeb", "right")]
    assert rows[1]["file"] == r"zo\xeb_lab_17_nagle.py"


def test_a_submission_that_cannot_be_graded_is_in_the_csv(tmp_path):
    """A lecturer sees each file of a learner, whatever its ending is, and no path of the own machine."""
    place = tmp_path / "class"
    files = {
        "anna/Lab_17_Nagle.py": SOLUTION,  # from a system that does not keep capital letters apart
        "bert/lab_17_nagle.txt": SOLUTION,
        "cleo/lab_17_nagle.ipynb": "{}",
        "dora/notes.txt": "no exercise",
        "emil/lab_17_nagle.svg": "a plot",
    }
    write(place, files)
    (place / "fred").mkdir()
    (place / "fred" / "lab_17_nagle.py").write_bytes(b"# gr\xfc\xdfe\n" + SOLUTION.encode())
    (place / "gina").symlink_to("anna")
    done = lab("grade", str(place), "--out", "grades.csv")
    assert done.exit_code == 1
    rows = list(csv.DictReader(Path("grades.csv").read_text().splitlines()))
    assert [(row["learner"], row["verdict"], row["text"]) for row in rows] == [
        ("anna", "right", ""),
        ("bert", "unreadable", "lab_17_nagle.txt is no exercise of lab 17, whose files end with .py"),
        ("cleo", "unreadable", "lab_17_nagle.ipynb is no exercise of lab 17, whose files end with .py"),
        ("fred", "unreadable", "lab_17_nagle.py is not a text in UTF-8: save it again with this encoding"),
        ("gina", "unreadable", "It is a symbolic link, which the grader does not follow."),
    ]


def test_the_csv_is_printed_and_status_0_says_that_each_file_has_a_grade(tmp_path):
    write(tmp_path, {"class/anna/lab_17_nagle.py": WRONG})
    done = lab("grade", "class")
    assert done.exit_code == 0
    assert done.output.splitlines()[0] == "learner,lab,file,verdict,text,seconds"
    assert done.output.splitlines()[1].startswith('anna,17,anna/lab_17_nagle.py,wrong,"An exchange took 60 ms')


@pytest.mark.parametrize("bom", [True, False])
def test_the_csv_begins_with_a_byte_order_mark_if_it_is_asked_for(tmp_path, bom):
    write(tmp_path, {"class/zoë/lab_17_nagle.py": "x = ("})
    option = ["--bom"] if bom else []
    assert lab("grade", "class", "--out", "grades.csv", *option).exit_code == 0
    text, mark = Path("grades.csv").read_bytes(), b"\xef\xbb\xbf"
    assert text.startswith((mark if bom else b"") + b"learner,lab,")
    assert text.count(mark) == bom and "zoë".encode() in text
    if bom:
        done = lab("grade", "class", *option)
        assert done.exit_code == 2 and "--bom is for a file: name it with --out" in done.output


def test_folders_that_cannot_be_graded(tmp_path, monkeypatch):
    (tmp_path / "class").mkdir()
    assert "has no exercises" in lab("grade", "class").output
    write(tmp_path, {f"class/{name}/lab_17_nagle.py": SOLUTION for name in "abc"})
    monkeypatch.setattr(classroom, "MOST", 2)
    assert "has more than 2 exercises" in lab("grade", "class").output


def test_whoever_ends_the_grading_ends_its_processes(tmp_path):
    write(tmp_path, {f"{name}/lab_17_nagle.py": "import time\ntime.sleep(1000)\n" for name in "abcd"})
    grades = classroom.grade_all(classroom.submissions(tmp_path), GradeLimits(wall=100), 2)
    timer = threading.Timer(2, lambda: os.kill(os.getpid(), signal.SIGINT))
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        timer.start()
        next(grades)
    grades.close()
    assert time.monotonic() - began < 60  # and not 100
    timer.join()
    assert not subprocess.run(["pgrep", "-f", str(tmp_path)], capture_output=True, text=True).stdout


def test_results_as_junit(tmp_path):
    write(tmp_path, {"lab_17_nagle.py": SOLUTION + "print('\\x1b[2J')\n"})
    assert lab("check", "lab_17_nagle.py", "--junit", "right.xml").exit_code == 0
    suite = ET.parse("right.xml").getroot()[0]
    assert (suite.get("tests"), suite.get("failures")) == ("1", "0")
    assert suite[0].get("name") == "lab 17" and suite[0].find("system-out").text == "?[2J\n"
    write(tmp_path, {"lab_17_nagle.py": WRONG})
    assert lab("check", "lab_17_nagle.py", "--junit", "wrong.xml").exit_code == 1
    suite = ET.parse("wrong.xml").getroot()[0]
    failure = suite[0].find("failure")
    assert (suite.get("failures"), failure.get("type")) == ("1", "wrong")
    assert failure.get("message").startswith("An exchange took 60 ms")


def test_progress_is_exported_without_paths(tmp_path):
    lab("start", "17")
    lab("hint", "17")
    assert lab("export", "mine.json", "--learner", "Anna").output == "mine.json has your progress\n"
    found = json.loads(Path("mine.json").read_text())
    (nagle,) = (one for one in found["labs"] if one["lab"] == 17)
    assert found["learner"] == "Anna"
    assert nagle.items() >= {"started": True, "run": False, "solved": False, "hints": 1}.items()
    assert str(tmp_path) not in Path("mine.json").read_text()
    assert json.loads(lab("export").output)["labs"] == found["labs"]


def test_watch_grades_at_each_save_and_ends_with_ctrl_c(tmp_path):
    path = tmp_path / "lab_17_nagle.py"
    path.write_text(WRONG)
    env = {**os.environ, "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-m", "pystack.cli", "lab", "watch", str(path)]
    process = subprocess.Popen(command, env=env, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    watchdog = threading.Timer(200, process.kill)
    watchdog.start()
    try:
        lines = iter(process.stdout.readline, "")

        def until(text):
            return next((line for line in lines if text in line), None)

        assert until("An exchange took 60 ms") and until("Waiting until you save")
        new = tmp_path / "new"
        new.write_text(SOLUTION)
        os.replace(new, path)  # as an editor does
        assert until("lab 17: right") and until("Waiting until you save")
        path.write_text(SOLUTION + "    1 / 0\n")
        assert until("ZeroDivisionError") and until("Waiting until you save")
        path.write_bytes("caf\xe9 = 1\n".encode("latin-1"))
        assert (
            until("lab 17: unreadable") and until("UTF-8") and until("Waiting until you save")
        )  # (a long path breaks lines)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
    finally:
        watchdog.cancel()
        process.kill()
        process.wait()
        process.stdout.close()
    states = {row["lab"]: row["state"] for row in json.loads(lab("list", "--json").output)}
    assert states[17] == "solved"


def test_watch_remembers_what_is_right_when_it_begins(tmp_path, monkeypatch):
    path = tmp_path / "lab_17_nagle.py"
    path.write_text(SOLUTION)
    monkeypatch.setattr(watching, "saves", lambda paths: iter([None]))
    assert "lab 17: right" in lab("watch", str(path)).output
    states = {row["lab"]: row["state"] for row in json.loads(lab("list", "--json").output)}
    assert states[17] == "solved"


def test_watch_says_what_is_missing(tmp_path, monkeypatch):
    path = tmp_path / "none" / "lab_17_nagle.py"
    with pytest.raises(LabError, match="does not exist any more"):
        next(watching.saves([path]))
    monkeypatch.setitem(sys.modules, "watchfiles", None)
    with pytest.raises(LabError, match="pip install 'pystack\\[watch\\]'"):
        next(watching.saves([path]))


def capture_of(path):
    with open(path, "rb") as file:
        reader = PcapngReader(file)
        return list(reader), reader.names


def test_a_capture_is_written():
    done = lab("run", "27", "--json", "--write", "udp.pcapng")
    assert done.exit_code == 0 and "udp.pcapng: open it in Wireshark" in done.stderr and json.loads(done.stdout)
    frames, names = capture_of("udp.pcapng")
    assert len(frames) > 20 and names == {"10.0.0.1": "a", "10.0.0.2": "b"}


@pytest.mark.parametrize("number", ["28", "29", "31", "32"])
def test_captures_have_names_and_reasons(number, tmp_path):
    lab_of(number).write(tmp_path / "x.pcapng")
    frames, names = capture_of(tmp_path / "x.pcapng")
    assert {frame.interface.name for frame in frames} in ({"a:eth0"}, {"client:eth0"})
    assert names["10.0.1.1" if number == "32" else "10.0.0.1"] == frames[0].interface.name.split(":")[0]
    assert all(frame.comments for frame in frames)


def test_a_lab_without_a_capture_of_its_own_writes_that_of_a_run():
    assert lab("run", "17", "--no-predict", "--write", "one.pcapng").exit_code == 0
    assert lab("run", "17", "--no-predict", "--write", "two.pcapng", "--look", "2").exit_code == 0
    (one, names), (two, _) = capture_of("one.pcapng"), capture_of("two.pcapng")
    assert names == {"10.0.0.1": "a", "10.0.0.2": "b"}
    found = [
        any("delayed-ACK timer" in comment for frame in frames for comment in frame.comments) for frames in (one, two)
    ]
    assert found == [True, False]
    done = lab("run", "37", "--write", "no.pcapng")
    assert done.exit_code == 1 and "lab 37 writes no capture: its client is the kernel" in done.output
    done = lab("run", "17", "--no-predict", "--write", "nowhere/x.pcapng")
    assert done.exit_code == 1 and "nowhere/x.pcapng" in done.output and "Traceback" not in done.output
