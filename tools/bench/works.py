"""The measurements of a server: each work is a function of the lab and of the seconds that it may take, and returns
numbers.
"""

import os
import re
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass

from tools.bench.lab import ADDRESS, CLIENT_CPU, SERVER_CPU, Lab
from tools.bench.stacks import Stack

ECHO, DISCARD, CHARGEN, HTTP, HOLD = 7, 9, 19, 80, 99
#: bytes of a request, and of its response
SIZE = 64


@dataclass
class Work:
    """One kind of work. With `once`, only the first run measures it, because it takes long and hardly varies."""

    name: str
    unit: str
    measure: Callable[[Lab, float], "dict[str, float]"]
    wanted: Callable[[Stack], bool] = lambda stack: not stack.bulk
    once: bool = False


def bulk(job: str, port: int, cc: str) -> Callable[[Lab, float], dict[str, float]]:
    """Measure a bulk transfer: Gbit/s, and the server's CPU seconds per GB."""
    direction = "receive" if job == "send" else "send"
    suffix = "" if cc == "cubic" else f", {cc}"

    def measure(lab: Lab, seconds: float) -> dict[str, float]:
        got = lab.measure(job, ADDRESS, port, seconds, cc)
        rows = {f"bulk {direction}{suffix}": got["bytes"] * 8e-9 / got["seconds"]}
        if not suffix:
            rows[f"bulk {direction}, CPU"] = got["server_cpu"] / got["bytes"] * 1e9
        return rows

    return measure


def rate(name: str, job: str, cpu: int = CLIENT_CPU) -> Callable[[Lab, float], dict[str, float]]:
    """Measure requests per second, with the client on the given CPU."""

    def measure(lab: Lab, seconds: float) -> dict[str, float]:
        got = lab.measure(job, ADDRESS, ECHO, seconds, SIZE, cpu=cpu)
        return {name: got["count"] / got["seconds"]}

    return measure


def wrk(lab: Lab, seconds: float, wanted: str) -> float:
    """Run wrk over 16 connections that are kept open. Return the pattern's first group in its output."""
    text = lab.inside("wrk", "-t1", "-c16", f"-d{max(1, round(seconds))}s", f"http://{ADDRESS}/")
    if "Socket errors" in text or "Non-2xx" in text:
        raise RuntimeError(text)
    found = re.search(wanted, text)
    assert found is not None
    return float(found[1])


def http(lab: Lab, seconds: float) -> dict[str, float]:
    """Measure requests per second over connections that are kept open."""
    return {"HTTP keep-alive": wrk(lab, seconds, r"Requests/sec:\s+([\d.]+)")}


def ping(lab: Lab, seconds: float) -> dict[str, float]:
    """Measure the round trip of pings, one after the other."""
    text = lab.inside("ping", "-q", "-f", "-c", str(int(2000 * seconds)), ADDRESS)
    found = re.search(r"= [\d.]+/([\d.]+)/", text)
    assert found is not None
    return {"ping": float(found[1]) * 1000}


def memory(count: int) -> Callable[[Lab, float], dict[str, float]]:
    """Measure idle accepted connections: resident memory of each, their CPU time, and the CPU time of a request beside
    them.
    """

    def measure(lab: Lab, seconds: float) -> dict[str, float]:
        empty = lab.rss()
        alone = _request_cpu(lab, seconds)
        with lab.idle(HOLD, count):
            time.sleep(1)
            each = (lab.rss() - empty) / count
            before = lab.cpu()
            time.sleep(5)
            idle = (lab.cpu() - before) / 5
            beside = _request_cpu(lab, seconds)
        rows = {f"memory a connection, {count:,} idle": each / 1024}
        rows[f"CPU of {count:,} idle connections"] = idle * 100
        rows[f"cost of a request beside {count:,} connections"] = beside / alone
        return rows

    return measure


def _request_cpu(lab: Lab, seconds: float) -> float:
    got = lab.measure("rr", ADDRESS, ECHO, max(1.0, seconds), SIZE)
    return got["server_cpu"] / got["count"]


def resident(lab: Lab, seconds: float) -> dict[str, float]:
    """Measure the resident memory of a server that has done nothing yet."""
    return {"memory, idle": lab.rss() / 1e6}


def many(stack: Stack) -> bool:
    """Return whether the stack is measured with 100,000 connections.

    The others need one or two kernel descriptors for each, which is not what the work measures.
    """
    return stack.name in ("pystack compiled", "pystack blocking")


def thousands(stack: Stack) -> bool:
    """Return whether the stack is measured with 10,000 connections. asyncio's objects for each of them are part of the result."""
    return many(stack) or stack.name == "pystack asyncio"


WORKS = [
    Work("memory, idle", "MB", resident),
    Work("bulk receive", "Gbit/s", bulk("send", DISCARD, "cubic"), lambda stack: True),
    Work("bulk send", "Gbit/s", bulk("recv", CHARGEN, "cubic"), lambda stack: True),
    Work("bulk receive, bbr", "Gbit/s", bulk("send", DISCARD, "bbr"), lambda stack: True),
    Work("request-response, same core", "1/s", rate("request-response, same core", "rr", SERVER_CPU)),
    Work("request-response, across", "1/s", rate("request-response, across", "rr")),
    Work("connections", "1/s", rate("connections", "crc")),
    Work("HTTP keep-alive", "1/s", http),
    Work("UDP echo", "1/s", rate("UDP echo", "udp")),
    Work("ping", "us", ping),
    Work("1,000 idle", "", memory(1_000), lambda stack: not stack.bulk, once=True),
    Work("10,000 idle", "", memory(10_000), thousands, once=True),
    Work("100,000 idle", "", memory(100_000), many, once=True),
]


def unit(row: str) -> str:
    """Return the unit of a row."""
    if row.endswith(", CPU"):
        return "s/GB"
    if row.startswith("memory a connection"):
        return "KiB"
    if row.startswith("CPU of"):
        return "%"
    if row.startswith("cost of"):
        return "times"
    return next((work.unit for work in WORKS if work.name == row), "")


#: Each program says when it is ready. What it does afterwards (to end) is not part of its start.
START = {
    "asyncio": """
import asyncio, os
async def main():
    async with await asyncio.start_server(print, "127.0.0.1", 0):
        os.write(1, b"+")
asyncio.run(main())
""",
    "pystack": """
import os, pystack
with pystack.up("tap0", "10.77.0.2/16", "10.77.0.1", host_address=None):
    os.write(1, b"+")
""",
}


def start_up(python: str, count: int = 15) -> dict[str, list[float]]:
    """Measure the milliseconds from nothing to a stack on a TAP, and to an asyncio program's listener, interleaved.

    The bytecode of both exists already, as for an installed program: it may be written, and the first round does not
    count.
    """
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    found: dict[str, list[float]] = {name: [] for name in START}
    for turn in range(count + 1):
        for name, code in START.items():
            begin = time.perf_counter()
            command = ["unshare", "-n", python, "-c", code]
            with subprocess.Popen(command, stdout=subprocess.PIPE, env=environ) as process:
                assert process.stdout is not None
                ready = process.stdout.read(1)
                taken = (time.perf_counter() - begin) * 1000
            if ready != b"+" or process.returncode:
                raise RuntimeError(f"start-up: the {name} program failed")
            if turn:
                found[name].append(taken)
    return found
