"""What a failing test reports: the smallest run, the command that replays it, and its files (pystack/pytest_plugin/protocol.py)."""

import json
import os
import re
import shlex
import subprocess
import sys

import pytest

from pystack.trace.replay import replay
from tests.pytest_plugin.conftest import ECHO

pytest.importorskip("greenlet")
pytest_plugins = ["pytester"]

#: the client gives up too early and asks once more, so the server may count twice
TWICE = (
    ECHO
    + """
count = 0

async def count_up(reader, writer):
    global count
    await reader.readexactly(1)
    count += 1
    writer.write(b"ok")
    await writer.drain()
    writer.close()

async def server():
    async with await asyncio.start_server(count_up, "0.0.0.0", 7) as server:
        await server.serve_forever()

async def once():
    reader, writer = await asyncio.open_connection("server", 7)
    try:
        writer.write(b"x")
        await reader.readexactly(2)
    finally:
        writer.close()

async def client():
    while True:
        try:
            return await asyncio.wait_for(once(), 0.5)
        except TimeoutError:
            pass

@pytest.mark.pystack(delay="80ms", loss=0.08, duplicate=0.2, hosts=3)
async def test_count(net):
    global count
    count = 0
    net.start("server", server)
    await client()
    await asyncio.sleep(5)
    print("the count is", count)
    assert count == 1
"""
)


def section(result):
    """The section of ours in the output."""
    found = re.findall(r"^-+ pystack -+\n(.*?)(?=^[_=-]{4,})", result.stdout.str(), re.M | re.S)
    assert len(found) == 1, result.stdout.str()
    return found[0]


def test_a_failing_run_is_shrunk_recorded_and_replayed_by_the_command(inner, monkeypatch):
    inner.write(TWICE)
    result = inner.here("--pystack-seeds=12", "--maxfail=1")
    assert result.parseoutcomes()["failed"] == 1
    text = section(result)
    assert re.search(r"^seed \d+, failed after \d\.\d{6} s of virtual time\n", text)
    assert re.search(r"^the smallest run that fails in the same way, found by \d+ runs:$", text, re.M)
    (left, of) = re.search(r"^  (\d+) of (\d+) faults of the network$", text, re.M).groups()
    assert 0 < int(left) < int(of) and int(left) <= 3
    assert re.search(
        r"^    0\.\d{6} s: frame \d+ (from|to) (test|server) is lost: \w+\.\d+ > \w+\.\d+: Flags", text, re.M
    )
    assert "  0 of 3 hosts\n" in text
    # The report is that of the smallest run.
    assert len(re.findall("^the count is", result.stdout.str(), re.M)) == 1
    plan = json.loads(inner.path.joinpath(re.search(r"--pystack-replay=(\S+)", text)[1]).read_text())
    assert len(plan["faults"]) == int(left) and plan["without"] == ["host1", "host2", "host3"]
    paths = dict(re.findall(r"^(trace|capture|stepper): +(\S+)", text, re.M))
    counts = replay(str(inner.path / paths["trace"]))
    assert counts.hosts == 2 and counts.frames > 5
    assert (inner.path / paths["capture"]).read_bytes()[:4] == b"\x0a\x0d\x0d\x0a"
    assert "Content-Security-Policy" in (inner.path / paths["stepper"]).read_text()
    # The command is run as it stands, in a shell.
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    command = re.search(r"^replay: +(.*)$", text, re.M)[1]
    done = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=100)
    assert done.returncode == 1 and "assert 2 == 1" in done.stdout
    again = re.search(r"^-+ pystack -+\n(.*?)(?=^[_=-]{4,})", done.stdout, re.M | re.S)[1]
    assert again.splitlines()[2:] == text.splitlines()[3 : 3 + int(left)]
    assert again.splitlines()[0].endswith(text.splitlines()[0])


def test_a_replay_of_a_test_that_passes_now(inner):
    inner.write(TWICE)
    inner.here("--pystack-seeds=12", "--maxfail=1")
    (path,) = (inner.path / ".pytest_cache/d/pystack/test_it").glob("*.json")
    inner.write(TWICE.replace("count += 1", "count = 1"))
    result = inner.here(f"--pystack-replay={path}")
    result.assert_outcomes(passed=1)
    result = inner.here(f"--pystack-replay={path}", "--co", "-k", "nothing")
    assert result.ret == 4 and "replays test_it.py::test_count, which is not among the tests" in result.stderr.str()
    path.write_text("{}")
    result = inner.here(f"--pystack-replay={path}")
    assert result.ret == 4 and "does not replay a test" in result.stderr.str()


