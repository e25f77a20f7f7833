"""A pytest in a folder of its own, with the plugin and without the plugins that a test does not name."""

import sys

import pytest

# pytester forgets the modules that an inner pytest imports, and a second copy of these would know nothing of the first one's patches.
import pystack.pytest_plugin.protocol
import pystack.pytest_plugin.world
import pystack.stepper.export
import pystack.trace.replay  # noqa: F401
from pystack.pytest_plugin import shrink


class Inner:
    """Runs pytest on files that a test writes. `here` runs it in this process, `apart` in another one."""

    def __init__(self, pytester):
        self.pytester = pytester
        self.path = pytester.path

    def write(self, text, name="test_it"):
        self.pytester.makepyfile(**{name: text})
        return self

    def here(self, *args):
        return self.pytester.runpytest_inprocess("-p", "no:asyncio", "-p", "no:anyio", "-p", "no:xdist", *args)

    def apart(self, *args):
        return self.pytester.run(sys.executable, "-m", "pytest", "-p", "no:asyncio", *args, timeout=250)


@pytest.fixture
def inner(pytester, monkeypatch):
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    # Tests compare the smallest runs. On a busy machine, 20 seconds are not enough to find them.
    monkeypatch.setattr(shrink, "MOST_SECONDS", 250.0)
    return Inner(pytester)


ECHO = """
import asyncio, socket, time
import pytest

async def echo(reader, writer):
    while data := await reader.read(1000):
        writer.write(data)
        await writer.drain()
    writer.close()

async def serve():
    async with await asyncio.start_server(echo, "0.0.0.0", 7) as server:
        await server.serve_forever()

async def ask(name="server", what=b"hello"):
    reader, writer = await asyncio.open_connection(name, 7)
    writer.write(what)
    answer = await reader.readexactly(len(what))
    writer.close()
    return answer
"""
