"""The kernel as the peer: a namespace of its own for each test, a TAP in it, the stack behind the TAP."""

import contextlib
import socket as kernel
from collections.abc import Iterator
from typing import Any

import pytest

from pystack.kernel.netns import Namespace
from pystack.patching import kernel_socket
from pystack.phy.tap import TapDevice
from pystack.running import Running, up
from tests.support.patience import PATIENCE

KERNEL = "10.0.0.1"
STACK = "10.0.0.2"


def why_not() -> str:
    """Why there can be no test with the kernel here, or ""."""
    try:
        with Namespace.new() as space, TapDevice("t%d", netns=space):
            return ""
    except OSError as exc:
        return f"no namespace or TAP here: {exc}"


_reason = why_not()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder needs the kernel."""
    for item in items:
        if "/tests/kernel/" in str(item.path):
            item.add_marker("kernel")
            if _reason:
                item.add_marker(pytest.mark.skip(reason=_reason))


class Net:
    """A namespace with a TAP (kernel side 10.0.0.1/24) and a stack (10.0.0.2) behind it."""

    def __init__(self, space: Namespace, running: Running):
        self.space = space
        self.running = running
        self._undo = contextlib.ExitStack()

    def kernel(self, kind: int = kernel.SOCK_STREAM, proto: int = 0, timeout: float = PATIENCE) -> kernel.socket:
        """A kernel socket inside the namespace, closed with the test."""
        sock: kernel.socket = self.space.call(kernel_socket, kernel.AF_INET, kind, proto)
        sock.settimeout(timeout)
        return self._undo.enter_context(sock)

    def socket(self, *args: Any, timeout: float | None = PATIENCE) -> Any:
        """A socket of the stack, closed with the test."""
        sock = self.running.socket(*args)
        sock.settimeout(timeout)
        return self._undo.enter_context(sock)

    def sh(self, command: str, timeout: float = 30) -> Any:
        """Run a command in the namespace."""
        return self.space.run(command.split(), capture_output=True, text=True, timeout=timeout)

    def close(self) -> None:
        """Close the sockets that the test opened, then the stack."""
        self._undo.close()
        self.running.close(flush=0)


def make(**options: Any) -> Iterator[Net]:
    """A Net, and its end; a stack that failed by itself fails the test."""
    with Namespace.new() as space:
        space.quiet()
        yield from inside(space, **options)


def inside(space: Namespace, **options: Any) -> Iterator[Net]:
    """As `make`, in a namespace that the test has made."""
    net = Net(space, up(netns=space, **options))
    try:
        yield net
        assert net.running.host.failure is None
    finally:
        net.close()


@pytest.fixture
def net() -> Iterator[Net]:
    """TAP with offload."""
    yield from make()


@pytest.fixture(params=["tap-offload", "tap-plain", "tun-offload", "tun-plain"])
def anynet(request: pytest.FixtureRequest) -> Iterator[Net]:
    """Each kind of device in turn."""
    mode, how = request.param.split("-")
    yield from make(mode=mode, offload=how == "offload")
