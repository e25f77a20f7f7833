"""make soak: a stack on a live TAP for an hour, with load, faults and churn. It fails unless all counts stay flat.

The stack runs in this process, in a network namespace that was made for it. The load is a process of its own on the
kernel's side of the TAP. Between them a faulty link loses, delays, swaps and duplicates frames. There are bulk
transfers (every byte is compared), requests and responses, short connections, UDP, connections that the stack opens,
and connections that end badly. Each line shows the memory, the objects, the descriptors, the threads, the endpoints and
the timers of the stack's process, and the round trips.

Before and after the soak, the load rests, and then the same number of each must be there. The exit status is 1 if it is
not, if anything grew under load, or if an exchange failed.
"""

import argparse
import gc
import json
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pystack
from pystack import services
from pystack.kernel.netns import Namespace
from pystack.phy.device import Device
from pystack.sim.channel import Channel
from pystack.sim.fault import FaultDevice
from tools.soak.judge import Sample, at_rest, under_load
from tools.soak.load import PATIENCE, REVERSE, THREADED

ROOT = Path(__file__).resolve().parents[2]
KERNEL, STACK = "10.0.0.1", "10.0.0.2"
MS = 1_000_000
KEEP_ALIVE = (
    ((socket.SOL_SOCKET, socket.SO_KEEPALIVE), 1),
    ((socket.IPPROTO_TCP, socket.TCP_KEEPIDLE), 2),
    ((socket.IPPROTO_TCP, socket.TCP_KEEPINTVL), 1),
    ((socket.IPPROTO_TCP, socket.TCP_KEEPCNT), 5),
)
LEAKS = ("memory", "descriptors", "sockets")


def link(device: Device) -> Device:
    """Put the faulty link in front of the TAP.

    It loses half a per cent of the frames, reorders one in a hundred, duplicates some, and delays all a little.
    """
    faults: dict[str, Any] = {
        "loss": 0.005,
        "reorder": 0.01,
        "reorder_delay": 2 * MS,
        "duplicate": 0.002,
        "jitter": MS // 2,
    }
    return FaultDevice(
        device, inbound=Channel(1, "to the stack", **faults), outbound=Channel(1, "from the stack", **faults)
    )


class Programs:
    """The programs on the stack: an echo with a thread for each connection, and a client of the kernel's echo."""

    def __init__(self, running: Any, leaks: list[str], patience: float):
        self.running = running
        self.patience = patience
        self.leaks = leaks
        self.leaked: list[Any] = []
        self.accepted = 0
        self.opened = 0
        self.errors: list[str] = []
        self.go = threading.Event()
        self.idle = threading.Event()
        self.idle.set()
        self.ended = False
        self.listener = running.socket()
        self.listener.bind((STACK, THREADED))
        self.listener.listen(64)
        for body in (self.accept, self.client):
            threading.Thread(target=body, daemon=True).start()

    def leak(self, sock: Any) -> None:
        """Leak on purpose, as the control: what a program, or the stack, might forget to release."""
        if "memory" in self.leaks:
            self.leaked.append(bytearray(200_000))
        if "descriptors" in self.leaks:
            self.leaked.append(os.dup(0))
        if "sockets" in self.leaks:
            self.leaked.append(sock.dup())

    def accept(self) -> None:
        """Accept connections, with a thread for each."""
        while not self.ended:
            try:
                sock = self.listener.accept()[0]
            except OSError as error:
                if not self.ended:
                    self.errors.append(f"accept: {error}")
                return
            self.accepted += 1
            for option, value in KEEP_ALIVE:
                sock.setsockopt(*option, value)
            self.leak(sock)
            threading.Thread(target=self.echo, args=(sock,), daemon=True).start()

    def echo(self, sock: Any) -> None:
        """Serve one connection. It is no error if the peer resets it, or has gone."""
        with sock:
            try:
                while data := sock.recv(1 << 16):
                    sock.sendall(data)
            except (ConnectionError, TimeoutError):
                pass
            except OSError as error:
                if not self.ended:
                    self.errors.append(f"echo: {error}")

    def client(self) -> None:
        """Open connections from the stack to the kernel."""
        number = 0
        while not self.ended:
            if not self.go.is_set():
                self.idle.set()
                self.go.wait(0.1)
                continue
            self.idle.clear()
            number += 1
            data = (b"%d." % number) * (1 + number * 7919 % 5000)
            try:
                with self.running.socket() as sock:
                    sock.settimeout(self.patience)
                    sock.connect((KERNEL, REVERSE))
                    sock.sendall(data)
                    got = bytearray()
                    while len(got) < len(data) and (piece := sock.recv(1 << 16)):
                        got += piece
                if got != data:
                    self.errors.append("client: the echo differs from what was sent")
                self.opened += 1
            except OSError as error:
                self.errors.append(f"client: {type(error).__name__}: {error}")
            time.sleep(0.05)
        self.idle.set()


