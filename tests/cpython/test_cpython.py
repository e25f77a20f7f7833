"""CPython's own test_socket and test_selectors on our sockets, class by class. left_out.py lists the tests that do not pass."""

import importlib.util

import pytest

from tests.cpython import left_out, runner

try:
    CLASSES = runner.classes() if importlib.util.find_spec("test.test_socket") else []
except ImportError:
    CLASSES = []
#: these take longer than two seconds each
LONG = ["NetworkConnectionBehaviourTest", "GeneralModuleTests", "TCPTimeoutTest", *runner.SELECTORS]


@pytest.mark.skipif(not CLASSES, reason="this Python comes without its own tests (Debian: libpython3.X-testsuite)")
def test_there_are_classes_to_run():
    assert len(CLASSES) >= 30
    assert {"GeneralModuleTests", "BasicTCPTest", "BasicUDPTest", "NonBlockingTCPTests"} <= set(CLASSES)


def check(name: str) -> None:
    wrong = left_out.differences("pystack.socket", runner.run(name))
    assert not wrong, wrong


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in CLASSES if name not in LONG])
def test_class(name):
    check(name)


@pytest.mark.once
@pytest.mark.parametrize("name", LONG if CLASSES else [])
def test_long_class(name):
    check(name)
