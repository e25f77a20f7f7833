"""CPython's own test_socket and test_selectors on our sockets, class by class, with the list of what is expected to differ, and why."""

import importlib.util

import pytest

from tests.cpython import runner

#: (class, test) -> why it cannot pass
EXPECTED_FAILURES = {
    (
        "GeneralModuleTests",
        "testRefCountGetNameInfo",
    ): "counts references: a traceback through Python frames holds some",
    ("GeneralModuleTests", "test_socket_type"): "our class is no C type: attributes can be set on it",
    (
        "BasicSocketPairTest",
        "testDefaults",
    ): "socketpair() gives kernel sockets, which are the standard library's class",
}
#: what a reason for skipping may begin with
EXPECTED_SKIPS = (
    "IPv6",  # the stack speaks IPv4
    "dualstack_ipv6",
    "macOS",
    "Windows",
    "name lookup failure",  # the machine's own name, which a stack of its own does not know
    "Resource",  # dials hosts on the internet
    "CPU time",
    "FD limit reached",  # a pair takes four descriptors, and the test has two for it
)
#: skipped without a reason
SILENT_SKIPS = {("SelectSelectorTestCase", "test_modify_unregister")}  # select(2) has nothing to unregister from

try:
    CLASSES = runner.classes() if importlib.util.find_spec("test.test_socket") else []
except ImportError:
    CLASSES = []


@pytest.mark.skipif(not CLASSES, reason="this Python comes without its own tests (Debian: libpython3.X-testsuite)")
def test_there_are_classes_to_run():
    assert len(CLASSES) >= 30
    assert {"GeneralModuleTests", "BasicTCPTest", "BasicUDPTest", "NonBlockingTCPTests"} <= set(CLASSES)


@pytest.mark.slow
@pytest.mark.parametrize("name", CLASSES + runner.SELECTORS if CLASSES else [])
def test_class(name):
    report = runner.run(name)
    unexpected = {test: text for test, text in report["failed"].items() if (name, test) not in EXPECTED_FAILURES}
    assert not unexpected, "\n".join(f"{test}\n{text}" for test, text in unexpected.items())
    assert report["run"] > 0
    assert report["core"] is None
    odd = {
        test: why
        for test, why in report["skipped"].items()
        if not why.startswith(EXPECTED_SKIPS) and (name, test) not in SILENT_SKIPS
    }
    assert not odd
