"""The service of the course: what its page asks for."""

import ast
import base64
import gzip
import io
import json
import re
import threading
import time
from pathlib import Path
from xml.etree import ElementTree

import pytest

import pystack
from pystack.labs.course.files import LearnerFiles, version
from pystack.labs.course.host import grade_text, measure_apart, record_apart, write_apart
from pystack.labs.course.measuring import measured, written
from pystack.labs.course.service import CourseService, recorded, stepper
from pystack.labs.folders import LONGEST, LabError, lab_of, labs
from pystack.labs.looks import LabLook
from pystack.labs.progress import LabProgress
from pystack.trace.pcapng import PcapngReader

pytest.importorskip("markdown_it")
pytest.importorskip("construct")
SOLUTION = "def send_request(c, h, b):\n    yield c.sendall(h + b)\n"
ROOT = Path(pystack.__file__).parent


@pytest.fixture
def service():
    return CourseService(grade_text)


def plain(value):
    """As JSON has it, which every answer must be."""
    return json.loads(json.dumps(value))


def test_the_index_has_each_lab_with_its_state(service):
    found = plain(service.index())
    assert [lab["number"] for lab in found["labs"]] == [lab.number for lab in labs()]
    by_number = {lab["number"]: lab for lab in found["labs"]}
    assert by_number[17] == {
        "number": 17, "name": "nagle", "title": "Nagle's algorithm against delayed acknowledgements", "state": "open",
        "lectures": "37, 38", "suffix": ".py", "minutes": 20, "host": False, "lacks": [],
    }  # fmt: skip
    assert by_number[39]["host"] and by_number[39]["suffix"] == ".c" and by_number[37]["host"]
    assert not by_number[26]["host"]  # it needs Python modules alone
    rows = {row["topic"]: row for row in found["rows"]}
    assert rows["Nagle's algorithm"] == {
        "lectures": "37", "topic": "Nagle's algorithm", "labs": [17], "scenarios": ["nagle"],
    }  # fmt: skip
    for state, entry in (("run", {"run": True}), ("started", {"file": "x.py"}), ("solved", {"solved": True})):
        progress = LabProgress()
        progress.of(lab_of("17")).update(entry)
        progress.save()
        assert {lab["number"]: lab["state"] for lab in service.index()["labs"]}[17] == state


@pytest.mark.parametrize("lab", labs(), ids=lambda lab: lab.path.name)
def test_each_lab_has_a_page(service, lab):
    page = plain(service.page(lab.number))
    assert page["title"] == lab.title and page["answer"] is None and page["version"] == "" and page["hints"] == 3
    assert page["starter"] == lab.starter.read_text() and page["file"] == lab.exercise
    for part in ("before", "explanation", "exercise", "further"):
        assert page[part].startswith("<") and "<h1>" not in page[part] and "```" not in page[part]
    assert "<h2>Question</h2>" in page["before"] and "<h2>Explanation</h2>" not in page["before"]
    assert ElementTree.fromstring(page["network"]).tag.endswith("svg") and page["network_text"]
    assert [value["name"] for value in page["values"]] == [value.name for value in lab.values()]
    place = labs().index(lab) + 1
    assert page["next"] == ({"number": labs()[place].number, "title": labs()[place].title} if labs()[place:] else None)


def test_a_run_compares_predictions_with_measurements(service):
    steps = []
    found = plain(service.run(17, {"twice": "60 ms", "nodelay": "20", "once": " "}, lambda *step: steps.append(step)))
    rows = {row["name"]: row for row in found["rows"]}
    assert rows["twice"] == {
        "name": "twice", "question": "Two writes, Nagle on: how long is each exchange?", "unit": "ms", "predicted": "60 ms",
        "predicted_right": True, "measured": "60 ms", "formula": "2 R + D", "expected": "60 ms", "right": True, "skipped": "",
    }  # fmt: skip
    assert rows["nodelay"]["predicted"] == "20 ms" and rows["nodelay"]["predicted_right"] is False
    assert rows["once"]["predicted"] == "" and rows["once"]["predicted_right"] is None
    assert found["right"] and "Two rules meet" in found["explanation"]
    (control,) = found["controls"]
    assert control["change"].startswith("The server acknowledges at once") and control["row"]["measured"] == "20 ms"
    assert [step[:2] for step in steps] == [(number, 7) for number in range(8)]
    assert steps[0][2] == "Two writes, Nagle on: how long is each exchange?"
    assert service.page(17)["state"] == "run"


def test_a_wrong_measurement_is_wrong(service):
    service.measure = lambda lab, progress, stop: [[1, ""]] * 7
    found = service.run(17, {})
    assert not found["right"] and not found["rows"][0]["right"] and found["rows"][0]["measured"] == "1e-06 ms"


