"""`pystack net` and `pystack run --sim`: networks in files, and docs/howto/network-files.md."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from pystack.cli.main import cli

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "howto" / "network-files.md").read_text()
SHOP = re.findall(r"^```python\n(.*?)^```", PAGE, re.M | re.S)[0]
DRAWING = """client
  eth0  10.0.0.2/24  --- lan port0
  route default via 10.0.0.1

router
  eth0  10.0.0.1/24  --- lan port1
  eth1  10.1.0.1/24  --- web eth0   delay 20ms, loss 1%

web
  eth0  10.1.0.2/24  --- router eth1  delay 20ms, loss 1%
  route default via 10.1.0.1

lan  (switch)
  port0    --- client eth0
  port1    --- router eth0
"""


@pytest.fixture
def shop(tmp_path):
    path = tmp_path / "shop.py"
    path.write_text(SHOP)
    return str(path)


def call(*argv):
    return CliRunner().invoke(cli, [str(word) for word in argv], standalone_mode=False)


def process(*argv, cwd=None):
    command = [sys.executable, "-m", "pystack.cli", *map(str, argv)]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=cwd, env=env)


def test_a_drawing(shop):
    assert call("net", "show", shop).output == DRAWING


def test_links_that_are_down_or_unlike_and_nodes_without_links(tmp_path):
    path = tmp_path / "odd.py"
    path.write_text(
        "from pystack.sim import MS, Network\n"
        "def network():\n"
        "    net = Network()\n"
        "    a, b, c = net.host('a'), net.host('b'), net.host('c')\n"
        "    net.link(a, b, ab={'delay': MS}, ba={'loss': 0.5})\n"
        "    net.link(b, net.wire('w')).down()\n"
        "    return net\n"
    )
    text = call("net", "show", path).output
    assert "a\n  eth0    --- b eth0  out: delay 1ms; back: no fault\n" in text.replace("loss 50%", "no fault")
    assert "--- w port0  down" in text and "\nc\n" in text and "w  (wire)" in text


def test_a_run_prints_what_the_programs_returned_and_what_the_links_did(shop, tmp_path):
    done = call("net", "run", shop, "--seed", 7, "--write", tmp_path / "run.pcapng")
    assert re.fullmatch(
        r"client: \(b'hello\\n', 0\.\d+\)\nthe programs ended at 0\.\d{6} s\n"
        r"client-lan: client sent \d+ frames; lan sent \d+ frames\n.*\n.*\n",
        done.output,
    ), done.output
    assert (tmp_path / "run.pcapng").stat().st_size > 1000
    assert call("net", "run", shop, "--seed", 7).output == done.output


def test_the_commands_of_the_page(shop, tmp_path):
    commands = "".join(re.findall(r"^```sh\n(.*?)^```", PAGE, re.M | re.S))
    words = f'pystack() {{ "{sys.executable}" -m pystack.cli "$@"; }}\n{commands}'
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(["bash", "-ec", words], capture_output=True, text=True, timeout=90, cwd=tmp_path, env=env)
    assert done.returncode == 0 and done.stderr == ""
    assert done.stdout.startswith(DRAWING) and done.stdout.endswith("b'hello\\n'\n")


PROGRAM = """
import atexit, concurrent.futures, socket, sys, threading, time
import beside
atexit.register(lambda: print("end", time.monotonic()))
def later(seconds):
    time.sleep(seconds)
    print("slept", time.monotonic())
threading.Thread(target=later, args=(2,)).start()
concurrent.futures.ThreadPoolExecutor().submit(later, 1)
with socket.create_connection(("10.1.0.2", 80)) as sock:
    print(sys.argv[1:], __name__, socket.gethostname(), sock.recv(100), time.monotonic())
