"""Run CPython's own test_socket and test_selectors on pystack's sockets: one TestCase class a process.

    python -m tests.cpython.runner [CLASS...]

The standard library's Lib/socket.py is executed on our `_socket` (`pystack.socket`), put into sys.modules in place of
both modules, and then Lib/test/test_socket.py is imported as it is. The stack has only its loopback. (test_selectors asks for
socketpair(), which gives sockets of the kernel: its pairs are connections of the stack instead.)
"""

import faulthandler
import importlib
import json
import re
import resource
import sys
import unittest
from typing import Any

from tests.cpython import outcome

#: classes for other families and platforms
_OTHER = re.compile(
    "UDPLITE|6|SCTP|CAN|ISOTP|J1939|RDS|QIPCRTR|VSOCK|Bluetooth|Unix|UNIX|TIPC|Crypto|SCMRights|Hyper|Abstract|Sharing|Fds"
    "|MSWindows|MacOS"
)
#: seconds for one class, against those that hang
SECONDS = 150


def classes() -> list[str]:
    """The TestCase classes of test_socket for TCP and UDP over IPv4, and those without a family."""
    module = importlib.import_module("test.test_socket")
    found = []
    for name, value in vars(module).items():
        if isinstance(value, type) and issubclass(value, unittest.TestCase) and value.__module__ == module.__name__:
            tests = unittest.defaultTestLoader.loadTestsFromTestCase(value).countTestCases()
            if tests and not _OTHER.search(name):
                found.append(name)
    return found


#: of test_selectors
SELECTORS = ["DefaultSelectorTestCase", "SelectSelectorTestCase", "PollSelectorTestCase", "EpollSelectorTestCase"]


def connection(*_: Any) -> tuple[Any, Any]:
    """What socketpair() is on other platforms: both ends of a connection."""
    from pystack import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        client = socket.create_connection(server.getsockname())
        conn, _ = server.accept()
        # The kernel's sockets have their numbers from the beginning.
        assert client.fileno() != conn.fileno()
        return client, conn


def child(name: str) -> int:
    """Run one class in this process; the result is a line of JSON."""
    faulthandler.dump_traceback_later(SECONDS - 10, exit=True)
    # These want the C module's API, so they come before the swap.
    import _ssl  # noqa: F401
    import select  # noqa: F401
    import selectors  # noqa: F401

    import pystack
    from pystack import socket
    from pystack.sockets import module as _socket

    real = {key: sys.modules[key] for key in ("socket", "_socket")}
    with pystack.up(tap=None, name="local") as running:
        import test.support  # loaded on the kernel's sockets
        import test.support.socket_helper

        outcome.be_patient()
        sys.modules["socket"], sys.modules["_socket"] = socket, _socket
        try:
            importlib.reload(test.support.socket_helper)
            module = importlib.import_module("test.test_selectors" if name in SELECTORS else "test.test_socket")
            if name in SELECTORS:
                module.socketpair = connection  # type: ignore[attr-defined]
                # (One test makes as many pairs as there may be descriptors.)
                resource.setrlimit(resource.RLIMIT_NOFILE, (1200, 1200))
            suite = unittest.defaultTestLoader.loadTestsFromTestCase(getattr(module, name))
            result = outcome.run_suite(suite)
        finally:
            sys.modules.update(real)
        failure = running.host.failure
    report = result.report(core=None if failure is None else repr(failure))
    print("\n" + json.dumps(report))
    return 0


def run(name: str) -> dict[str, Any]:
    """Run one class in a process of its own."""
    return outcome.child(["tests.cpython.runner", "--child", name], name, SECONDS)


def main(argv: list[str]) -> int:
    """Run the classes named, or all; print what failed."""
    if argv[:1] == ["--child"]:
        return child(argv[1])
    total = failed = skipped = 0
    for name in argv or [*classes(), *SELECTORS]:
        report = run(name)
        total += report["run"]
        failed += len(report["failed"])
        skipped += len(report["skipped"])
        outcome.show(name, report)
    print(f"{total} run, {failed} failed, {skipped} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
