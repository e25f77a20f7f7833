"""The plugin beside other plugins and beside tests that do not use it (pystack/pytest_plugin/__init__.py)."""

import subprocess
import sys

import pytest

from tests.pytest_plugin.conftest import ECHO

pytest.importorskip("greenlet")
pytest_plugins = ["pytester"]

NOTHING = """
import sys, time, socket, asyncio, random, select, threading, warnings
before = [time.sleep, time.monotonic, socket.socket, asyncio.new_event_loop, random.random, select.select, threading.Thread.start]

def test_one(request, tmp_path):
    assert before == [time.sleep, time.monotonic, socket.socket, asyncio.new_event_loop, random.random, select.select, threading.Thread.start]
    loaded = sorted(name for name in sys.modules if name.partition(".")[0] in ("pystack", "pystack_c", "greenlet"))
    print("LOADED", *loaded)
    print("FIXTURES", *request.fixturenames)
"""


def test_a_project_that_does_not_use_the_plugin_gets_four_small_modules_and_nothing_else(inner):
    inner.write(NOTHING)
    result = inner.apart("-s", "-p", "no:anyio", "-p", "no:hypothesispytest")
    result.assert_outcomes(passed=1)
    text = result.stdout.str()
    loaded = text.partition("LOADED ")[2].splitlines()[0].split()
    assert (
        set(loaded) <= {"pystack", "pystack._build", "pystack.pytest_plugin", "pystack.pytest_plugin.items"}
        and "pystack.pytest_plugin" in loaded
    )
    assert sorted(text.partition("FIXTURES ")[2].splitlines()[0].split()) == ["request", "tmp_path", "tmp_path_factory"]
    inner.apart("-p", "no:pystack", "-W", "error").assert_outcomes(passed=1)


def test_after_a_test_everything_is_as_it_was(inner):
    inner.write(
        ECHO + NOTHING.replace("def test_one", "async def test_first(net):\n    await asyncio.sleep(5)\n\ndef test_one")
    )
    inner.here("-W", "error").assert_outcomes(passed=2)


def test_without_the_plugin_its_tests_say_what_is_missing(inner):
    inner.write("def test_it(net): pass\n")
    result = inner.here("-p", "no:pystack")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*fixture 'net' not found"])


@pytest.mark.parametrize("mode", ["strict", "auto"])
def test_in_one_file_with_pytest_asyncio_and_anyio(inner, mode):
    pytest.importorskip("pytest_asyncio")
    inner.write(
        ECHO
        + """
import pytest_asyncio

def kind():
    return type(asyncio.get_running_loop()).__name__

async def test_ours(net, ours):
    net.start("server", serve)
    assert await ask() == ours == b"hello" and kind() == "SimLoop" and net.now > 0

@pytest.fixture
async def ours(net):
    assert kind() == "SimLoop"
    await asyncio.sleep(1)
    yield b"hello"

@pytest.mark.pystack
async def test_marked():
    began = time.monotonic()
    await asyncio.sleep(1000)
    assert kind() == "SimLoop" and time.monotonic() - began == 1000

class TestOurs:
    async def test_method(self, net):
        assert kind() == "SimLoop" and isinstance(self, TestOurs)

@pytest_asyncio.fixture
async def theirs():
    assert kind() != "SimLoop"
    yield 7

@pytest.mark.asyncio
async def test_asyncio(theirs):
    assert kind() != "SimLoop" and theirs == 7
    began = time.monotonic()
    await asyncio.sleep(0.01)
    assert 0.009 < time.monotonic() - began < 10

@pytest.fixture
def anyio_backend():
    return "asyncio"

@pytest.mark.anyio
async def test_anyio(anyio_backend):
    assert kind() != "SimLoop"

def test_plain():
    assert socket.gethostname() != "test"
"""
    )
    arguments = ["-p", "no:xdist", f"--asyncio-mode={mode}", "-o", "asyncio_default_fixture_loop_scope=function", "-v"]
    result = inner.pytester.run(sys.executable, "-m", "pytest", *arguments, timeout=100)
    result.assert_outcomes(passed=6)


@pytest.mark.parametrize("other", ["asyncio", "anyio"])
def test_a_test_cannot_run_in_both_times(inner, other):
    inner.write(ECHO + f"@pytest.mark.{other}\nasync def test_it(net): pass\n")
    result = inner.here("-W", "default")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        [f"*test_it.py::test_it has the mark '{other}', so it runs in real time*remove one of them"]
    )


