"""The grader stops or refuses files that do what an exercise does not need, and says so."""

import json
import os
import subprocess
import sys

import pytest

from pystack.labs.folders import LabError, lab_of
from pystack.labs.grading import LONGEST, GradeLimits, grade

SOLUTION = "def send_request(c, h, b):\n    yield c.sendall(h + b)\n"


def graded(tmp_path, text, limits=None):
    path = tmp_path / "answer.py"
    path.write_text(text)
    return grade(lab_of("17"), path, limits)


def test_an_endless_loop_is_stopped_by_processor_time(tmp_path):
    found = graded(tmp_path, "while True:\n    pass\n", GradeLimits(cpu=1, wall=100))
    assert found.verdict == "stopped"
    assert found.text == ("The grader stopped your file after 1 seconds of processor time. Is there an endless loop?")


def test_a_sleep_is_stopped_by_wall_time(tmp_path):
    found = graded(tmp_path, "import time\ntime.sleep(1000)\n", GradeLimits(wall=3))
    assert found.verdict == "stopped" and found.text.startswith("The grader stopped your file after 3 seconds.")


@pytest.mark.parametrize("text", ["x = bytes(10 ** 11)\n", "x = []\nwhile True:\n    x.append(bytes(1 << 20))\n"])
def test_huge_memory_is_stopped(tmp_path, text):
    found = graded(tmp_path, text, GradeLimits(memory=64 << 20))
    assert (found.verdict, found.text) == ("stopped", "The grader stopped your file because it needs too much memory.")


def test_memory_and_time_that_an_answer_may_use(tmp_path):
    """Control: what is below the limits is right."""
    text = SOLUTION + "x = bytes(32 << 20)\nfor _ in range(10000):\n    pass\nprint('hello')\n"
    found = graded(tmp_path, text, GradeLimits(memory=256 << 20))
    assert (found.verdict, found.output) == ("right", "hello\n")


@pytest.mark.parametrize("change", [lambda text: "\ufeff" + text, lambda text: text.replace("\n", "\r\n")])
def test_a_file_as_editors_of_windows_write_it_is_graded(tmp_path, change):
    path = tmp_path / "answer.py"
    path.write_bytes(change(SOLUTION).encode())
    assert grade(lab_of("17"), path).verdict == "right"
    path.write_bytes(change(SOLUTION.replace("h + b", "b")).encode())
    assert grade(lab_of("17"), path).verdict == "wrong"


def test_endless_output_is_stopped(tmp_path):
    found = graded(tmp_path, "while True:\n    print('x' * 10000)\n")
    assert (found.verdict, found.text) == ("stopped", "The grader stopped your file because it prints too much.")
    assert len(found.output) <= 1 << 20


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("open('{secret}').read()", "open '{secret}'"),
        ("import os\nos.open('{secret}', os.O_RDONLY)", "open '{secret}'"),
        ("import io\nio.FileIO('{secret}')", "open '{secret}'"),
        ("open('made', 'w')", "open 'made'"),
        ("import json\nopen(json.__file__, 'a')", "open "),
        ("try:\n    open('{secret}')\nexcept OSError:\n    pass", "open '{secret}'"),
        ("import os\nos.listdir('/')", "list a folder"),
        ("import os\nos.remove('{secret}')", "change files"),
        ("import os\nos.mkdir('made')", "change files, or start"),
        ("import os\nos.mkfifo('made')", "change files, or start"),
        ("import posix\nposix.mknod('made')", "change files, or start"),
        ("from os import setuid\nsetuid(1)", "change files, or start"),
        ("import os\nos.link('{secret}', 'made')", "change files, or start"),
        ("import os\nos.symlink('/', 'made')", "change files, or start"),
        ("import sqlite3\nsqlite3.connect('made')", "change files"),
        ("from multiprocessing.shared_memory import SharedMemory\nSharedMemory(create=True, size=1)", "change files"),
        ("import os\nos.system('true')", "change files, or start"),
        ("import os\nos.fork()", "change files, or start"),
        ("import os\nos.kill(os.getppid(), 15)", "change files, or start or end processes"),
        ("import subprocess\nsubprocess.run(['true'])", "start a program"),
        ("import socket\nsocket.socket()", "use a socket of this machine"),
        ("import ctypes\nctypes.CDLL(None)", "call C functions"),
        ("import resource\nresource.setrlimit(resource.RLIMIT_CPU, (9, 9))", "change its limits"),
    ],
)
def test_what_an_exercise_does_not_need_is_refused(tmp_path, text, what):
    secret = tmp_path / "secret"
    secret.write_text("secret")
    text, what = text.replace("{secret}", str(secret)), what.replace("{secret}", str(secret))
    found = graded(tmp_path, SOLUTION + text + "\n")
    assert found.verdict == "refused"
    assert found.text.startswith(f"The grader stopped your file because it tried to {what}")
    assert "secret" not in found.output and secret.read_text() == "secret"


