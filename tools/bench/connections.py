"""python -m tools.bench.connections: one asyncio server on a stack behind a TAP, with 10,000 connections that all echo at once.

The client is a process in a namespace that the command makes, with the kernel's sockets. It opens all connections, sends a text of its own on each
of them and reads it back, in several rounds. The command prints the time of each part, and the memory of the server's process for a
connection. It needs root, and stops after --limit seconds at the latest.
"""

import argparse
import asyncio
import json
import os
import resource
import selectors
import socket
import sys
import time
from typing import Any

SERVER, PORT = "10.0.0.2", 7
#: descriptors that a process needs besides those of its connections
SPARE = 200


def allow_descriptors(count: int) -> None:
    """Raise the limit of descriptors to what `count` connections need, as far as this process may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(count + SPARE, hard)), hard))


def memory() -> int:
    """Return the resident memory of this process (bytes)."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


# -- the client, which is a process of its own ---------------------------------------------------------------------------


def client(count: int, rounds: int) -> dict[str, Any]:
    """Connect `count` times and echo in rounds. Returns the seconds of each part; asserts that each answer is the right one."""
    allow_descriptors(count)
    found: dict[str, Any] = {"rounds": []}
    began = time.monotonic()
    socks = [socket.create_connection((SERVER, PORT), timeout=60) for _ in range(count)]
    found["connect"] = time.monotonic() - began
    for turn in range(rounds):
        began = time.monotonic()
        echo_all(socks, turn)
        found["rounds"].append(time.monotonic() - began)
    print("open", flush=True)
    sys.stdin.readline()
    began = time.monotonic()
    for sock in socks:
        sock.close()
    found["close"] = time.monotonic() - began
    return found


def echo_all(socks: list[socket.socket], turn: int) -> None:
    """Send on all connections, and then read from each as it answers."""
    with selectors.DefaultSelector() as selector:
        missing = {}
        for index, sock in enumerate(socks):
            text = b"%d of round %d\n" % (index, turn)
            sock.sendall(text)
            missing[sock] = text
            selector.register(sock, selectors.EVENT_READ)
        while missing:
            ready = selector.select(60)
            assert ready, f"{len(missing)} connections do not answer"
            for key, _ in ready:
                one: Any = key.fileobj
                data = one.recv(1000)
                assert data and missing[one].startswith(data), (data, missing[one])
                missing[one] = missing[one][len(data) :]
                if not missing[one]:
                    selector.unregister(one)
                    del missing[one]


# -- the server ------------------------------------------------------------------------------------------------------------


async def serve(space: Any, options: argparse.Namespace) -> dict[str, Any]:
    """Serve until the client has ended. Returns what was measured."""
    state = {"open": 0, "most": 0}

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        state["open"] += 1
        state["most"] = max(state.values())
        while data := await reader.read(1000):
            writer.write(data)
            await writer.drain()
        state["open"] -= 1
        writer.close()

    pipe = asyncio.subprocess.PIPE
    words = [sys.executable, __file__, "--client", str(options.count), str(options.rounds)]
    async with await asyncio.start_server(echo, SERVER, PORT, backlog=4096):
        before, spent = memory(), time.process_time()
        child = await asyncio.create_subprocess_exec(
            *space.command(words), stdin=pipe, stdout=pipe, pass_fds=[space.fd]
        )
        assert child.stdin is not None and child.stdout is not None
        line = await child.stdout.readline()
        found = {"memory": memory() - before, "most": state["most"], "processor": time.process_time() - spent}
        found["descriptors"] = len(os.listdir("/proc/self/fd"))
        if line != b"open\n":
            raise RuntimeError("the client failed")
        rest, _ = await child.communicate(b"\n")
        while state["open"]:
            await asyncio.sleep(0.01)
        return {**json.loads(rest), **found}


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Make the namespace and the stack, and measure."""
    import pystack
    from pystack import aio
    from pystack.kernel.netns import Namespace

    allow_descriptors(options.count)
    with Namespace.new() as space:
        space.quiet()
        with pystack.up(netns=space):
            return aio.run(asyncio.wait_for(serve(space, options), options.limit))


def main(argv: "list[str] | None" = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m tools.bench.connections", description=__doc__)
    parser.add_argument("--count", type=int, default=10_000, help="connections (default 10000)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of echoes on all connections (default 3)")
    parser.add_argument(
        "--limit", type=float, default=300, help="seconds after which the command gives up (default 300)"
    )
    parser.add_argument("--client", nargs=2, type=int, metavar=("COUNT", "ROUNDS"), help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.client:
        print(json.dumps(client(*options.client)))
        return 0
    found = measure(options)
    assert found["most"] == options.count, found
    each = ", ".join(f"{seconds:.2f} s" for seconds in found["rounds"])
    print(
        f"{options.count:,} connections were open at once; the server's process had {found['descriptors']:,} descriptors"
    )
    print(f"connecting: {found['connect']:.2f} s, {found['connect'] / options.count * 1e6:.0f} us a connection")
    print(f"an echo on all of them: {each}")
    used = found["processor"] / options.count * 1e6
    print(f"processor time of the server: {used:.0f} us for a connection and its {options.rounds} echoes")
    print(f"memory of the server's process: {found['memory'] / options.count / 1024:.1f} KiB a connection")
    return 0


if __name__ == "__main__":
    sys.exit(main())
