"""The server of the course: for its own page alone, bounded, and everything that it starts ends with it."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from pystack.labs.folders import LONGEST, lab_of
from tests.stepper.web.served import ROOT, commanding
from tests.support.patience import PATIENCE

SLEEPS = "import time\nprint('begun')\ntime.sleep(1000)\n"
SOLUTION = "def send_request(c, h, b):\n    yield c.sendall(h + b)\n"


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    with commanding("course", XDG_STATE_HOME=str(tmp_path_factory.mktemp("state"))) as server:
        yield server


def job(served, path, body):
    """The lines of an answer that takes its time."""
    status, data, headers = served.ask("POST", path, body)
    assert status == 200 and headers["content-type"] == "application/x-ndjson", data
    return [json.loads(line) for line in data.splitlines()]


def begun(served, path, body):
    """A connection on which a request was sent, whose answer is not read yet."""
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=60)
    text = json.dumps(body)
    connection.request("POST", f"/{served.secret}/{path}", text, {"Content-Type": "application/json"})
    return connection


def graders(server_pid):
    """The processes in which the server grades or measures."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes().split(b"\0")
            parent = int((process / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        if parent == server_pid and (b"pystack.labs.child" in command or b"pystack.labs.course.runner" in command):
            found.append(int(process.name))
    return found


def until(condition, seconds=PATIENCE):
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found


# -- what the page asks ------------------------------------------------------------------------------------------------


def test_the_page_and_its_files(served):
    status, data, headers = served.ask("GET", "")
    assert status == 200 and b"course.js" in data and headers["content-type"] == "text/html; charset=utf-8"
    for name in ("course.js", "course.css", "course.html", "THIRD-PARTY.txt"):
        assert served.ask("GET", name)[0] == 200
    assert (
        b"CodeMirror" in served.ask("GET", "THIRD-PARTY.txt")[1]
        or b"codemirror" in served.ask("GET", "THIRD-PARTY.txt")[1]
    )


def test_a_lab_from_its_page_to_its_solution(served):
    assert {lab["number"]: lab["state"] for lab in served.json("api/index")["labs"]}[18] == "open"
    page = served.json("api/page/18")
    value = page["values"][0]["name"]
    lines = job(served, "api/run/18", {"predictions": {value: "1"}})
    assert lines[0]["progress"][0] == 0 and len(lines) > 3
    result = lines[-1]["result"]
    assert result["right"] and result["rows"][0]["predicted"]
    assert job(served, "api/run/18", {"predictions": {value: "x"}})[-1]["result"]["errors"][value]
    starter = page["starter"]
    assert job(served, "api/check/18", {"text": starter}) == [
        {"result": {**job(served, "api/check/18", {"text": starter})[0]["result"], "verdict": "wrong"}}
    ]
    assert served.json("api/hint/18", {"k": 1})["of"] == 3
    solution = served.json("api/solution/18", {})["text"]
    saved = served.json("api/save/18", {"text": solution, "base": ""})
    assert served.json("api/save/18", {"text": "x", "base": ""})["conflict"] == solution
    assert served.json("api/page/18")["version"] == saved["version"]
    assert job(served, "api/check/18", {"text": solution}) == [
        {"result": {"verdict": "right", "text": "", "output": ""}}
    ]
    assert served.json("api/page/18")["state"] == "solved"
    assert served.json("api/reset/18", {})["text"] == starter


def test_a_text_that_is_no_unicode_is_a_grade(served):
    """Half of a pair of UTF-16 in an exception ended the answer in the middle, without a verdict."""
    result = job(served, "api/check/17", {"text": "raise ValueError('\\ud800 half')\n"})[-1]["result"]
    assert (result["verdict"], result["text"]) == ("error", r"Your file raised ValueError in line 1: \ud800 half")


def test_the_stepper_is_a_page_in_a_sandbox(served):
    assert served.ask("GET", "step/17.2")[0] == 200
    status, data, headers = served.ask("GET", "step/nagle")
    assert status == 200 and b"data-layout" in data
    policy = headers.get_all("content-security-policy")
    assert len(policy) == 1 and "sandbox allow-scripts allow-popups" in policy[0] and "connect-src" not in policy[0]
    assert "default-src 'none'" in policy[0] and "frame-ancestors 'self'" in policy[0]
    assert headers["x-content-type-options"] == "nosniff"
    assert served.ask("GET", "step/nothing")[0] == 404 and served.ask("GET", "step/..%2fapi")[0] == 404


def test_a_capture(served):
    assert served.json("api/capture/27")["name"] == "lab_27_wireshark_udp.pcapng"
    assert served.ask("GET", "api/capture/37")[0] == served.ask("GET", "api/capture/99")[0] == 404


def test_plots(served):
    pytest.importorskip("matplotlib")
    assert len(served.json("api/plot/17")["svg"]) == 3


# -- and nothing else --------------------------------------------------------------------------------------------------


def test_only_this_machine_reaches_it(served):
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", served.port), timeout=5)
    socket.create_connection(("127.0.0.1", served.port), timeout=5).close()  # the control


REQUESTS = (
    ("GET", "api/index", None), ("GET", "api/page/17", None), ("POST", "api/run/17", {"predictions": {}}),
    ("POST", "api/check/17", {"text": ""}), ("POST", "api/save/17", {"text": "x"}), ("POST", "api/reset/17", {}),
    ("POST", "api/solution/17", {}), ("POST", "api/hint/17", {"k": 1}), ("GET", "step/nagle", None), ("GET", "", None),
)  # fmt: skip


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda one: one[1] or "page")
def test_other_sites_are_refused(served, request_):
    method, path, body = request_
    for host in ("evil.example", "127.0.0.1", "localhost.evil.example:80", ""):
        assert served.ask(method, path, body, Host=host)[0] == 421
    for headers in ({"Origin": "http://evil.example"}, {"Origin": "null"}, {"Sec_Fetch_Site": "cross-site"}):
        assert served.ask(method, path, body, **headers)[0] == 403
    status, data, _ = served.ask(method, f"/{path}", body)
    assert status == 404 and b"pystack course" in data
    assert served.ask(method, f"/{'x' * 22}/{path}", body)[0] == 404
    assert served.json("api/page/17")["answer"] is None  # nothing was saved


def test_the_page_may_load_nothing_else(served):
    for path in ("", "course.js", "api/index", "nothing"):
        headers = served.ask("GET", path)[2]
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy and "script-src 'self';" in policy and "frame-src 'self'" in policy
        assert "frame-ancestors 'none'" in policy and "form-action 'none'" in policy
        assert headers["x-content-type-options"] == "nosniff" and headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    "path", ["../server.py", "%2e%2e/server.py", "stepper.js", "index.html", ".built", "api/x", "step/"]
)
def test_no_other_file_is_served(served, path):
    assert served.ask("GET", path)[0] == 404


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("page/99", None), ("page/x", None), ("page/-1", None), ("plot/99", None), ("run/17", b"{"), ("run/17", []),
        ("run/17", {"predictions": 5}), ("save/17", {}), ("save/17", {"text": 5}), ("save/17", {"text": "x", "more": 1}),
        ("save/99", {"text": "x"}), ("save/17", {"text": "x" * (LONGEST + 1)}), ("save/17", b"x" * (7 * LONGEST)), ("hint/17", {"k": 9}),
        ("hint/17", {}), ("hint/17", {"k": "1"}), ("hint/17", {"n": 17}), ("reset/99", {}), ("check/17", b"[" * 5000), ("check/17", b"\xff"),
    ],
)  # fmt: skip
def test_nonsense_is_refused(served, path, body):
    status, data, _ = served.ask("GET" if body is None else "POST", f"api/{path}", body)
    assert status in (400, 404) and b"Traceback" not in data


