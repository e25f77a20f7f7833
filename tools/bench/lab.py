"""The place of a measurement: network namespaces made for the run, a server in one of them, and clients in the other.

A server on a TAP is in the client's namespace, whose kernel is the peer (10.77.0.1). A server on kernel sockets has a
namespace of its own at the other end of a veth pair. Two measurements share nothing.
"""

import json
import os
import resource
import subprocess
import time
from pathlib import Path
from typing import Any, Self

ADDRESS = "10.77.0.2"
SERVER_CPU = 0
CLIENT_CPU = 1
SOURCES = 4
#: The driver sets these malloc options for itself (phy/tapio.py); Python on kernel sockets gets them, too. Otherwise it
#: depends on the layout of the heap whether each of asyncio's buffers of 256 KB is mapped anew, which costs four times
#: as much as a request.
MALLOC = {"MALLOC_MMAP_THRESHOLD_": str(4 << 20), "MALLOC_TRIM_THRESHOLD_": str(32 << 20)}


def run(*command: str) -> str:
    """Return the output of a command. RuntimeError if it fails or hangs."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    except subprocess.TimeoutExpired as exc:
        raise RuntimeError(f"{' '.join(command)}: no end within a minute") from exc
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


class Lab:
    """A client's namespace, and a server that answers."""

    def __init__(self, command: list[str], kernel: bool, build: Path):
        self.client = f"pystack-bench-{os.getpid()}c"
        self.server = f"pystack-bench-{os.getpid()}s" if kernel else self.client
        self.load = str(build / "load")
        self.process: subprocess.Popen[str] | None = None
        try:
            self._make(kernel)
            self._start(command)
        except BaseException:
            self.close()
            raise

    def _make(self, kernel: bool) -> None:
        for name in {self.client, self.server}:
            run("ip", "netns", "add", name)
            run("ip", "-n", name, "link", "set", "lo", "up")
        inside = ["ip", "netns", "exec", self.client]
        if kernel:
            run(
                "ip",
                "-n",
                self.client,
                "link",
                "add",
                "tap0",
                "type",
                "veth",
                "peer",
                "name",
                "v",
                "netns",
                self.server,
            )
            run("ip", "-n", self.server, "addr", "add", f"{ADDRESS}/16", "dev", "v")
            run("ip", "-n", self.server, "link", "set", "v", "up")
        else:
            run("ip", "-n", self.client, "tuntap", "add", "dev", "tap0", "mode", "tap")
        for i in range(SOURCES):
            host = 1 if i == 0 else 2 + i
            run("ip", "-n", self.client, "addr", "add", f"10.77.0.{host}/16", "dev", "tap0")
        run("ip", "-n", self.client, "link", "set", "tap0", "up")
        # enough ports for short connections one after the other, whichever side keeps TIME-WAIT
        settings = ["net.ipv4.ip_local_port_range=1024 65535", "net.ipv4.tcp_max_tw_buckets=4096"]
        run(*inside, "sysctl", "-q", "-w", *settings)

    def _start(self, command: list[str]) -> None:
        inside = ["ip", "netns", "exec", self.server]
        environ = os.environ if self.server == self.client else {**os.environ, **MALLOC}
        self.process = subprocess.Popen(
            [*inside, *command], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True, env=environ
        )
        assert self.process.stdout is not None
        if self.process.stdout.readline().strip() != "ready":
            raise RuntimeError(f"{' '.join(command)}: did not start")
        for _ in range(10):
            ping = ["ip", "netns", "exec", self.client, "ping", "-c1", "-W1", ADDRESS]
            if subprocess.run(ping, capture_output=True).returncode == 0:
                return
        raise RuntimeError(f"{' '.join(command)}: does not answer a ping")

    # -- clients -----------------------------------------------------------------------------------------------------

    def inside(self, *command: str, cpu: int | None = CLIENT_CPU) -> str:
        """Return the output of a command in the client's namespace, on one CPU."""
        where = ["ip", "netns", "exec", self.client]
        pinned = [] if cpu is None else ["taskset", "-c", str(cpu)]
        return run(*where, *pinned, *command)

    def measure(self, *job: Any, cpu: int | None = CLIENT_CPU) -> dict[str, float]:
        """Run one job of the C client (see clients/load.c), and add the server's CPU seconds meanwhile as "server_cpu"."""
        before = self.cpu()
        result: dict[str, float] = json.loads(self.inside(self.load, *map(str, job), cpu=cpu))
        result["server_cpu"] = self.cpu() - before
        return result

    def idle(self, port: int, count: int) -> "Idle":
        """Open idle connections, which stay open until the result is closed."""
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        each = min(count, most - 100) if most != resource.RLIM_INFINITY else count
        counts = [min(each, count - made) for made in range(0, count, each)]
        command = ["ip", "netns", "exec", self.client, self.load, "idle", ADDRESS, str(port)]
        return Idle([[*command, str(one), str(SOURCES)] for one in counts])

    # -- the server --------------------------------------------------------------------------------------------------

    @property
    def pid(self) -> int:
        """The server's process. `ip netns exec` has replaced itself by it."""
        assert self.process is not None
        return self.process.pid

    def pin(self, cpu: int) -> None:
        """Pin all threads of the server, and those that they will create, to this CPU."""
        for tid in os.listdir(f"/proc/{self.pid}/task"):
            try:
                os.sched_setaffinity(int(tid), {cpu})
            except ProcessLookupError:
                continue

    def cpu(self) -> float:
        """Return the CPU seconds that the server has used (its process's CPU clock, as in clock_getcpuclockid(3))."""
        return time.clock_gettime((~self.pid << 3) | 2)

    def rss(self) -> int:
        """Return the server's resident memory in bytes."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def close(self) -> None:
        """End the server and remove the namespaces."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            if self.process.stdout is not None:
                self.process.stdout.close()
        for name in {self.client, self.server}:
            subprocess.run(["ip", "netns", "del", name], capture_output=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class Idle:
    """Connections that stay open without traffic, made by as many processes as the limit of descriptors requires."""

    def __init__(self, commands: list[list[str]]):
        self.count = 0
        self.processes: list[subprocess.Popen[str]] = []
        for command in commands:
            process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
            self.processes.append(process)
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line:
                assert process.stderr is not None
                why = process.stderr.read().strip()
                self.close()
                raise RuntimeError(f"the idle connections could not be made: {why}")
            self.count += int(json.loads(line)["count"])

    def close(self) -> None:
        """Close them."""
        for process in self.processes:
            for pipe in (process.stdin, process.stdout, process.stderr):
                if pipe is not None:
                    pipe.close()
            process.wait(60)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