def test_what_cannot_be_measured_is_skipped(service):
    service.measure = lambda lab, progress, stop: [[None, "needs x"]] * 7
    row = service.run(17, {"twice": "60"})["rows"][0]
    assert row["measured"] == "" and row["skipped"] == "needs x" and row["right"] and row["predicted_right"]


def test_predictions_that_cannot_be_read(service):
    service.measure = lambda *arguments: pytest.fail("nothing is measured")
    found = service.run(17, {"twice": "long", "once": "10", "cork": "1,2"})
    assert found == {
        "errors": {
            "twice": "'long' is not a number: write for example 25",
            "cork": "write one number, for example 25",
        }
    }
    with pytest.raises(ValueError, match="no value 'x'"):
        service.run(17, {"x": "1"})
    with pytest.raises(ValueError, match="no value"):
        service.run(17, {"twice": 60})
    assert service.page(17)["state"] == "open"


def test_another_process_measures_the_same():
    lab = lab_of("9")
    steps, apart = [], []
    assert measure_apart(lab, lambda *step: apart.append(step)) == measured(lab, lambda *step: steps.append(step))
    assert apart == steps and len(steps) == 12


def test_a_run_is_stopped(monkeypatch, tmp_path):
    """The experiment of this lab never ends; its process is gone when the run is stopped."""
    folder = tmp_path / "lab_98_endless"
    folder.mkdir()
    (folder / "page.md").write_text("# Lab 98: endless\n")
    pid = tmp_path / "pid"
    (folder / "experiment.py").write_text(
        f"import os, time\nfrom pystack.labs.values import LabValue\nVALUES = [LabValue('a', 'A?', '1', 1)]\nCONTROLS = []\n"
        f"def measure(name):\n    open({str(pid)!r}, 'w').write(str(os.getpid()))\n    while True:\n        time.sleep(1)\n"
    )
    monkeypatch.setenv("PYSTACK_LABS", str(tmp_path))
    lab = type(lab_of("17"))(98, "endless", folder)
    stop, raised = threading.Event(), []

    def run():
        with pytest.raises(LabError, match="the run was stopped") as error:
            measure_apart(lab, None, stop)
        raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    deadline = time.monotonic() + 60
    while not (pid.exists() and pid.read_text()) and time.monotonic() < deadline:
        time.sleep(0.05)
    process = int(pid.read_text())
    assert Path(f"/proc/{process}").exists()  # control
    stop.set()
    thread.join(20)
    assert raised and not Path(f"/proc/{process}").exists()


def test_a_process_that_fails_says_why(monkeypatch):
    lab = type(lab_of("17"))(97, "missing", Path("/nowhere"))
    with pytest.raises(LabError, match="the experiment failed: .*there is no lab '97'"):
        measure_apart(lab)


def begin_of(text):
    """The event at which an exported page begins, and its other data."""
    data = re.search(r'<script id="data" type="application/octet-stream">([^<]*)</script>', text)[1]
    overview = json.loads(gzip.decompress(base64.b64decode(data)))["overview"]
    return overview["begin"], overview


@pytest.mark.parametrize("record", [recorded, record_apart])
def test_the_stepper_begins_at_the_key_moment(record):
    service = CourseService(grade_text, record=record)
    sights = service.page(17)["scenarios"]
    looks = lab_of("17").looks()
    assert [(one["name"], one["title"], one["own"]) for one in sights[: len(looks)]] == [
        (f"17.{number}", look.title, True) for number, look in enumerate(looks, 1)
    ]
    assert {"name": "nagle", "title": "Write, write, read: 40 ms", "own": False, "lacks": ""} in sights
    for name, look in (("17.1", looks[0]), ("17.2", looks[1]), ("nagle", LabLook("", "nagle"))):
        text = service.step(name)["html"]
        begin, overview = begin_of(text)
        timeline, cursor, _ = look.open()
        assert begin == cursor.position and overview["events"] == len(timeline.events) > 20
        assert 'data-layout="beginner"' in text and "Content-Security-Policy" in text
        assert service.step(name)["html"] is text  # kept


def test_a_long_run_is_cut_to_the_frames_around_its_key_moment():
    timeline, cursor, _ = LabLook("", "loss-fast-retransmit").open()
    whole = begin_of(stepper(timeline, LabLook("", "loss-fast-retransmit"), cursor.position))[1]
    assert not whole["part"] and len(timeline.frames) > 10
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pystack.labs.course.service.MOST_EVENTS", 10)
        patch.setattr("pystack.labs.course.service.AROUND", 3)
        begin, part = begin_of(stepper(timeline, LabLook("", "loss-fast-retransmit"), cursor.position))
    assert part["part"] and begin + part["firstEvent"] == cursor.position
    assert part["note"].startswith("frames ") and part["events"] < whole["events"]