def test_imports_of_the_library_are_allowed(tmp_path):
    """Control: the refusals do not hinder what an answer may use."""
    found = graded(tmp_path, "import statistics, heapq, decimal, xml.dom.minidom\n" + SOLUTION)
    assert (found.verdict, found.text) == ("right", "")


def test_the_environment_does_not_reach_the_file(tmp_path, monkeypatch):
    monkeypatch.setenv("A_SECRET", "1234")
    found = graded(tmp_path, "import os\nprint(sorted(os.environ))\n" + SOLUTION)
    assert found.right and "PYTHONHASHSEED" in found.output and "A_SECRET" not in found.output
    assert os.environ["A_SECRET"] == "1234"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("def send_request(c, h, b)\n", "Your file raised SyntaxError in line 1: expected ':'"),
        (SOLUTION + "    1 / 0\n", "Your file raised ZeroDivisionError in line 3: division by zero"),
        ("import sys\nsys.exit()\n", "Your file raised SystemExit in line 2"),
        ("def send_request(c, h, b):\n    return send_request(c, h, b)\n", "Your file raised RecursionError in line 2"),
    ],
)
def test_an_error_is_named_with_its_line(tmp_path, text, says):
    found = graded(tmp_path, text)
    assert found.verdict == "error" and found.text.startswith(says)


def test_the_exception_of_a_typical_mistake_gets_its_hint_and_another_one_its_line(tmp_path):
    lab = lab_of("29")
    path = tmp_path / "answer.py"
    text = (lab.path / "wrong_head.py").read_text()
    path.write_text(text)
    assert grade(lab, path).text == lab.wrong()["wrong_head.py"]
    path.write_text(text.replace("    found = []\n", "    found = []\n    int('x')\n"))
    found = grade(lab, path)
    assert found.verdict == "error" and found.text.startswith("Your file raised ValueError in line 7: invalid literal")


def solved(tmp_path, number, text):
    path = tmp_path / f"answer{lab_of(number).suffix}"
    path.write_text(text)
    found = grade(lab_of(number), path)
    return found.verdict, found.text


@pytest.mark.parametrize(
    ("number", "text", "says"),
    [
        (
            "3",
            "def trace(probe):\n    answer = yield probe(1)\n    return [answer[0]]\n",
            "Your file raised TypeError in line 2: `yield` waits for an operation, and this is another program: write `yield from`",
        ),
        (
            "37",
            "def serve(sock, files):\n    head = yield sock.recv(9999)\n    yield sock.sendall('HTTP/1.1 200 OK')\n",
            "Your file raised TypeError in line 3: ",
        ),
        (
            "36",
            "def upload(phone, photos, head):\n    yield [phone.lookup('shop.test')]\n",
            "Your file raised TypeError in line 2: `yield` waits for an operation, and this is a list",
        ),
        (
            "30",
            "import struct\ndef frames(data):\n    return struct.unpack('>I', data[:3])\n",
            "Your file raised struct.error in line 3: unpack requires a buffer of 4 bytes",
        ),
    ],
)
def test_a_mistake_that_python_finds_has_the_line_of_the_file(tmp_path, number, text, says):
    verdict, found = solved(tmp_path, number, text)
    assert verdict == "error" and found.startswith(says)