class Soak:
    """The stack, the load, and the samples."""

    def __init__(self, options: argparse.Namespace, space: Namespace):
        self.seconds = options.hours * 3600
        # As many samples as this in an hour. A short run has shorter intervals, and a shorter TIME-WAIT.
        self.interval = min(60.0, max(0.2, self.seconds / 40))
        self.time_wait = min(10.0, max(0.5, self.seconds / 40))
        self.running = pystack.up(
            netns=space, offload=False, wrap=link, seed=options.seed, default=False,
            config={"tcp_time_wait": int(self.time_wait * 1e9)},
        )  # fmt: skip
        services.start("echo:7", "http:80", "hello:8080", host=self.running.host)
        self.patience = options.patience
        self.programs = Programs(self.running, options.leak, self.patience)
        argv = [sys.executable, "-m", "tools.soak.load", STACK, "--seed", str(options.seed)]
        argv += ["--patience", str(self.patience)]
        self.load: Any = space.popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)
        self.wrong: list[str] = []
        self.connections = 0
        self.quiet = self.moving()

    def moving(self) -> tuple[int, int, int]:
        """Return the numbers that go up and down with the connections: endpoints, timers, threads."""
        told: tuple[int, int] = self.running.host.inspect(lambda stack: (len(stack.endpoints), len(stack.timers)))
        return (*told, threading.active_count())

    def ask(self, word: str) -> Any:
        """Send a command to the load, and read its answer."""
        self.load.stdin.write(word + "\n")
        self.load.stdin.flush()
        if word in ("rest", "report"):
            line = self.load.stdout.readline()
            if not line:
                raise RuntimeError("the load ended unexpectedly")
            return json.loads(line)
        return None

    def sample(self, begin: float) -> Sample:
        """Take a sample, and show it."""
        told = self.ask("report")
        gc.collect()
        endpoints, timers, threads = self.moving()
        made = Sample(
            at=time.monotonic() - begin,
            memory=int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE"),
            blocks=sys.getallocatedblocks(),
            descriptors=len(os.listdir("/proc/self/fd")),
            threads=threads,
            endpoints=endpoints,
            timers=timers,
            latency=told["times"],
            counts=told["counts"],
        )
        self.connections += made.counts.get("connections", 0)
        if told["failed"]:
            self.wrong.append(f"{told['failed']} exchanges failed at {made.at:.0f} s: {'; '.join(told['errors'])}")
        show(made)
        return made

    def under_load(self, seconds: float, begin: float) -> list[Sample]:
        """Run under load for this many seconds, and return the samples."""
        samples = []
        limit = time.monotonic() + seconds
        self.ask("go")
        self.programs.go.set()
        while (left := limit - time.monotonic()) > 0 and self.running.host.failure is None:
            time.sleep(min(self.interval, left))
            samples.append(self.sample(begin))
        return samples

    def at_rest(self, begin: float) -> Sample:
        """Let everything end, and take a sample."""
        self.programs.go.clear()
        if not self.ask("rest")["rests"]:
            self.wrong.append("the load did not come to rest")
        self.programs.idle.wait(self.patience)
        # Closed sockets deliver their last bytes, and TIME-WAIT ends. A timer of ARP may be set.
        limit = time.monotonic() + self.time_wait + self.patience
        endpoints, timers, threads = self.quiet
        while time.monotonic() < limit:
            time.sleep(0.25)
            now = self.moving()
            if now[0] <= endpoints and now[1] <= timers + 1 and now[2] <= threads:
                break
        print("at rest:")
        return self.sample(begin)

    def run(self) -> None:
        """Warm up, rest, soak, rest."""
        self.load.stdout.readline()  # it is ready
        begin = time.monotonic()
        print(HEAD)
        self.under_load(max(3.0, self.seconds * 0.1), begin)
        before = self.at_rest(begin)
        self.connections = -self.programs.opened - self.programs.accepted
        samples = self.under_load(self.seconds * 0.9, begin)
        after = self.at_rest(begin)
        self.connections += self.programs.opened + self.programs.accepted
        self.wrong += at_rest(before, after, self.connections) + under_load(samples)
        if self.running.host.failure is not None:
            self.wrong.append(f"the stack stopped: {self.running.host.failure!r}")
        self.wrong += self.programs.errors[:5]

    def close(self) -> None:
        """End the load and the stack."""
        self.programs.ended = True
        try:
            self.load.communicate("end\n", timeout=10)
        except (subprocess.TimeoutExpired, BrokenPipeError):
            self.load.kill()
            self.load.wait()
        self.programs.listener.close()
        self.running.close()


HEAD = (
    "     s  memory KB   objects   fds  threads  endpoints  timers  "
    "request ms p50/p99   short ms p50/p99  datagram ms p50/p99  connections  MB"
)


def show(sample: Sample) -> None:
    """Print one line of the table."""

    def times(kind: str) -> str:
        return "{:.1f}/{:.1f}".format(*sample.latency[kind][:2]) if kind in sample.latency else "-"

    print(
        f"{sample.at:6.0f}  {sample.memory >> 10:9}  {sample.blocks:8}  {sample.descriptors:4}  {sample.threads:7}  "
        f"{sample.endpoints:9}  {sample.timers:6}  {times('request'):>18}  {times('short'):>17}  {times('datagram'):>19}  "
        f"{sample.counts.get('connections', 0):11}  {sample.counts.get('bulk bytes', 0) / 1e6:.1f}",
        flush=True,
    )


def main(argv: "list[str] | None" = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="make soak", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--hours", type=float, default=1.0, help="hours (default: %(default)s; 0.01 is 36 seconds)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--patience",
        type=float,
        default=PATIENCE,
        help="an exchange, or coming to rest, may take this many seconds (default: %(default)g)",
    )
    parser.add_argument("--leak", action="append", default=[], choices=LEAKS, help="a control: leak this; it must fail")
    options = parser.parse_args(argv)
    try:
        space = Namespace.new()
    except OSError as error:
        print(f"make soak: skipped: no network namespace here: {error} (as root, or: unshare -Urn make soak)")
        return 0
    built = "compiled" if all(pystack.compiled().values()) else "uncompiled"
    with space:
        space.quiet()
        soak = Soak(options, space)
        try:
            soak.run()
        except KeyboardInterrupt:
            soak.wrong.append("interrupted")
        finally:
            soak.close()
    for text in soak.wrong:
        print(f"NOT FLAT: {text}")
    print(f"soak of {soak.seconds:.0f} s, {built}: {len(soak.wrong)} findings after {soak.connections} connections")
    return 1 if soak.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
