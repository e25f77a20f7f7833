"""An asyncio server with more connections than its process may have descriptors. The kernel is the client, over a TAP."""

import re
import resource
import subprocess
import sys

import pytest

from pystack.kernel.netns import Namespace

#: the stack, with a limit for its process. The server says how many descriptors it has while all connections are open.
SERVER = """
import asyncio, os, resource, sys
import pystack
from pystack import aio

limit = int(sys.argv[1])
resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
found = {"open": 0, "most": 0}


async def echo(reader, writer):
    found["open"] += 1
    found["most"] = max(found["open"], found["most"])
    try:
        while data := await reader.read(100):
            if data == b"count\\n":
                data = b"%d connections, %d descriptors\\n" % (found["open"], len(os.listdir("/proc/self/fd")))
            writer.write(data)
            await writer.drain()
    finally:
        found["open"] -= 1
        writer.close()


async def main():
    async with await asyncio.start_server(echo, "10.0.0.2", 7, backlog=4096):
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.read)
        while found["open"]:
            await asyncio.sleep(0.01)
        print("most", found["most"], flush=True)


with pystack.up():
    aio.run(main())
"""

#: opens all connections, then sends a text of its own on each of them and expects it back, twice
CLIENT = """
import resource, socket, sys

count = int(sys.argv[1])
resource.setrlimit(resource.RLIMIT_NOFILE, (count + 100, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
socks = []
for _ in range(count):
    sock = socket.create_connection(("10.0.0.2", 7), timeout=20)
    socks.append(sock)
for turn in range(2):
    for index, sock in enumerate(socks):
        sock.sendall(b"%d of turn %d\\n" % (index, turn))
    for index, sock in enumerate(socks):
        expected = b"%d of turn %d\\n" % (index, turn)
        got = b""
        while len(got) < len(expected):
            data = sock.recv(100)
            assert data, index
            got += data
        assert got == expected, (index, got)
socks[0].sendall(b"count\\n")
print(socks[0].recv(100).decode(), end="")
"""


@pytest.mark.parametrize(
    ("count", "limit"), [(2_000, 256), pytest.param(10_000, 4_096, marks=[pytest.mark.slow, pytest.mark.compiled])]
)
def test_connections_of_an_asyncio_server_cost_no_descriptor(count, limit):
    if resource.getrlimit(resource.RLIMIT_NOFILE)[1] < count + 100:
        pytest.skip("the client's sockets are the kernel's, and this process may not have so many")
    with Namespace.new() as space:
        command = [sys.executable, "-c", SERVER, str(limit)]
        pipe = subprocess.PIPE
        with space.popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as server:
            try:
                assert server.stdout.readline() == "ready\n"
                done = space.run(
                    [sys.executable, "-c", CLIENT, str(count)], capture_output=True, text=True, timeout=120
                )
                assert done.returncode == 0, done.stderr
                found = re.fullmatch(r"(\d+) connections, (\d+) descriptors\n", done.stdout)
                assert found is not None, done.stdout
                assert int(found[1]) == count
                assert int(found[2]) < 40
                assert server.communicate(timeout=60) == (f"most {count}\n", "")
                assert server.returncode == 0
            finally:
                server.kill()
