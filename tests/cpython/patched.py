"""Run a module of CPython's own tests, as it is, on a stack: in a process that is patched by pystack.patch.

python -m tests.cpython.patched MODULE...          such as test.test_asyncio.test_streams
python -m tests.cpython.patched --kernel MODULE    the same on the kernel's sockets, to compare
"""

import contextlib
import faulthandler
import importlib
import json
import subprocess
import sys
import unittest
from typing import Any

#: seconds for one module
SECONDS = 110


def child(name: str, kernel: bool) -> int:
    """Run one module in this process; the result is a line of JSON."""
    faulthandler.dump_traceback_later(SECONDS - 10, exit=True)
    import test.support.socket_helper  # noqa: F401 (loaded on the kernel's sockets)

    import pystack

    with contextlib.ExitStack() as undo:
        if not kernel:
            undo.enter_context(pystack.up(tap=None, name="local"))
            undo.enter_context(pystack.patch())
        suite = unittest.defaultTestLoader.loadTestsFromModule(importlib.import_module(name))
        result = unittest.TextTestRunner(stream=sys.stderr, verbosity=2).run(suite)
    failed = {str(test.id()).rpartition(".")[2]: text for test, text in result.failures + result.errors}
    print("\n" + json.dumps({"run": result.testsRun, "failed": failed}))
    return 0


def run(name: str, kernel: bool = False) -> dict[str, Any]:
    """Run a module in a process of its own. A hang is reported as a failure."""
    options = ["--kernel"] if kernel else []
    command = [sys.executable, "-W", "ignore", "-m", "tests.cpython.patched", "--child", *options, name]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        return {"run": 0, "failed": {name: "hangs"}}
    for line in reversed(done.stdout.splitlines()):
        if line.startswith("{"):
            return json.loads(line)  # type: ignore[no-any-return]
    return {"run": 0, "failed": {name: done.stderr[-3000:]}}


def main(argv: list[str]) -> int:
    """Run the modules that are named, and print what failed."""
    kernel = "--kernel" in argv
    names = [name for name in argv if not name.startswith("--")]
    if "--child" in argv:
        return child(names[0], kernel)
    failed = 0
    for name in names:
        report = run(name, kernel)
        failed += len(report["failed"])
        print(f"{name}: {report['run']} run, {len(report['failed'])} failed", flush=True)
        for test, text in report["failed"].items():
            print(f"  FAILED {test}\n    " + text.strip().replace("\n", "\n    "))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
