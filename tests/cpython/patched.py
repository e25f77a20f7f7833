"""Run a module of CPython's own tests, as it is, on a stack: in a process that is patched by pystack.patch.

python -m tests.cpython.patched MODULE...                        such as test.test_asyncio.test_streams
python -m tests.cpython.patched --kernel MODULE                  the same on the kernel's sockets, to compare
python -m tests.cpython.patched --only=Class,Class.test MODULE   some tests of it
"""

import contextlib
import faulthandler
import importlib
import json
import sys
import unittest
from collections.abc import Collection
from typing import Any

from tests.cpython import outcome

#: seconds for one module, against those that hang: the slowest take 40 on a machine of their own
SECONDS = 400
#: what CPython's tests may use. Only test_socketserver has the network, which is its word for the loopback; for others it is the internet.
RESOURCES = ["cpu", "walltime"]


def child(name: str, kernel: bool, names: Collection[str]) -> int:
    """Run one module in this process. The result is a line of JSON."""
    faulthandler.dump_traceback_later(SECONDS - 10, exit=True)
    import test.support

    import pystack

    # One test of test_socketserver waits in vain, because a child process has no stack (left_out.py).
    if not name.endswith("test_socketserver"):
        outcome.be_patient()
    test.support.use_resources = RESOURCES + ["network"] * name.endswith("test_socketserver")  # type: ignore[attr-defined]
    core = None
    with contextlib.ExitStack() as undo:
        if not kernel:
            running = undo.enter_context(pystack.up(tap=None, name="local"))
            undo.enter_context(pystack.patch())
        suite = unittest.defaultTestLoader.loadTestsFromModule(importlib.import_module(name))
        result = outcome.run_suite(outcome.only(suite, names) if names else suite)
        if not kernel:
            core = running.host.failure
    print("\n" + json.dumps(result.report(core=None if core is None else repr(core))))
    return 0


def run(name: str, kernel: bool = False, names: Collection[str] = ()) -> dict[str, Any]:
    """Run a module, or the tests of it that are named, in a process of its own. A hang is reported as a failure."""
    options = ["--kernel"] if kernel else []
    if names:
        options.append("--only=" + ",".join(sorted(names)))
    return outcome.child(["tests.cpython.patched", "--child", *options, name], name, SECONDS)


def main(argv: list[str]) -> int:
    """Run the modules that are named, and print what failed."""
    kernel = "--kernel" in argv
    names = [name for option in argv if option.startswith("--only=") for name in option[7:].split(",")]
    modules = [name for name in argv if not name.startswith("--")]
    if "--child" in argv:
        return child(modules[0], kernel, names)
    failed = 0
    for module in modules:
        report = run(module, kernel, names)
        failed += len(report["failed"])
        outcome.show(module, report)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