def test_an_address_with_a_number_of_thousands_of_digits_is_refused(served):
    """Python refuses to read such a number, so the routes must not try."""
    assert served.ask("GET", f"api/page/{'9' * 5000}")[0] == 414


def test_nonsense_for_a_run_or_a_check_is_its_result(served):
    assert job(served, "api/run/17", {"predictions": {"x": "1"}}) == [{"error": "lab 17 has no value 'x'"}]
    assert "error" in job(served, "api/check/17", {"text": 5})[0]
    assert "there is no lab" in job(served, "api/check/99", {"text": ""})[0]["error"]


def test_a_post_must_be_json(served):
    assert served.ask("POST", "api/save/17", b'{"text": "x"}', Content_Type="text/plain")[0] == 400
    assert served.ask("GET", "api/save/17")[0] == 405


# -- processes -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def own(tmp_path):
    """A server of this test, and its process."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), "XDG_STATE_HOME": str(tmp_path)}
    command = [sys.executable, "-m", "pystack.cli", "course", "--no-browser"]
    from tests.stepper.web.served import Served, need_page

    need_page()
    process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield Served(process.stdout.readline().strip()), process
    finally:
        process.kill()
        process.communicate()


def test_stop_ends_the_process_of_a_check(own):
    """The page's Stop closes the connection."""
    served, process = own
    connection = begun(served, "api/check/17", {"text": SLEEPS})
    (grader,) = until(lambda: graders(process.pid))
    connection.close()
    until(lambda: not Path(f"/proc/{grader}").exists())
    # and the next one begins at once
    assert job(served, "api/check/17", {"text": SOLUTION})[0]["result"]["verdict"] == "right"


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_the_end_of_the_server_ends_the_process_of_a_check(own, signum):
    served, process = own
    connection = begun(served, "api/check/17", {"text": SLEEPS})
    (grader,) = until(lambda: graders(process.pid))
    process.send_signal(signum)
    _, complaints = process.communicate(timeout=30)
    assert not Path(f"/proc/{grader}").exists() and "Traceback" not in complaints
    connection.close()


def test_one_check_at_a_time(own):
    served, process = own
    first = begun(served, "api/check/17", {"text": SLEEPS})
    until(lambda: graders(process.pid))
    answers = []
    others = [
        threading.Thread(target=lambda: answers.append(job(served, "api/check/17", {"text": SOLUTION})))
        for _ in range(3)
    ]
    for other in others:
        other.start()
    time.sleep(1)
    assert len(graders(process.pid)) == 1
    for other in others:
        other.join(30)
    assert answers == [[{"error": "another page runs or checks something: wait for its end, or stop it there"}]] * 3
    first.close()
    until(lambda: not graders(process.pid))


def test_the_page_answers_while_a_check_runs(own):
    served, process = own
    connection = begun(served, "api/check/17", {"text": SLEEPS})
    until(lambda: graders(process.pid))
    assert served.json("api/page/9")["title"] == lab_of("9").title
    connection.close()
    until(lambda: not graders(process.pid))
