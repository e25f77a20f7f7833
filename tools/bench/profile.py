"""Shows how a server spends its CPU time: `python -m tools.bench.profile` (as root, with perf; two minutes).

For each stack and work below, it shows the server's CPU microseconds per operation, and how they are divided between
the core, the driver and the sockets around it, the Python interpreter, the C library, and the kernel under the server's
own system calls. A second run takes samples of perf's CPU clock, and sorts them by shared object. `--symbols N` adds
the N most expensive functions of each.
"""

import argparse
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from tools.bench.lab import ADDRESS, SERVER_CPU, Lab
from tools.bench.stacks import ROOT, Stack, stacks
from tools.bench.works import ECHO, SIZE, wrk

WORKS = {
    "request": ("rr", ["pystack blocking", "kernel blocking", "pystack asyncio", "kernel asyncio", "pystack compiled", "lwIP"]),
    "connection": ("crc", ["pystack blocking", "kernel blocking", "pystack asyncio", "kernel asyncio", "pystack compiled", "lwIP"]),
    "datagram": ("udp", ["pystack blocking", "kernel blocking", "pystack compiled", "lwIP"]),
    "HTTP request": ("http", ["pystack blocking", "kernel blocking", "pystack asyncio", "kernel asyncio", "pystack compiled", "lwIP"]),
}  # fmt: skip
PARTS = ("core", "driver", "Python", "libc", "kernel", "other")


def part(dso: str) -> str:
    """Return the part to which a shared object belongs."""
    name = Path(dso).name
    if dso.startswith("[") or name.endswith(".ko"):
        return "kernel"
    if "/pystack_c/" in dso or "lwip" in name:
        return "core"
    if "/pystack/" in dso:
        return "driver"
    if name.startswith(("libc.", "ld-", "libm.")):
        return "libc"
    return "Python" if name.startswith(("python", "libpython")) or ".cpython-" in name else "other"


def operations(lab: Lab, work: str, seconds: int) -> tuple[int, float]:
    """Do the work. Return the number of operations, and the server's CPU seconds."""
    before = lab.cpu()
    if work == "http":
        count = wrk(lab, seconds, r"(\d+) requests in")
    else:
        count = lab.measure(work, ADDRESS, ECHO, seconds, SIZE)["count"]
    return int(count), lab.cpu() - before


def samples(data: Path, pid: int) -> Counter[tuple[str, str]]:
    """Return how many samples of a process fell into each (shared object, function)."""
    command = ["perf", "script", "-i", str(data), f"--pid={pid}", "-F", "ip,sym,dso"]
    text = subprocess.run(command, capture_output=True, text=True).stdout
    return Counter((m[2], m[1]) for m in re.finditer(r"^\s*[0-9a-f]+ (.+) \((.+)\)$", text, re.M))


def profile(stack: Stack, work: str, seconds: int, build: Path, symbols: int) -> dict[str, float]:
    """Return microseconds per operation by part, and "all"."""
    data = build / "perf.data"
    with Lab(stack.command, stack.kernel, build) as lab:
        lab.pin(SERVER_CPU)
        # The cost of an operation is measured without perf, which makes thread switches several times as expensive.
        count, cpu = operations(lab, work, seconds)
        # The whole CPU is sampled, because perf does not follow the threads that a process starts later (-p).
        command = ["perf", "record", "-q", "-e", "cpu-clock", "-F", "4999", "-o", str(data), "-C", str(SERVER_CPU)]
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as perf:
            try:
                time.sleep(0.5)
                operations(lab, work, seconds)
            finally:
                perf.send_signal(signal.SIGINT)
    each = cpu / count * 1e6
    found = dict.fromkeys(PARTS, 0.0)
    counted = samples(data, lab.pid)
    for (dso, _), n in counted.items():
        found[part(dso)] += n / counted.total() * each
    for (dso, symbol), n in counted.most_common(symbols):
        print(f"    {n / counted.total() * each:5.1f} us  {part(dso)}: {symbol}")
    return {"all": each, **found}


def main(argv: list[str]) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=2)
    parser.add_argument("--only", default="", help="only works whose name contains this word")
    parser.add_argument("--symbols", type=int, default=0)
    args = parser.parse_args(argv)
    if shutil.which("perf") is None:
        print("profile: perf is not installed (Debian: linux-perf)", file=sys.stderr)
        return 1
    build = ROOT / "build" / "bench"
    build.mkdir(parents=True, exist_ok=True)
    known = {stack.name: stack for stack in stacks(build)}
    print("| work | stack | CPU, us | " + " | ".join(PARTS) + " |\n|---|---|" + "---|" * (len(PARTS) + 1))
    for name, (work, names) in WORKS.items():
        if args.only not in name:
            continue
        for one in names:
            stack = known[one]
            if stack.missing:
                print(f"| {name} | {one} | not measured: {stack.missing} |")
                continue
            found = profile(stack, work, args.seconds, build, args.symbols)
            print(
                f"| {name} | {one} | " + " | ".join(f"{found[key]:.1f}" for key in ("all", *PARTS)) + " |", flush=True
            )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
