"""`pystack net up`, `net exec` and the SVG of `net show`, with hosts of pystack only; tests/kernel/test_networks_page.py has kernel hosts."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILE = """
import socket, time
from pystack.sim import MS, Network

def network(seed=1):
    net = Network(seed)
    client, web = net.host("client"), net.host("web")
    net.link(client, web, addrs=("10.0.0.1/24", "10.0.0.2/24"), delay=5 * MS, loss=0.01)
    client.route("10.9.0.0/16", via="10.0.0.2")
    return net

def serve():
    with socket.create_server(("", 80)) as listener:
        while True:
            connection, _ = listener.accept()
            connection.sendall(b"hello")
            connection.close()

background = {"web": serve}
"""


@pytest.fixture
def place(tmp_path):
    (tmp_path / "lab.py").write_text(FILE)
    (tmp_path / "run").mkdir(mode=0o700)
    return tmp_path


def command(*argv):
    return [sys.executable, "-m", "pystack.cli", *map(str, argv)]


def settings(place):
    return {
        "cwd": place,
        "env": {**os.environ, "PYTHONPATH": str(ROOT), "XDG_RUNTIME_DIR": str(place / "run")},
        "text": True,
    }


def call(place, *argv, timeout=60):
    return subprocess.run(command(*argv), capture_output=True, timeout=timeout, **settings(place))


@contextlib.contextmanager
def up(place, *options):
    """A network that is up."""
    process = subprocess.Popen(
        command("net", "up", *options), stdout=subprocess.PIPE, stderr=subprocess.PIPE, **settings(place)
    )
    with process:
        try:
            line = process.stdout.readline()
            assert " is up: " in line, process.stderr.read()
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def test_a_program_on_a_host(place):
    with up(place, "lab.py"):
        code = "import socket, sys; print(socket.create_connection(('web', 80)).recv(9), sys.argv); sys.exit(3)"
        done = call(place, "net", "exec", "client", "--", "python", "-c", code, "x")
        assert (done.stdout, done.stderr, done.returncode) == ("b'hello' ['-c', 'x']\n", "", 3)
        done = call(place, "net", "exec", "--name", "lab", "web", "--", "python", "-c", "1 / 0")
        assert done.returncode == 1
        assert done.stderr.endswith("ZeroDivisionError: division by zero\n")
        done = call(place, "net", "exec", "web", "--", "python", "-c", "print('x' * 300000)")
        assert done.stdout == "x" * 300000 + "\n"
        for argv, text in (
            (("nobody", "--", "true"), "there is no host 'nobody'; there are client, web"),
            (("web", "--", "sh", "-c", "true"), "not a Python program"),
            (("web", "--", "no-such-program"), "no such program"),
        ):
            done = call(place, "net", "exec", *argv)
            assert done.returncode == 1
            assert text in done.stderr


def test_one_program_at_a_time_which_ends_with_its_command(place):
    with up(place, "lab.py"):
        words = command(
            "net", "exec", "client", "--", "python", "-c", "import time; print('begun', flush=True); time.sleep(1000)"
        )
        with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, **settings(place)) as waiting:
            assert waiting.stdout.readline() == "begun\n"
            done = call(place, "net", "exec", "client", "--", "python", "-c", "print(1)")
            assert "another program of `net exec` runs" in done.stderr
            waiting.send_signal(signal.SIGINT)
            assert waiting.wait(30) == 130
        end = time.monotonic() + 30
        while (done := call(place, "net", "exec", "client", "--", "python", "-c", "print(1)")).stdout != "1\n":
            assert time.monotonic() < end, done.stderr


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 0), (signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGKILL, -9)]
)
def test_ends(place, number, status):
    with up(place, "lab.py") as process:
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    assert process.returncode == status, err
    assert err == ""
    if number == signal.SIGKILL:
        assert len(list((place / "run" / "pystack").iterdir())) == 1
        with up(place, "lab.py"):  # what the killed one left is no obstacle
            assert call(place, "net", "exec", "web", "--", "python", "-c", "").returncode == 0
    else:
        assert out.endswith("the real clock: no frame went to a kernel host\n") is (number == signal.SIGINT)
        assert list((place / "run" / "pystack").iterdir()) == []


def test_a_time_and_names(place):
    began = time.monotonic()
    assert call(place, "net", "up", "lab.py", "--for", "300ms").returncode == 0
    assert time.monotonic() - began >= 0.3
    with up(place, "lab.py"):
        done = call(place, "net", "up", "lab.py", "--for", "1s")
        assert "a network named 'lab' is up already" in done.stderr
        with up(place, "lab.py", "--name", "other"):
            done = call(place, "net", "exec", "web", "--", "python", "-c", "")
            assert "name the network (--name): lab, other are up" in done.stderr
            assert call(place, "net", "exec", "--name", "other", "web", "--", "python", "-c", "").returncode == 0


@pytest.mark.parametrize("line", [b"nonsense", b"[]", b'{"node": ', b'{"argv": []}', b"[" * 4000])
def test_nonsense_gets_an_error_and_ends_nothing(place, line):
    """The parser raises RecursionError for a request that is nested too deeply."""
    with up(place, "lab.py"):
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(30)
            sock.connect(str(place / "run" / "pystack" / "net-lab.sock"))
            sock.sendall(line + b"\n")
            assert "a request is a line of JSON" in json.loads(sock.makefile("rb").read())["error"]
        assert call(place, "net", "exec", "web", "--", "python", "-c", "").returncode == 0


def test_wrong_use(place):
    assert "no network is up" in call(place, "net", "exec", "web", "--", "true").stderr
    assert "no network is up at" in call(place, "net", "exec", "--name", "x", "web", "--", "true").stderr
    assert "is not a valid name" in call(place, "net", "exec", "--name", "/", "web", "--", "true").stderr
    done = call(place, "net", "up", "lab.py", "--for", "soon")
    assert (done.returncode, "'soon' is not a time" in done.stderr) == (2, True)
    (place / "empty.py").write_text("from pystack.sim import Network\nnetwork = lambda: Network()\n")
    assert "the network has no host" in call(place, "net", "up", "empty.py").stderr
    (place / "lab.py").write_text(FILE + "programs = {'client': ['true']}\n")
    assert "['true'] is not a function" in call(place, "net", "run", "lab.py").stderr
    (place / "lab.py").write_text(FILE + "programs = {'client': lambda: 1 / 0}\n")
    done = call(place, "net", "up", "lab.py")
    assert done.returncode == 1
    assert done.stderr.endswith("ZeroDivisionError: division by zero\n")


def test_a_recording(place):
    (place / "lab.py").write_text(
        FILE + "programs = {'client': lambda: socket.create_connection(('web', 80)).recv(9)}\n"
    )
    assert call(place, "net", "run", "lab.py", "--record", "run.pytrace").returncode == 0
    assert "every byte is the same: 2 hosts" in call(place, "replay", "run.pytrace").stdout
    done = call(place, "net", "run", "lab.py", "--record", "no/such/folder/run.pytrace")
    assert done.returncode == 1
    assert "no/such/folder" in done.stderr


def test_the_drawing_as_svg(place):
    done = call(place, "net", "show", "lab.py", "--svg", "lab.svg")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    root = ElementTree.parse(place / "lab.svg").getroot()
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    texts = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert texts == [
        "delay 5ms, loss 1%",
        "client", "eth0 10.0.0.1/24", "route 10.9.0.0/16 via 10.0.0.2",
        "web", "eth0 10.0.0.2/24",
    ]  # fmt: skip
    boxes = [
        {key: int(rect.get(key)) for key in ("x", "y", "width", "height")}
        for rect in root.iter("{http://www.w3.org/2000/svg}rect")
        if rect.get("x")
    ]
    assert len(boxes) == 2
    assert boxes[0]["x"] + boxes[0]["width"] < boxes[1]["x"]  # side by side
    (line,) = root.iter("{http://www.w3.org/2000/svg}line")
    assert int(line.get("x1")) == boxes[0]["x"] + boxes[0]["width"]
    assert int(line.get("x2")) == boxes[1]["x"]
    first = (place / "lab.svg").read_bytes()
    call(place, "net", "show", "lab.py", "--svg", "lab.svg")
    assert (place / "lab.svg").read_bytes() == first
    assert "no/lab.svg" in call(place, "net", "show", "lab.py", "--svg", "no/lab.svg").stderr
