"""What became of the tests of a child process, and how the parent learns it: both runners of CPython's tests use this."""

import json
import subprocess
import sys
import unittest
from collections.abc import Collection, Iterator
from typing import Any


def name_of(test: Any) -> str:
    """`Class.method`. A subtest has its test's name, and a set-up that failed has a text with the class in it."""
    test = getattr(test, "test_case", test)
    if not isinstance(test, unittest.TestCase):
        return str(test)
    return f"{type(test).__name__}.{test._testMethodName}"


def be_patient() -> None:
    """Let CPython's tests wait longer, as its own runner does with `--timeout` on slow machines. Call it before they are imported."""
    from test import support

    for name, seconds in (("LOOPBACK_TIMEOUT", 60.0), ("SHORT_TIMEOUT", 120.0), ("INTERNET_TIMEOUT", 120.0)):
        setattr(support, name, max(getattr(support, name), seconds))


class Outcome(unittest.TextTestResult):
    """The results, by the names of the tests."""

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.passed: list[str] = []

    def addSuccess(self, test: Any) -> None:
        super().addSuccess(test)
        self.passed.append(name_of(test))

    def report(self, **more: Any) -> dict[str, Any]:
        """What `child` returns in the parent."""
        failed = {name_of(test): text for test, text in self.failures + self.errors}
        passed = sorted(set(self.passed) - set(failed))
        return {"run": self.testsRun, "failed": failed, "passed": passed, "skipped": self.named_skips(), **more}

    def named_skips(self) -> dict[str, str]:
        return {name_of(test): reason for test, reason in self.skipped}


def run_suite(suite: Any) -> Outcome:
    """Run the tests and write their names to standard error."""
    return unittest.TextTestRunner(stream=sys.stderr, verbosity=2, resultclass=Outcome).run(suite)  # type: ignore[return-value]


def tests_of(suite: Any) -> Iterator[Any]:
    """The single tests of a suite."""
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from tests_of(test)
        else:
            yield test


def only(suite: Any, names: Collection[str]) -> unittest.TestSuite:
    """The tests of a suite that have these names (`Class` or `Class.method`)."""
    chosen = unittest.TestSuite()
    for test in tests_of(suite):
        if type(test).__name__ in names or name_of(test) in names:
            chosen.addTest(test)
    return chosen


def child(arguments: list[str], name: str, seconds: float) -> dict[str, Any]:
    """Run a program that prints a report as its last line. A hang or a crash is reported as a failure of the test `name`."""
    command = [sys.executable, "-W", "ignore", "-m", *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=seconds)
    except subprocess.TimeoutExpired:
        return {"run": 0, "failed": {name: "hangs"}, "passed": [], "skipped": {}}
    for line in reversed(done.stdout.splitlines()):
        if line.startswith("{"):
            return json.loads(line)  # type: ignore[no-any-return]
    text = f"the process ended with status {done.returncode}\n" + done.stderr[-6000:]
    return {"run": 0, "failed": {name: text}, "passed": [], "skipped": {}}


def show(name: str, report: dict[str, Any]) -> None:
    """Print the numbers of a report, what failed and what was skipped."""
    failed, skipped = report["failed"], report["skipped"]
    print(f"{name}: {report['run']} run, {len(failed)} failed, {len(skipped)} skipped", flush=True)
    for test, text in failed.items():
        print(f"  FAILED {test}\n    " + text.strip().replace("\n", "\n    "))
    for test, reason in skipped.items():
        print(f"  skipped {test}: {reason}")
    if report.get("core"):
        print(f"  THE CORE FAILED: {report['core']}")