sys.exit(beside.value)
"""


def test_a_program_on_a_host(shop, tmp_path):
    (tmp_path / "program.py").write_text(PROGRAM)
    (tmp_path / "beside.py").write_text("value = 7\n")
    done = process("run", "--sim", shop, "--host", "client", "--", "python", "program.py", "-a", "x", cwd=tmp_path)
    lines = done.stdout.splitlines()
    assert (done.returncode, done.stderr) == (7, "")
    assert lines[0].startswith("['-a', 'x'] __main__ client b'hello\\n' 0.")
    assert lines[1:] == ["slept 1.0", "slept 2.0", "end 2.0"]
    # without --host it is the only one without a program
    done = process(
        "run",
        "--sim",
        shop,
        "--",
        "-c",
        "import asyncio, socket; print(socket.gethostname()); asyncio.run(asyncio.sleep(1000))",
    )
    assert (done.stdout, done.returncode, done.stderr) == ("router\n", 0, "")


def test_real_time(tmp_path):
    path = tmp_path / "one.py"
    path.write_text(
        "from pystack.sim import Network\ndef network():\n    net = Network()\n    net.host('a')\n    return net\n"
    )
    code = "import time; began = time.monotonic(); time.sleep(0.5); print(time.monotonic() - began)"
    began = time.monotonic()
    assert process("run", "--net", path, "--", "-c", code).stdout == "0.5\n"
    assert time.monotonic() - began >= 0.5
    path.write_text(path.read_text() + "import time\nprograms = {'a': lambda: time.sleep(0.3)}\n")
    began = time.monotonic()
    assert "ended at 0.300000 s" in call("net", "run", path, "--real-time").output
    assert time.monotonic() - began >= 0.3


@pytest.mark.parametrize(
    "source, text",
    [
        ("", "has no function `network`"),
        ("def network():\n    return 5\n", "returned 5, and no pystack.sim.Network"),
        ("programs = {'x': print}\n", "`programs` names 'x', which is no host of the network; there are a"),
        ("programs = {'a': 5}\n", "`programs` of 'a': 5 is not a function"),
        ("background = [print]\n", "`background` is a dict, host name -> function"),
        ("pass\n", "has no `programs`"),
        ("def network(seed, size): pass\n", "needs a default value: missing a required argument"),
    ],
)
def test_files_that_describe_no_network(tmp_path, source, text):
    path = tmp_path / "net.py"
    good = "from pystack.sim import Network\ndef network():\n    net = Network()\n    net.host('a')\n    return net\n"
    path.write_text(source if not source or "def" in source else good + source)
    done = CliRunner().invoke(cli, ["net", "run", str(path)])
    assert done.exit_code == 2 and text in done.output


@pytest.mark.parametrize(
    "source, error",
    [
        ("def network(:\n", "SyntaxError: "),
        ("def network():\n    return 1 / 0\n", "ZeroDivisionError: division by zero"),
        ("def network():\n    return 5\nraise KeyError('x')\n", "KeyError: 'x'"),
        ("from pystack.sim import Network\ndef network():\n    n = Network()\n    n.host('a')\n    return n\n"
         "programs = {'a': lambda: 1 / 0}\n", "ZeroDivisionError: division by zero"),
    ],
)  # fmt: skip
def test_the_traceback_of_a_file_begins_in_the_file(tmp_path, source, error):
    path = tmp_path / "net.py"
    path.write_text(source)
    done = process("net", "run", path)
    lines = done.stderr.splitlines()
    assert done.returncode == 1 and done.stdout == "" and lines[-1].startswith(error)
    files = [line for line in lines if line.startswith("  File ")]
    assert len(files) == 1 and f'"{path}"' in files[0], done.stderr


def test_wrong_use(shop):
    for options, text in (
        (["net", "show", "nothing.py"], "there is no such file"),
        (["run", "--sim", shop, "--net", shop, "--", "-c", "0"], "give either --sim or --net"),
        (["run", "--sim", shop, "--host", "nobody", "--", "-c", "0"], "--host names 'nobody'"),
        (["run", "--sim", shop, "-a", "10.0.0.2/24", "--", "-c", "0"], "--address is for a stack of its own"),
        (["run", "--sim", shop, "--record", "x", "--", "-c", "0"], "--record is for a stack of its own"),
        (["run", "--host", "client", "--", "-c", "0"], "--host needs --sim or --net"),
    ):
        done = CliRunner().invoke(cli, options)
        assert done.exit_code == 2 and text in done.output, done.output


def test_what_is_no_file_of_python_and_files_that_cannot_be_written(shop, tmp_path):
    (tmp_path / "null.py").write_bytes(b"\0\1")
    for options, status, text in (
        (["net", "show", tmp_path / "null.py"], 2, "null.py is no Python file: "),
        (["net", "show", tmp_path], 2, "it is a directory"),
        (["net", "run", shop, "--record", tmp_path / "no" / "x"], 1, "x: No such file or directory"),
        (["net", "run", shop, "--write", tmp_path / "no" / "x"], 1, "x: No such file or directory"),
        (["net", "up", shop, "--record", tmp_path / "no" / "x"], 1, "x: No such file or directory"),
        (["net", "up", shop, "--name", "a/b"], 1, "'net-a/b' is not a valid name"),
    ):
        done = process(*options)
        assert done.returncode == status and done.stderr.splitlines()[-1].startswith("Error: "), done.stderr
        assert text in done.stderr and "Traceback" not in done.stderr


def test_programs_that_fail_or_never_end(shop, tmp_path):
    for line, text in (
        ("programs['client'] = lambda: 1 / 0", "ZeroDivisionError: division by zero"),
        ("import threading\nprograms['client'] = lambda: threading.Event().wait()", "nothing can ever happen again"),
    ):
        Path(shop).write_text(f"{SHOP}\n{line}\n")
        done = process("net", "run", shop)
        assert done.returncode == 1 and text in done.stderr
    Path(shop).write_text(f"{SHOP}\nbackground['web'] = lambda: 1 / 0\n")
    done = process("run", "--sim", shop, "--host", "client", "--", "-c", "import time; time.sleep(1)")
    assert done.returncode == 1 and "ZeroDivisionError" in done.stderr