def test_what_is_no_scenario(service):
    for name in ("nothing", "../x", "17.0", "17.9", "99.1", "17.1.1", "", None, 5):
        with pytest.raises(LabError):
            service.step(name)


@pytest.mark.parametrize("write", [written, write_apart])
def test_a_capture_for_wireshark(write):
    service = CourseService(grade_text, write=write)
    for number in (17, 27):
        found = plain(service.capture(number))
        reader = PcapngReader(io.BytesIO(base64.b64decode(found["data"])))
        assert found["name"] == lab_of(str(number)).path.name + ".pcapng"
        assert any("RFC" in comment for frame in reader for comment in frame.comments)
        assert reader.names == {"10.0.0.1": "a", "10.0.0.2": "b"} and service.page(number)["no_capture"] == ""
    with pytest.raises(LabError, match="lab 37 writes no capture: its client is the kernel"):
        service.capture(37)


def test_a_lab_without_looks_says_why(service):
    page = service.page(37)
    assert page["no_capture"] == page["no_scenarios"]
    assert not [one for one in page["scenarios"] if one["own"]] and page["no_scenarios"]
    assert service.plot(37) == {"svg": [], "titles": []}


def test_a_look_that_this_machine_cannot_run(service, monkeypatch):
    monkeypatch.setattr(LabLook, "missing", lambda self: "needs x")
    assert service.page(17)["scenarios"][0]["lacks"] == "needs x"
    with pytest.raises(LabError, match="this run needs x"):
        service.step("17.1")
    assert service.plot(17)["svg"] == []


def test_plots_of_a_lab(service):
    pytest.importorskip("matplotlib")
    found = plain(service.plot(17))
    one, other = lab_of("17").looks()
    assert found["titles"] == [f"{one.title} (ladder)", f"{one.title} (waterfall)", f"{other.title} (ladder)"]
    assert [ElementTree.fromstring(svg).tag.endswith("svg") for svg in found["svg"]] == [True] * 3
    assert found["svg"][0] == one.svg()


def test_plots_need_matplotlib(service, monkeypatch):
    monkeypatch.setattr("pystack.labs.course.service.find_spec", lambda name: None)
    assert service.plot(17) == {"svg": [], "titles": []}


def test_a_file_is_graded(service):
    wrong = plain(service.check(17, lab_of("17").starter.read_text()))
    assert wrong["verdict"] == "wrong" and wrong["text"].startswith("An exchange took 60 ms") and wrong["output"] == ""
    assert service.page(17)["state"] == "open"
    right = service.check(17, SOLUTION + "print('hello')\n")
    assert right == {"verdict": "right", "text": "", "output": "hello\n"}
    assert service.page(17)["state"] == "solved"
    assert service.check(17, "open('/etc/passwd')")["verdict"] == "refused"
    for text in (None, 5, "x" * (LONGEST + 1), "\ud800"):
        with pytest.raises(ValueError):
            service.check(17, text)
    with pytest.raises(LabError, match="there is no lab '99'"):
        service.check(99, "")


def test_a_check_is_stopped(service):
    stop = threading.Event()
    threading.Timer(1, stop.set).start()
    with pytest.raises(LabError, match="grading was stopped"):
        service.check(17, "import time\ntime.sleep(1000)\n", stop)


def test_a_text_is_saved_beside_the_progress(service, tmp_path):
    found = plain(service.save(17, "one", ""))
    path = tmp_path / "state" / "pystack" / "exercises" / "lab_17_nagle.py"
    assert found == {"version": version("one"), "file": str(path)} and path.read_text() == "one"
    page = service.page(17)
    assert (page["answer"], page["version"], page["state"]) == ("one", version("one"), "started")
    assert LabProgress().file(lab_of("17")) == path  # `pystack lab check 17` grades the same file


def test_a_text_is_saved_where_lab_start_has_put_it(service, tmp_path):
    path = tmp_path / "mine" / "lab_17_nagle.py"
    path.parent.mkdir()
    path.write_text("mine")
    path.chmod(0o640)
    link = tmp_path / "link.py"
    link.symlink_to(path)
    progress = LabProgress()
    progress.of(lab_of("17"))["file"] = str(link)
    progress.save()
    assert service.page(17)["answer"] == "mine"
    service.save(17, "changed", version("mine"))
    assert path.read_text() == "changed" and link.is_symlink() and path.stat().st_mode & 0o777 == 0o640
    assert list(path.parent.iterdir()) == [path]
    # its folder is gone: the text is beside the progress from then on
    path.unlink()
    path.parent.rmdir()
    link.unlink()
    progress.of(lab_of("17"))["file"] = str(path)
    progress.save()
    assert service.page(17)["answer"] is None
    assert "exercises" in service.save(17, "again", "")["file"]