def test_a_fixture_of_the_project_with_the_same_name_wins(inner):
    inner.write(
        """
import pytest, socket
@pytest.fixture
def net():
    return 5
def test_it(net):
    assert net == 5 and socket.gethostname() != "test"
"""
    )
    inner.here("--pystack-seeds=3").assert_outcomes(passed=1)


def test_a_fixture_of_the_project_that_extends_ours(inner):
    inner.write(
        ECHO
        + """
@pytest.fixture
def net(net):
    net.start("server", serve)
    return net
async def test_it(net):
    assert await ask() == b"hello"
"""
    )
    inner.here("--pystack-seeds=3").assert_outcomes(passed=3)


def test_methods_of_unittest_cannot_run_in_virtual_time(inner):
    inner.write(
        """
import unittest, pytest
class TestIt(unittest.TestCase):
    @pytest.mark.pystack
    def test_it(self): pass
"""
    )
    result = inner.here()
    assert result.ret == 4 and "not for methods of unittest.TestCase" in result.stderr.str()


def test_a_mark_that_another_plugin_adds(inner):
    inner.pytester.makeconftest(
        """
import pytest
def pytest_collection_modifyitems(items):
    for item in items:
        item.add_marker(pytest.mark.pystack(delay="7ms"))
"""
    )
    inner.write(
        ECHO + "async def test_it():\n    await asyncio.sleep(1000)\n    assert socket.gethostname() == 'test'\n"
    )
    inner.here().assert_outcomes(passed=1)


def test_xdist_spreads_the_seeds(inner):
    inner.write(
        ECHO
        + """
import os
@pytest.mark.pystack(delay="10ms", loss=0.1)
async def test_it(net, worker_id):
    net.start("server", serve)
    assert await ask() == b"hello"
    with open("workers", "a") as file: file.write(worker_id + " ")
    assert net.seed != 5
"""
    )
    result = inner.apart("-n", "2", "--pystack-seeds=12", "--pystack-shrink=20")
    result.assert_outcomes(passed=11, failed=1)
    assert set((inner.path / "workers").read_text().split()) == {"gw0", "gw1"}
    text = result.stdout.str()
    assert (
        "seed 5, failed after" in text
        and " test_it.py::test_it --pystack-replay=" in text
        and "-c" not in text.partition("replay:")[2].splitlines()[0].split()
    )


def test_a_timeout_in_real_time_ends_a_test_that_never_waits(inner):
    pytest.importorskip("pytest_timeout")
    text = "@pytest.mark.timeout(2)\ndef test_it(net):\n    while True: pass\ndef test_next(net): pass\n"
    result = inner.write(ECHO + text).apart()
    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines(
        [
            "*Timeout (>2.0s) from pytest-timeout.",
            "the run was not repeated, because it took * s of real time",
            "replay: * test_it.py::test_it --pystack-seed=1",
        ]
    )


def test_hypothesis(inner):
    inner.write(
        ECHO
        + """
from hypothesis import HealthCheck, given, settings, strategies as st

@given(data=st.binary(min_size=1, max_size=1000))
@settings(max_examples=5, suppress_health_check=list(HealthCheck), deadline=None, derandomize=True, database=None)
def test_it(net, data):
    if "server" not in net.hosts:
        net.start("server", serve)
    with socket.create_connection(("server", 7)) as sock:
        sock.sendall(data)
        assert sock.recv(1000, socket.MSG_WAITALL if len(data) > 999 else 0)[:1] == data[:1]
"""
    )
    inner.here("-W", "error").assert_outcomes(passed=1)


def test_the_fixtures_can_be_shown(inner):
    inner.write(ECHO + "def test_it(net): pass\n")
    result = inner.here("--setup-show")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*SETUP    F _pystack*", "*SETUP    F net*"])
    inner.here("--setup-plan").assert_outcomes()


def test_the_plugin_module_imports_pytest_alone():
    code = "import pystack.pytest_plugin, sys; print(*sorted(n for n in sys.modules if n.startswith(('pystack', 'asyncio', 'greenlet'))))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == ["pystack", "pystack._build", "pystack.pytest_plugin", "pystack.pytest_plugin.items"]
