"""python -m tools.bench.simulators: the same asyncio program in pystack and in three simulators of asyncio, by requests a second.

simloop, seedloop and detangle are measured if they are installed in this Python; the command installs nothing. (They come from PyPI, and simloop
and seedloop need Python 3.12.) The program is a server that sends back what it gets, and clients that send one request of 32 bytes after
another, 10 ms away. It calls asyncio.start_server and asyncio.open_connection. seedloop has no streams, so there the same requests are messages
between its endpoints. Each measurement is a process of its own, and the median of the runs counts. The seconds are those of the processor: on an idle machine
that is the wall time, because all four run in one thread and never wait.
"""

import argparse
import asyncio
import importlib.metadata
import importlib.util
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
DELAY = 0.01
REQUEST = bytes(32)


# -- the program ---------------------------------------------------------------------------------------------------------


async def serve() -> None:
    """Send back what arrives, on port 7."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(4096):
            writer.write(data)
            await writer.drain()
        writer.close()

    async with await asyncio.start_server(echo, "0.0.0.0", 7) as server:
        await server.serve_forever()


async def ask(connections: int, requests: int) -> float:
    """Ask on many connections. Returns the longest virtual time that a request took (seconds)."""
    clock = asyncio.get_running_loop().time
    slowest = 0.0

    async def one() -> None:
        nonlocal slowest
        reader, writer = await asyncio.open_connection("server", 7)
        for _ in range(requests):
            began = clock()
            writer.write(REQUEST)
            await reader.readexactly(len(REQUEST))
            slowest = max(slowest, clock() - began)
        writer.close()

    await asyncio.sleep(0.1)
    await asyncio.gather(*(one() for _ in range(connections)))
    return slowest


async def serve_pages() -> None:
    """Serve a page with aiohttp on port 80."""
    from aiohttp import web

    async def page(request: Any) -> Any:
        return web.Response(text="hello")

    app = web.Application()
    app.router.add_get("/", page)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "0.0.0.0", 80).start()
    await asyncio.Event().wait()


async def get_pages(connections: int, requests: int) -> float:
    """Get the page with aiohttp's client."""
    import aiohttp

    clock = asyncio.get_running_loop().time
    slowest = 0.0
    await asyncio.sleep(0.1)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=connections)) as session:

        async def one() -> None:
            nonlocal slowest
            for _ in range(requests):
                began = clock()
                async with session.get("http://server/") as answer:
                    await answer.text()
                slowest = max(slowest, clock() - began)

        await asyncio.gather(*(one() for _ in range(connections)))
    return slowest


# -- the simulators --------------------------------------------------------------------------------------------------------

#: (server, client) of a program
Programs = tuple[Callable[[], Any], Callable[[], Any]]


def with_pystack(programs: Programs, loss: float) -> tuple[float, str]:
    """Run on two simulated hosts. Returns the slowest request, and what the network saw."""
    from pystack.sim import Network

    net = Network(seed=1)
    a, b = net.host("server"), net.host("client")
    link = net.link(a, b, addrs=("10.0.0.1/24", "10.0.0.2/24"), delay=round(DELAY * 1e9), loss=loss)
    slowest = net.run({b: programs[1]}, background={a: programs[0]})[b]
    lost = link.ab.stats.dropped() + link.ba.stats.dropped()
    sent = a.counters.TcpOutSegs + b.counters.TcpOutSegs
    again = a.counters.TcpRetransSegs + b.counters.TcpRetransSegs
    return slowest, f"{sent:,} segments, {lost} frames lost, {again} segments retransmitted"


def with_simloop(programs: Programs, loss: float) -> tuple[float, str]:
    """Run on two hosts of simloop."""
    import simloop  # type: ignore[import-not-found]

    loop = simloop.SimLoop(seed=1)
    loop.net.set_defaults(latency=(DELAY, DELAY), drop=loss)

    async def main() -> float:
        server = loop.net.host("server").create_task(programs[0]())
        slowest: float = await loop.net.host("client").create_task(programs[1]())
        server.cancel()
        await asyncio.gather(server, return_exceptions=True)
        return slowest

    return loop.run_until_complete(main()), ""


