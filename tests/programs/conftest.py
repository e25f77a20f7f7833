"""Unmodified programs on a live stack: with its loopback alone (`local`), or with the kernel as the peer (`net`)."""

from tests.kernel.conftest import net as net  # noqa: PLC0414 (a fixture)
from tests.socket.conftest import local as local  # noqa: PLC0414