def test_two_pages_do_not_overwrite_each_other(service):
    first = service.save(17, "one", "")["version"]
    assert service.save(17, "two", first)["version"] == version("two")
    # the other page still has the first version
    assert service.save(17, "three", first) == {"conflict": "two", "version": version("two")}
    assert service.page(17)["answer"] == "two"
    assert service.save(17, "three", version("two"))["version"] == version("three")
    # the same text is no conflict, and without a base there is none either
    assert "conflict" not in service.save(17, "three", "nothing")
    assert "conflict" not in service.save(17, "four")


def test_a_file_that_cannot_be_used(service, tmp_path):
    files = LearnerFiles(tmp_path / "x")
    service.files = files
    (tmp_path / "x" / "lab_17_nagle.py").mkdir(parents=True)
    with pytest.raises(LabError, match="is not a regular file"):
        service.page(17)
    (tmp_path / "x" / "lab_17_nagle.py").rmdir()
    for content, words in ((b"\xff", "not a text in UTF-8"), (b"x" * (LONGEST + 1), "too long")):
        (tmp_path / "x" / "lab_17_nagle.py").write_bytes(content)
        with pytest.raises(LabError, match=words):
            service.page(17)
    service.files = LearnerFiles(Path("/dev/null/x"))
    with pytest.raises(LabError, match="/dev/null/x"):
        service.save(17, "text")


def test_hints_come_one_by_one(service):
    hints = lab_of("17").hints()
    assert plain(service.hint(17, 1)) == {"text": hints[0], "of": 3}
    assert service.page(17)["hints_seen"] == list(hints[:1])
    service.hint(17, 3)
    service.hint(17, 2)
    assert service.page(17)["hints_seen"] == list(hints)
    for k in (0, 4, "1", None, 1.0):
        with pytest.raises(ValueError, match="has the hints 1 to 3"):
            service.hint(17, k)


def test_the_solution_is_right(service):
    assert service.check(17, service.solution(17)["text"])["verdict"] == "right"


def test_begin_again(service):
    starter = lab_of("17").starter.read_text()
    assert service.reset(17) == {"text": starter, "version": "", "kept": ""}
    path = Path(service.save(17, "mine", "")["file"])
    service.hint(17, 2)
    found = plain(service.reset(17))
    assert found == {"text": starter, "version": version(starter), "kept": f"{path}~"}
    assert path.read_text() == starter and Path(found["kept"]).read_text() == "mine"
    page = service.page(17)
    assert (page["state"], page["hints_seen"], page["answer"]) == ("open", [], starter)


def test_a_grade_is_there_also_if_the_progress_cannot_be_saved(service, tmp_path):
    service.progress = lambda: LabProgress(Path("/proc/none/labs.json"))
    found = service.check(17, service.solution(17)["text"])
    assert found["verdict"] == "right"
    assert found["text"] == "Your progress is not saved: /proc/none/labs.json: No such file or directory"
    assert service.run(17, {})["right"] and service.hint(17, 1)["of"] == 3


def test_begin_again_twice_keeps_every_text(service):
    """The second click comes when the file is the starter again, and must not put the starter over the copy."""
    path = Path(service.save(17, "mine", "")["file"])
    assert service.reset(17)["kept"] == f"{path}~"
    starter = lab_of("17").starter.read_text()
    assert service.reset(17) == {"text": starter, "version": version(starter), "kept": ""}
    assert Path(f"{path}~").read_text() == "mine"
    service.save(17, "other", version(starter))
    assert service.reset(17)["kept"] == f"{path}~2"
    service.save(17, "mine", version(starter))
    assert service.reset(17)["kept"] == f"{path}~"
    assert [Path(f"{path}{end}").read_text() for end in ("~", "~2", "")] == ["mine", "other", starter]


def test_another_program_may_change_the_progress_meanwhile(service):
    """`pystack lab` writes the same file."""
    service.run(17, {})
    progress = LabProgress()
    progress.of(lab_of("9"))["solved"] = True
    progress.save()
    service.hint(17, 1)
    assert LabProgress().labs == {"17": {"run": True, "hints": 1}, "9": {"solved": True}}


def test_what_a_page_needs_imports_nothing_of_linux():
    """The service runs in a page, too, which has no processes, no sockets and no fcntl."""
    forbidden = {"fcntl", "subprocess", "socket", "resource", "signal", "multiprocessing", "pty", "mmap"}
    seen, waiting = set(), ["pystack.labs.course.service"]
    while waiting:
        name = waiting.pop()
        path = ROOT.parent / (name.replace(".", "/") + ".py")
        if name in seen or not path.exists():
            continue
        seen.add(name)
        for node in ast.parse(path.read_text()).body:  # only what runs at the import
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
            assert not {one.partition(".")[0] for one in names} & forbidden, (name, names)
            waiting += [one for one in names if one.startswith("pystack.")]
    assert {"pystack.labs.folders", "pystack.labs.progress", "pystack.labs.values"} <= seen
