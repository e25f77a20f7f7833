"""What the workers of the site call, in this Python: requests with the learner's files, and packages that come later."""

import importlib
import json
import subprocess
import sys

import pytest

from pystack.labs.course import browser
from pystack.labs.folders import lab_of

LAB = 17
FILE = "exercises/lab_17_nagle.py"


@pytest.fixture
def desk(tmp_path):
    return browser.CourseDesk(tmp_path)


def ask(desk, files, method, *args, found=None):
    """Ask as the page does. Returns the answer, and puts the changed files into `files`."""
    answer = json.loads(desk.call(json.dumps({"method": method, "args": args, "files": files, "found": found})))
    for name, text in answer.pop("files").items():
        if text is None:
            del files[name]
        else:
            files[name] = text
    return answer


def test_the_files_come_with_a_request_and_go_with_its_answer(desk, tmp_path):
    files = {}
    assert ask(desk, files, "page", LAB)["result"]["answer"] is None and not files
    version = ask(desk, files, "save", LAB, "# mine\n", "")["result"]["version"]
    assert files[FILE] == "# mine\n" and "labs.json" in files
    # another tab has saved meanwhile, so nothing is overwritten
    files[FILE] = "# theirs\n"
    assert ask(desk, files, "save", LAB, "# mine, too\n", version)["result"]["conflict"] == "# theirs\n"
    assert files[FILE] == "# theirs\n"
    # a new worker has no files but those of the request
    other = browser.CourseDesk(tmp_path / "other")
    assert ask(other, files, "page", LAB)["result"]["answer"] == "# theirs\n"
    del files[FILE]
    assert ask(desk, files, "page", LAB)["result"]["answer"] is None


def test_a_bench_does_what_takes_its_time(desk):
    files = {}
    assert ask(desk, files, "run", LAB, {"nonsense": "1"}) == {"error": "lab 17 has no value 'nonsense'"}
    assert ask(desk, files, "run", LAB, {}) == {"apart": True} and not files
    reports = []
    found = json.loads(browser.measure(LAB, lambda *report: reports.append(report)))
    assert reports[0][0] == 0 and reports[-1][0] == reports[-1][1] == len(found)
    assert ask(desk, files, "run", LAB, {}, found=found)["result"]["right"]
    assert json.loads(files["labs.json"]) == {"17": {"run": True}}


@pytest.mark.parametrize(
    "found, verdict, text",
    [
        ({"verdict": "right", "text": "", "output": "hi"}, "right", ""),
        ({"late": True}, "stopped", "The grader stopped your file after 60 seconds."),
        ({"ended": True}, "stopped", "The interpreter of your file ended before the grader had a result."),
    ],
)
def test_a_grade_of_a_bench(desk, found, verdict, text):
    files = {}
    assert ask(desk, files, "check", LAB, "x = 1\n") == {"apart": True}
    result = ask(desk, files, "check", LAB, "x = 1\n", found=found)["result"]
    assert result["verdict"] == verdict and result["text"].startswith(text)
    assert ("solved" in files.get("labs.json", "")) == (verdict == "right")


def test_wrong_requests_are_errors_with_a_text(desk):
    assert "no method" in ask(desk, {}, "__init__")["error"]
    assert "there is no lab" in ask(desk, {}, "page", 99)["error"]
    assert "is no file of the learner" in ask_safely(desk, {"../out": "x"})


def ask_safely(desk, files):
    """Ask with files that are none of the learner's. Returns the error's text."""
    with pytest.raises(ValueError) as error:
        desk.call(json.dumps({"method": "index", "args": [], "files": files}))
    return str(error.value)


def graded(text):
    """Return a program that grades a text as a worker does: in a Python of its own, because the limits stay."""
    program = "import sys, pathlib\nfrom pystack.labs.course import browser\n"
    return f"{program}write = sys.stdout.write\nwrite(browser.grade({LAB}, {text!r}, pathlib.Path(sys.argv[1])))"


@pytest.mark.parametrize(
    "text, verdict, words",
    [
        (lab_of("17").solution.read_text(), "right", ""),
        (lab_of("17").starter.read_text(), "wrong", "An exchange took 60 ms"),
        ("print('hello')\n1 / 0", "error", "Your file raised ZeroDivisionError in line 2"),
        ("import js", "refused", "use the page's JavaScript"),
        ("open('/etc/passwd')", "refused", "open '/etc/passwd'"),
        ("while True:\n    print('x' * 1000)", "stopped", "prints too much"),
    ],
)
def test_a_file_is_graded_with_limits(tmp_path, text, verdict, words):
    command = [sys.executable, "-c", graded(text), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    found = json.loads(done.stdout)
    assert found["verdict"] == verdict and words in found["text"], done.stderr
    assert found["output"] == ("hello\n" if "hello" in text else found["output"])


def test_a_package_is_fetched_when_it_is_imported(tmp_path, monkeypatch):
    fetched = []

    def fetch(name):
        fetched.append(name)
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("from shelf_example import inner\n")
        (tmp_path / name / "inner.py").write_text("number = 5\n")

    monkeypatch.syspath_prepend(tmp_path)
    shelf = browser.PackageShelf(["shelf_example"], str(tmp_path), fetch)
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, shelf])
    assert importlib.util.find_spec("shelf_example") and importlib.util.find_spec("shelf_other") is None
    assert fetched == []  # to look for it is not to need it
    assert importlib.import_module("shelf_example").inner.number == 5
    importlib.import_module("shelf_example.inner")
    assert fetched == ["shelf_example"]
    for name in [name for name in sys.modules if name.startswith("shelf_example")]:
        del sys.modules[name]
