"""Fixtures for unmodified programs on a live stack: `local` has only its loopback, and `net` has the kernel as the peer."""

from tests.kernel.conftest import net as net  # noqa: PLC0414 (a fixture)
from tests.socket.conftest import local as local  # noqa: PLC0414