@pytest.mark.parametrize(
    ("number", "text", "name"),
    [
        ("17", "def send_request(client, header, body):\n    client.sendall(header + body)\n", "send_request"),
        (
            "19",
            "def take(idle, port, connect):\n    return idle.pop(port) if port in idle else connect(port)\n\n\n"
            "def give(idle, port, connection):\n    idle[port] = connection\n",
            "take",
        ),
    ],
)
def test_a_function_without_a_yield_is_named(tmp_path, number, text, name):
    words = f"`{name}` has no `yield`, so it cannot wait for anything. Keep the form of the starter file."
    assert solved(tmp_path, number, text) == ("wrong", words)


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (
            "10",
            "def window(free, announced, capacity, mss):\n    grow = free - announced\n"
            "    return free if grow >= mss or grow * 2 >= capacity else announced\n",
        ),
        (
            "17",
            "def send_request(c, h, b):\n    return both(c, h + b)\n\n\ndef both(c, data):\n    yield c.sendall(data)\n",
        ),
        (
            "20",
            "import hashlib\nimport hmac\n\n\ndef syn(secret, address, option, data):\n"
            "    good = hmac.new(secret, address.encode(), hashlib.sha1).digest()[:8]\n"
            "    return [data, None] if option == good else [b'', None if option is None else good]\n",
        ),
    ],
)
def test_a_right_answer_in_another_style_is_accepted(tmp_path, number, text):
    assert solved(tmp_path, number, text) == ("right", "")


def test_a_hint_that_fits_one_case_by_chance_is_not_given(tmp_path):
    """The answer counts one more round for each long flight. In one case, that is what an answer gives which forgets the connection in all cases."""
    text = (lab_of("15").path / "solution.py").read_text()
    once = text.replace("    while left > 0:\n", "    if left > 0:\n")
    assert once != text
    words = "`round_trips('1.3', False, 9000, 2)` must give 5, and yours gives 4."
    assert solved(tmp_path, "15", once) == ("wrong", words)


def test_a_process_that_ends_has_no_result(tmp_path):
    found = graded(tmp_path, "import os\nos._exit(0)\n")
    assert found.verdict == "stopped" and "before the grader had a result" in found.text


def test_files_that_cannot_be_graded(tmp_path):
    lab = lab_of("17")
    (tmp_path / "long.py").write_text("#" * (LONGEST + 1))
    (tmp_path / "binary.py").write_bytes(b"\xff\xfe")
    os.mkfifo(tmp_path / "pipe.py")  # reading it would wait for ever
    for name, says in (
        ("pipe.py", "not a regular file"),
        ("long.py", "too long"),
        ("binary.py", "not a text"),
        ("none.py", "No such file"),
    ):
        with pytest.raises(LabError, match=says):
            grade(lab, tmp_path / name)


def test_a_grader_that_cannot_begin_says_why(tmp_path):
    folder = tmp_path / "labs" / "lab_91_lacking"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("")
    (folder / "page.md").write_text("# Lab 91: Lacking\n")
    (folder / "grader.py").write_text("def prepare():\n    import no_such_module\n\ndef check(answer):\n    pass\n")
    (folder / "answer.py").write_text("")
    command = [sys.executable, "-m", "pystack.labs.child", "91", str(folder / "answer.py"), "10", str(1 << 29)]
    done = subprocess.run(command, env={**os.environ, "PYSTACK_LABS": str(folder.parent)}, capture_output=True)
    assert json.loads(done.stdout) == {
        "verdict": "error",
        "text": "The grader cannot begin: No module named 'no_such_module'",
    }