def with_detangle(programs: Programs, loss: float) -> tuple[float, str]:
    """Run on two hosts of detangle, in asyncio's own order."""
    import detangle  # type: ignore[import-not-found]

    async def main() -> float:
        server = detangle.spawn(programs[0](), host="server")
        slowest: float = await detangle.spawn(programs[1](), host="client")
        server.cancel()
        await asyncio.gather(server, return_exceptions=True)
        return slowest

    options = {"latency": (DELAY, DELAY), "latency_steps": 1, "drop": loss}
    return detangle.run(main, net=options, max_steps=100_000_000), ""


def with_seedloop(connections: int, requests: int, loss: float) -> tuple[float, str]:
    """Send the same number of messages between endpoints of seedloop. (Its latency is its own, and a message that is lost is lost.)"""
    import seedloop  # type: ignore[import-not-found]

    async def scenario(world: Any) -> None:
        async def echo() -> None:
            here = world.net.bind(0)
            while True:
                sender, data = await here.recv()
                await here.send(sender, data)

        async def one(number: int) -> None:
            here = world.net.bind(number)
            for _ in range(requests):
                await here.send(0, REQUEST)
                await here.recv()

        server = asyncio.ensure_future(echo())
        await asyncio.gather(*(one(number) for number in range(1, connections + 1)))
        server.cancel()

    seedloop.check(scenario, seeds=1)
    return 0.0, ""


SIMULATORS = {"pystack": with_pystack, "simloop": with_simloop, "detangle": with_detangle, "seedloop": with_seedloop}
#: name: (is it aiohttp, connections, requests of each, loss)
WORKS = {
    "echo, 1 connection": (False, 1, 10_000, 0.0),
    "echo, 100 connections": (False, 100, 100, 0.0),
    "echo, 100 connections, 2 % loss": (False, 100, 100, 0.02),
    "aiohttp GET, 10 connections": (True, 10, 200, 0.0),
}


def measure_here(simulator: str, work: str) -> dict[str, Any]:
    """Measure in this process. Returns the rate, the slowest request, and what the network saw."""
    pages, connections, requests, loss = WORKS[work]
    began = time.process_time()
    if simulator == "seedloop":
        if pages or loss:
            raise NotImplementedError("it has no streams")
        slowest, seen = with_seedloop(connections, requests, loss)
    else:
        server, client = (serve_pages, get_pages) if pages else (serve, ask)
        run: Any = SIMULATORS[simulator]
        slowest, seen = run((server, partial(client, connections, requests)), loss)
    seconds = time.process_time() - began
    return {"rate": connections * requests / seconds, "slowest": slowest, "seen": seen}


def measure(simulator: str, work: str, runs: int) -> dict[str, Any]:
    """Measure in processes. Returns the median run, or the reason why there is none."""
    found = []
    for _ in range(runs):
        command = [sys.executable, "-m", "tools.bench.simulators", "--here", simulator, work]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
        if done.returncode:
            return {"error": done.stderr.strip().splitlines()[-1][:100]}
        found.append(json.loads(done.stdout.splitlines()[-1]))
    rate = statistics.median(one["rate"] for one in found)
    return {**found[0], "rate": rate}


def text_of(result: dict[str, Any]) -> str:
    """Return a cell of the table."""
    if "error" in result:
        return f"fails: {result['error']}"
    slowest = f", slowest request {result['slowest'] * 1000:,.0f} ms" if result["slowest"] else ""
    return f"{result['rate']:,.0f}/s{slowest}"


def main(argv: "list[str] | None" = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m tools.bench.simulators", description=__doc__)
    parser.add_argument("--runs", type=int, default=3, help="runs of each measurement (default 3)")
    parser.add_argument("--only", default="", help="only works whose name contains this")
    parser.add_argument("--here", nargs=2, metavar=("SIMULATOR", "WORK"), help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.here:
        print(json.dumps(measure_here(*options.here)))
        return 0
    names = []
    for name in SIMULATORS:
        if name == "pystack" or importlib.util.find_spec(name) is not None:
            names.append(name)
            print(f"{name} {importlib.metadata.version(name)}")
        else:
            print(f"{name}: skipped: it is not installed (pip install {name})")
    for work in WORKS:
        if options.only in work:
            print(f"\n{work}")
            for name in names:
                result = measure(name, work, options.runs)
                print(f"  {name:9} {text_of(result)}")
                if result.get("seen"):
                    print(f"            {result['seen']}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
