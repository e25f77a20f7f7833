"""A server sends an event every 100 ms, directly or through a proxy that buffers."""

from functools import cache, partial
from pathlib import Path
from typing import Any

from pystack.labs import tshark
from pystack.labs.looks import LabLook
from pystack.labs.values import LabControl, LabValue
from pystack.sim.network import MS, Network, S
from pystack.sim.programs import spawn, stream
from pystack.testing.lab import sleep
from pystack.testing.segments import PSH, Segment, WireLog

R = 40 * MS  # the round trip from the client to the server
COUNT, GAP, SIZE, BUFFER = 20, 100 * MS, 200, 4096
REQUEST = b"GET /events HTTP/1.1\r\nHost: server\r\nAccept: text/event-stream\r\n\r\n"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
PROXY, SERVER = "10.0.1.2", "10.0.2.2"
SOL_TCP, TCP_NODELAY = 6, 1


def network() -> Network:
    """Build the network: client, proxy and server. Without the proxy's program, its host is a router."""
    net = Network(1)
    client, proxy, server = (
        net.host("client", profile="lab"),
        net.router("proxy", profile="lab"),
        net.host("server", profile="lab"),
    )
    net.link(client, proxy, delay=R // 4, addrs=("10.0.1.1/24", f"{PROXY}/24"))
    net.link(proxy, server, delay=R // 4, addrs=("10.0.2.1/24", f"{SERVER}/24"))
    client.route("default", via=PROXY)
    server.route("default", via="10.0.2.1")
    net.introduce()
    return net


def event(number: int) -> bytes:
    """Return an event of 200 bytes."""
    text = b"id: %d\ndata: " % number
    return text + b"x" * (SIZE - len(text) - 2) + b"\n\n"


class Run:
    """One run: `written` has the time of each event at the server, and `segments` what the client got with data."""

    def __init__(self, buffer: int | None = None, path: Path | None = None):
        """Send the events directly (`buffer` is None) or through a proxy that passes on what it holds once it has `buffer` bytes."""
        self.net = net = network()
        client = net.hosts["client"]
        self.log = WireLog(client.port())
        if path:
            net.annotated_capture(str(path), client.port())
        self.written: list[int] = []
        self.closed = 0
        spawn(net, self.serve(self.listener("server")))
        if buffer is not None:
            spawn(net, self.forward(self.listener("proxy"), buffer))
        proc = spawn(net, self.ask(stream(client), SERVER if buffer is None else PROXY))
        net.run_until(proc.finished, limit=60 * S)
        self.answer: bytes = proc.value
        net.run_until_idle()
        net.close()

    @property
    def segments(self) -> list[Segment]:
        """The segments with data that arrived at the client."""
        return [seg for seg in self.log.got["client"] if seg.payload]

    @property
    def events(self) -> list[Segment]:
        """Those of them that have events."""
        return [seg for seg in self.segments if b"data: " in seg.payload or b"xxx" in seg.payload]

    def listener(self, name: str) -> Any:
        """Return a listening socket."""
        sock = stream(self.net.hosts[name])
        sock.bind("", 80)
        sock.listen()
        return sock

    def ask(self, sock, where):
        """Run the client."""
        yield sock.connect(where, 80)
        yield sock.sendall(REQUEST)
        answer = yield sock.recv_all()
        self.closed = self.net.now
        sock.close()
        return answer

    def serve(self, listener):
        """Run the server."""
        sock = yield listener.accept()
        sock.setsockopt(SOL_TCP, TCP_NODELAY, 1)
        yield sock.recv_exactly(len(REQUEST))
        yield sock.sendall(HEAD)
        for number in range(COUNT):
            yield sleep(GAP)
            self.written.append(self.net.now)
            yield sock.sendall(event(number))
        sock.close()

    def forward(self, listener, buffer):
        """Run the proxy: the head passes at once, and the rest in pieces of `buffer` bytes."""
        near = yield listener.accept()
        near.setsockopt(SOL_TCP, TCP_NODELAY, 1)
        far = stream(self.net.hosts["proxy"])
        yield far.connect(SERVER, 80)
        yield far.sendall((yield near.recv_exactly(len(REQUEST))))
        yield near.sendall((yield far.recv_exactly(len(HEAD))))
        held = b""
        while data := (yield far.recv(65_536)):
            held += data
            if len(held) >= buffer:
                yield near.sendall(held)
                held = b""
        yield near.sendall(held)
        near.close()


@cache
def run(buffer: int | None = None) -> Run:
    """Return a run."""
    return Run(buffer)


def write(path: Path) -> None:
    """Write the client's capture, with what its stack decided."""
    Run(path=path)


def bursts(one: Run) -> int:
    """Return how many times there is at which events arrive."""
    return len({seg.time for seg in one.events})


def spread(numbers: list[int]) -> Any:
    """Return the number that all are, or all, which no formula accepts."""
    return numbers[0] if len(set(numbers)) == 1 else numbers


VALUES = [
    LabValue("segments", "How many segments with events arrive at the client?", "20", COUNT, "segments"),
    LabValue("push", "How many of these have PSH set?", "20", COUNT, "segments"),
    LabValue("gap", "How far apart do they arrive?", "100 ms", GAP),
    LabValue("latency", "After which time is an event at the client?", "R / 2", R // 2),
    LabValue("heads", "How many response headers does the client get?", "1", 1, ""),
    LabValue("open", "How long after the header does the client learn the end?", "20 * 100 ms", COUNT * GAP, "s"),
    LabValue("tshark", "`tcp.len == 200 && tcp.flags.push == 1`: how many frames?", "20", COUNT, "frames", needs="tshark"),
    LabValue("buffered", "A proxy buffers 4,096 bytes: at how many times do events arrive?", "1", 1, "times"),
    LabValue("buffered latency", "How long does the first event take then?", "19 * 100 ms + R / 2", 19 * GAP + R // 2),
]  # fmt: skip


def measure(name: str) -> Any:
    """Measure one of VALUES."""
    if name == "tshark":
        return len(tshark.ask(partial(write), "tcp.len == 200 && tcp.flags.push == 1"))
    if name == "open":
        return run().closed - run().segments[0].time
    one = run(BUFFER if name.startswith("buffered") else None)
    times = [seg.time for seg in one.events]
    if name in ("gap", "latency"):
        pairs = zip(times, times[1:]) if name == "gap" else zip(one.written, times)
        return spread([after - before for before, after in pairs])
    if name.startswith("buffered"):
        return bursts(one) if name == "buffered" else times[0] - one.written[0]
    return {
        "segments": len(times),
        "push": sum(seg.has(PSH) for seg in one.events),
        "heads": one.answer.count(b"HTTP/1.1 200"),
    }[name]


CONTROLS = [
    LabControl("The proxy does not buffer", LabValue("unbuffered", "Times at which events arrive", "20", COUNT, "times")),
    LabControl(
        "The proxy buffers 1,000 bytes", LabValue("less", "Times at which events arrive", "20 * 200 / 1,000", 4, "times")
    ),
]  # fmt: skip


def control(name: str) -> int:
    """Measure a control."""
    return bursts(run(1 if name == "unbuffered" else 1000))


LOOKS = [
    LabLook("An event every 100 ms, as the client gets it", lambda: Run(), 'host == "server" and event.kind == "out" and event.fields.length == 200', "sequence", "server "),
    LabLook("By a proxy that holds 4 KiB", lambda: Run(4096), 'host == "proxy" and event.kind == "out" and event.fields.length > 1000', "sequence", "proxy "),
]  # fmt: skip
