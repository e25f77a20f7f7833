"""The stacks that are measured: pystack in three ways, the same programs on the kernel, other stacks, and the limit."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
CFLAGS = ["-O2", "-Wall", "-Wextra", "-Wno-sign-compare"]


@dataclass
class Stack:
    """One stack with one kind of program on it.

    command   the command that runs it; the TAP is tap0, its address 10.77.0.2
    kernel    at the other end of a veth pair instead of on a TAP
    bulk      only bulk transfer (the limit)
    missing   why it cannot be measured here, or ""
    """

    name: str
    command: list[str]
    kernel: bool = False
    bulk: bool = False
    offload: bool = True
    missing: str = ""


def python(stack: str, program: str) -> list[str]:
    """Return the command of a server program in Python."""
    return [sys.executable, "-m", "tools.bench.servers", stack, program]


def stacks(build: Path) -> list[Stack]:
    """Return all stacks. The peers are compiled into `build` if their packages are installed."""
    compile_c("clients/load.c", build / "load")
    limit, lwip, gvisor = build / "limit", build / "lwip", build / "gvisor"
    compile_c("peers/limit.c", limit)
    no_lwip = compile_lwip(lwip)
    no_gvisor = compile_gvisor(gvisor)
    return [
        Stack("limit, TSO", [str(limit), "tap0", "tso"], bulk=True),
        Stack("limit, plain", [str(limit), "tap0", "plain"], bulk=True, offload=False),
        Stack("pystack blocking", python("pystack", "blocking")),
        Stack("pystack asyncio", python("pystack", "asyncio")),
        Stack("pystack, asyncio's own loop", python("pystack", "asyncio-own")),
        Stack("pystack compiled", python("pystack", "compiled")),
        Stack("kernel blocking", python("kernel", "blocking"), kernel=True),
        Stack("kernel asyncio", python("kernel", "asyncio"), kernel=True),
        Stack("pystack blocking, plain", python("pystack-plain", "blocking"), offload=False),
        Stack("pystack compiled, plain", python("pystack-plain", "compiled"), offload=False),
        Stack("gVisor, TSO", [str(gvisor), "tap0", "tso"], missing=no_gvisor),
        Stack("gVisor, plain", [str(gvisor), "tap0", "plain"], offload=False, missing=no_gvisor),
        Stack("lwIP", [str(lwip), "tap0"], offload=False, missing=no_lwip),
        Stack("smoltcp", [], offload=False, missing="no Debian package; its crates come from a registry of their own"),
    ]


def compile_c(source: str, target: Path, *libraries: str) -> None:
    """Compile one of the project's C programs, if it is newer than the last compiled one."""
    path = HERE / source
    if target.exists() and target.stat().st_mtime > path.stat().st_mtime:
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["cc", *CFLAGS, "-o", str(target), str(path), *libraries], check=True)


def compile_lwip(target: Path) -> str:
    """Compile lwIP. Return why it cannot be compared, or ""."""
    if not Path("/usr/include/lwip/lwip/tcp.h").exists():
        return "Debian's liblwip-dev is not installed"
    compile_c("peers/lwip.c", target, "-I/usr/include/lwip", "-llwip")
    return ""


def compile_ns3(target: Path) -> str:
    """Compile the simulation of ns-3. Return why it cannot be compared, or ""."""
    if not Path("/usr/include/ns3/core-module.h").exists() or shutil.which("g++") is None:
        return "Debian's libns3-dev is not installed"
    source = HERE / "peers" / "ns3.cc"
    if target.exists() and target.stat().st_mtime > source.stat().st_mtime:
        return ""
    target.parent.mkdir(parents=True, exist_ok=True)
    libraries = [f"-lns3-{name}" for name in ("applications", "point-to-point", "internet", "network", "core")]
    command = ["g++", "-std=c++20", "-O2", "-o", str(target), str(source), *libraries]
    done = subprocess.run(command, capture_output=True, text=True)
    return "" if done.returncode == 0 else "does not compile: " + (done.stderr.strip().splitlines() or ["?"])[-1]


def compile_gvisor(target: Path) -> str:
    """Compile gVisor. Return why it cannot be compared, or ""."""
    path = Path("/usr/share/gocode/src/gvisor.dev/gvisor")
    if not path.exists() or shutil.which("go") is None:
        return "Debian's golang-gvisor-gvisor-dev and golang-go are not installed"
    sources = HERE / "peers" / "gvisor"
    if target.exists() and all(target.stat().st_mtime > one.stat().st_mtime for one in sources.iterdir()):
        return ""
    environ = {**os.environ, "GO111MODULE": "off", "GOPATH": "/usr/share/gocode", "GOFLAGS": ""}
    done = subprocess.run(
        ["go", "build", "-o", str(target), "."], cwd=sources, env=environ, capture_output=True, text=True
    )
    return "" if done.returncode == 0 else "does not compile: " + done.stderr.strip().splitlines()[-1]