def test_shrinking_can_be_switched_off(inner):
    inner.write(TWICE)
    result = inner.here("--pystack-seeds=12", "--maxfail=1", "--pystack-shrink=0")
    text = section(result)
    assert "smallest" not in text and len(re.findall(r"^(replay|trace|capture|stepper): ", text, re.M)) == 4
    (path,) = (inner.path / ".pytest_cache/d/pystack/test_it").glob("*.json")
    assert "faults" not in json.loads(path.read_text())
    result = inner.here("test_it.py::test_count", f"--pystack-replay={path}")
    result.assert_outcomes(failed=1)


def test_every_test_is_recorded_if_that_is_asked_for(inner):
    inner.write(
        ECHO + "async def test_one(net):\n    net.start('server', serve)\n    await ask()\ndef test_two(): pass\n"
    )
    result = inner.here("--pystack-record=runs")
    result.assert_outcomes(passed=2)
    assert [str(path.relative_to(inner.path)) for path in sorted(inner.path.glob("runs/**/*.*"))] == [
        "runs/test_it/test_one.pytrace"
    ]
    assert replay(str(inner.path / "runs/test_it/test_one.pytrace")).hosts == 2
    inner.path.joinpath("file").write_text("")
    result = inner.here("--pystack-record=file/runs")
    assert result.ret == 4 and "--pystack-record=file/runs: Not a directory" in result.stderr.str()


def test_if_no_file_can_be_written_the_command_has_the_seed(inner):
    inner.write(TWICE)
    inner.path.joinpath(".pytest_cache/d/pystack").mkdir(parents=True)
    inner.path.joinpath(".pytest_cache/d/pystack/test_it").write_text("a file")
    result = inner.here("--pystack-seeds=12", "--maxfail=1")
    text = section(result)
    assert "there are no files: " in text and re.search(
        r"^replay: .* test_it.py::test_count --pystack-seed=\d+$", text, re.M
    )
    words = shlex.split(re.search(r"^replay: +(.*)$", text, re.M)[1])
    inner.here(*words[words.index("pytest") + 1 :]).assert_outcomes(failed=1)


def test_a_failure_that_depends_on_something_real_is_reported_as_such(inner):
    inner.write(
        ECHO
        + """
runs = 0
def test_once(net):
    global runs
    runs += 1
    time.sleep(1)
    assert runs > 1
"""
    )
    text = section(inner.here())
    assert "the same run did not fail in the same way when it was repeated" in text and "--pystack-seed=1" in text


def test_a_deadlock_says_which_programs_wait_and_for_what(inner):
    inner.write(
        ECHO
        + """
async def test_hangs(net):
    net.start("server", listen)
    await asyncio.open_connection("server", 7)
    await asyncio.Event().wait()

async def listen():
    server = await asyncio.start_server(echo, "0.0.0.0", 7)
    await asyncio.Event().wait()

@pytest.mark.pystack(limit="30s")
def test_never_ends(net):
    while True:
        time.sleep(1)
"""
    )
    result = inner.here("--pystack-shrink=20", "-W", "default")
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(
        [
            ">       await asyncio.Event().wait()",
            "",
            "test_it.py:*: SimDeadlock",
            ">           time.sleep(1)",
            "",
            "test_it.py:*: SimError",
        ]
    )
    result.stdout.fnmatch_lines(
        [
            "E *SimDeadlock: nothing can ever happen again at * s: no event is due",
            "E *host 'test': task 'test_hangs' waits in Event.wait at *test_it.py:*",
            "E *host 'server': task 'listen' waits in Event.wait at *test_it.py:*",
            "E *SimError: the programs have not ended after * s of virtual time, their limit",
            "E *host 'test': program 'test_never_ends' waits for a sleep *at *test_it.py:*",
            "  a limit of 1.875 s of virtual time",
        ]
    )
    assert len(result.stdout.str().splitlines()) < 100  # no frames of the simulator


