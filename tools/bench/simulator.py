"""Measures how fast the simulator is: two hosts and a gigabyte, a thousand hosts, segments per second of the processor beside ns-3's."""

import subprocess
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

from pystack.sim.network import MS, Network, S, SimHost
from pystack.sim.programs import StreamSocket, spawn, stream
from tools.bench import report
from tools.bench.stacks import ROOT, compile_ns3

GB = 10**9
PIECE = bytes(1 << 18)


def _sink(listener: StreamSocket) -> Generator[Any, Any, int]:
    conn = yield listener.accept()
    total = 0
    while True:
        data = yield conn.recv(1 << 20)
        if not data:
            conn.close()
            return total
        total += len(data)


def _source(host: SimHost, address: str, size: int) -> Generator[Any, Any, None]:
    sock = stream(host)
    yield sock.connect(address, 9)
    left = size
    while left > 0:
        piece = PIECE if left >= len(PIECE) else PIECE[:left]
        yield sock.sendall(piece)
        left -= len(piece)
    sock.close()


def transfer(size: int, **settings: Any) -> tuple[float, float, int]:
    """Return the wall seconds, the processor seconds, and the segments of one transfer between two hosts."""
    net = Network(seed=1)
    a, b = net.host("a", **settings), net.host("b", **settings)
    net.link(a, b, delay=1 * MS, addrs=("10.0.0.1/24", "10.0.0.2/24"))
    listener = stream(b)
    listener.bind("10.0.0.2", 9)
    listener.listen(8)
    done = spawn(net, _sink(listener))
    spawn(net, _source(a, "10.0.0.2", size))
    begin, processor = time.perf_counter(), time.process_time()
    net.run_until(done.finished, limit=3600 * S)
    seconds, processor = time.perf_counter() - begin, time.process_time() - processor
    if done.value != size:
        raise RuntimeError(f"{done.value} of {size} bytes arrived")
    return seconds, processor, sum(host.stack.counters.TcpInSegs for host in (a, b))


def crowd(hosts: int, size: int) -> float:
    """Return the wall seconds of pairs of hosts on one switch, each of which moves `size` bytes, all at once."""
    begin = time.perf_counter()
    net = Network(seed=1)
    switch = net.switch("switch")
    members = [net.host(f"h{i}") for i in range(hosts)]
    for i, host in enumerate(members):
        net.link(host, switch, delay=1 * MS, addrs=(f"10.0.{i >> 8}.{i & 255}/16", None))
    done = []
    for i in range(0, hosts, 2):
        if i == 0:
            continue  # 10.0.0.0 is not a host address
        address = f"10.0.{i >> 8}.{i & 255}"
        listener = stream(members[i])
        listener.bind(address, 9)
        listener.listen(8)
        done.append(spawn(net, _sink(listener)))
        spawn(net, _source(members[i + 1], address, size))
    net.run_until(lambda: all(one.done for one in done), limit=600 * S)
    return time.perf_counter() - begin


def ns3(size: int, program: Path) -> float:
    """Return the segments per second of the processor of the same transfer in ns-3 (peers/ns3.cc)."""
    done = subprocess.run([str(program), str(size)], capture_output=True, text=True, check=True, timeout=600)
    segments, seconds = done.stdout.split()
    return int(segments) / float(seconds)


class Homes:
    """A server behind a router, and hosts behind NATs at the same router. All NATs have the same addresses inside."""

    def __init__(self, nats: int, each: int, whole: bool = False, **settings: Any) -> None:
        self.net = net = Network(seed=1, whole=whole)
        self.router = net.router("router", **settings)
        self.server = net.host("server", **settings)
        net.link(self.router, self.server, delay=1 * MS, addrs=("203.0.113.1/24", "203.0.113.2/24"))
        self.server.route("default", via="203.0.113.1")
        self.nats: list[SimHost] = []
        self.hosts: list[SimHost] = []
        for n in range(nats):
            nat = net.nat(f"nat{n}", **settings)
            net.link(nat, self.router, delay=5 * MS, addrs=(f"198.51.{n}.2/24", f"198.51.{n}.1/24"))
            nat.route("default", via=f"198.51.{n}.1")
            switch = net.switch(f"home{n}")
            net.link(nat, switch, addrs=("10.0.0.1/16", None))
            for i in range(each):
                host = net.host(f"h{n}-{i}", **settings)
                net.link(host, switch, addrs=(f"10.0.{1 + i // 250}.{1 + i % 250}/16", None))
                host.route("default", via="10.0.0.1")
                self.hosts.append(host)
            self.nats.append(nat)

    def move(self, size: int) -> list[int]:
        """Let every host send `size` bytes to the server, all at once. Returns how many arrived of each."""
        listener = stream(self.server)
        listener.bind("203.0.113.2", 9)
        listener.listen(len(self.hosts))
        done = [spawn(self.net, _sink(listener)) for _ in self.hosts]
        for host in self.hosts:
            spawn(self.net, _source(host, "203.0.113.2", size))
        self.net.run_until(lambda: all(one.done for one in done), limit=600 * S)
        return [one.value for one in done]


def homes(nats: int, each: int, size: int, **settings: Any) -> tuple[float, float]:
    """Return the wall seconds to build Homes, and those to move `size` bytes from each host."""
    begin = time.perf_counter()
    made = Homes(nats, each, **settings)
    built = time.perf_counter()
    if set(made.move(size)) != {size}:
        raise RuntimeError("not all bytes arrived")
    return built - begin, time.perf_counter() - built


def measure(results: "report.Results", quick: bool) -> None:
    """Measure the simulator's rows."""
    size = GB // 10 if quick else GB
    seconds, _, _ = transfer(size)
    results.add("simulator", "1 GB transfer", seconds * GB / size)
    program = ROOT / "build" / "bench" / "ns3"
    missing = compile_ns3(program)
    if missing:
        results.fail("ns-3", "simulated segments", f"skipped: {missing}")
    for _ in range(1 if quick else 3):
        _, seconds, segments = transfer(GB // 10)
        results.add("simulator", "simulated segments", segments / seconds)
        if not missing:
            results.add("ns-3", "simulated segments", ns3(GB // 10, program))
    results.add("simulator, offload", "1 GB transfer", transfer(size, offload=True)[0] * GB / size)
    results.add("simulator", "1,000 hosts, 100 kB a pair", crowd(1000, 100_000))
    kinds: tuple[tuple[str, dict[str, Any]], ...] = (
        ("simulator", {}),
        ("simulator, offload", {"offload": True}),
        ("simulator, whole frames", {"whole": True}),
    )
    for name, settings in kinds:
        built, moved = homes(10, 100, 1_000_000, **settings)
        results.add(name, "1,000 hosts behind 10 NATs, built", built)
        results.add(name, "1,000 hosts behind 10 NATs, 1 MB each", moved)