def test_what_else_may_happen_to_a_test(inner):
    inner.write(
        ECHO
        + """
@pytest.mark.xfail(strict=True)
def test_expected(net):
    time.sleep(1)
    assert 0

@pytest.mark.xfail(strict=True)
async def test_expected_but_passes(net):
    await asyncio.sleep(1)

def test_skipped(net):
    time.sleep(1)
    pytest.skip("no reason")

async def test_skipped_too(net):
    pytest.skip("no reason")

@pytest.mark.skip
def test_never(net): pass

@pytest.fixture
def broken_end(net):
    yield
    raise ValueError("in the teardown")

def test_teardown(broken_end):
    time.sleep(1)

@pytest.fixture
async def broken_begin(net):
    await asyncio.sleep(1)
    raise ValueError("in the setup")

def test_setup(broken_begin): pass

@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("text", ["a b", "c"])
async def test_parameters(net, number, text):
    assert (number, text) != (2, "a b")

@pytest.fixture(scope="module")
def whole():
    yield
    print("the module ends")

def test_last(net, whole):
    assert 0
"""
    )
    result = inner.here("--pystack-shrink=20")
    # (the strict test that passes is a failure, and the tests with a broken fixture are a pass with an error, and an error)
    result.assert_outcomes(xfailed=1, failed=3, skipped=3, passed=4, errors=2)
    assert result.stdout.str().count("- pystack -") == 4
    result.stdout.fnmatch_lines(["*ValueError: in the teardown", "*ValueError: in the setup", "the module ends"])


def test_the_fixtures_of_the_module_end_once_and_what_a_test_prints_is_there_once(inner):
    inner.write(
        ECHO
        + """
@pytest.fixture(scope="module", autouse=True)
def whole():
    with open("begun", "a") as file: file.write("x")
    yield
    with open("ended", "a") as file: file.write("x")

class TestClass:
    runs = 0

    @pytest.fixture(autouse=True)
    def each(self, net):
        print("fixture begins")
        yield
        print("fixture ends")

    def test_it(self, net):
        assert not hasattr(self, "used")
        self.used = True
        print("the test prints")
        import warnings
        warnings.warn("a warning of the test")
        assert net.seed == 0
"""
    )
    result = inner.here("--pystack-seeds=2", "--pystack-shrink=10", "-W", "default")
    result.assert_outcomes(failed=2, warnings=2)
    assert (inner.path / "begun").read_text() == (inner.path / "ended").read_text() == "x"
    for line in ("fixture begins", "the test prints", "fixture ends"):
        assert result.stdout.str().count(f"\n{line}\n") == 2
    assert result.stdout.str().count("no fault of the network") == 2


def test_ctrl_c_ends_shrinking_and_the_session(inner):
    """The run that shrinks must not hide the failure that was found already."""
    inner.write(
        ECHO
        + """
import os, signal
runs = 0
def test_it(net):
    global runs
    runs += 1
    time.sleep(1)
    if runs == 3:
        os.kill(os.getpid(), signal.SIGINT)
    assert 0
def test_next(): pass
"""
    )
    result = inner.apart("--pystack-shrink=50")
    assert result.ret == 2
    result.stdout.fnmatch_lines(["*shrinking was interrupted", "*1 failed in*"])
    assert "test_next" not in result.stdout.str()


@pytest.mark.parametrize(
    "program", ["async def program():\n    await asyncio.sleep(1)", "def program():\n    time.sleep(1)"]
)
def test_ctrl_c_in_a_test_ends_the_session(inner, program):
    inner.write(ECHO + "import os, signal\n" + program + "\n    os.kill(os.getpid(), signal.SIGINT)\n    time.sleep(1)\n"
        "def test_it(net):\n    net.start('a', program)\n    time.sleep(5)\n"
        "def test_next(): pass\n")  # fmt: skip
    result = inner.apart()
    assert result.ret == 2 and "KeyboardInterrupt" in result.stdout.str() and " passed" not in result.stdout.str()


def test_the_debugger_begins_once_and_nothing_is_shrunk(inner):
    inner.write(ECHO + "def test_it(net):\n    time.sleep(1)\n    assert 0\n")
    command = [sys.executable, "-m", "pytest", "-p", "no:asyncio", "--pdb"]
    done = subprocess.run(command, input="q\n", capture_output=True, text=True, timeout=100)
    assert done.stdout.count("(Pdb)") == 1 and "smallest" not in done.stdout
