"""A client makes ten requests, on one connection or on ten. What does a capture show?"""

from functools import cache, partial
from pathlib import Path
from typing import Any

from pystack.labs import tshark
from pystack.labs.lab_29_wireshark_http import solution
from pystack.labs.looks import LabLook
from pystack.labs.values import LabControl, LabValue
from pystack.testing.lab import MS, Lab, lab_net, pattern
from pystack.testing.segments import ACK, SYN

R = 20 * MS
COUNT, SIZE, MSS = 10, 4000, 1460
OPENS = "tcp.flags.syn == 1 && tcp.flags.ack == 0"


def network() -> Lab:
    """Build the network: a client `a` and a server `b`, half a round trip apart each way."""
    return lab_net(R // 2)


def request(number: int, last: bool) -> bytes:
    """Return a request. The last one of a connection says so."""
    return b"GET /picture/%d HTTP/1.1\r\nHost: server\r\n%s\r\n" % (number, b"Connection: close\r\n" if last else b"")


def answer(size: int) -> bytes:
    """Return an answer of `size` bytes, with its header."""
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %04d\r\n\r\n"
    body = size - len(head % 0)
    return head % body + pattern(body)


class Run:
    """One run: ten requests one after the other, on one connection (`keep`) or each on its own. `size` is that of an answer."""

    def __init__(self, keep: bool, size: int = SIZE, path: Path | None = None):
        self.lab = lab = network()
        self.size = size
        if path:
            lab.net.annotated_capture(str(path), lab.a.port())
        self.streams: list[bytes] = []  # what the client reads on each connection
        lab.spawn(self.serve(lab.listener()))
        lab.run(self.ask(keep))
        self.time = lab.net.now
        lab.net.run_until_idle()
        lab.net.close()

    def serve(self, listener):
        """Run the server: it answers until a request says that it is the last one."""
        while True:
            sock = yield listener.accept()
            got = b""
            while b"Connection: close" not in got:
                got = b""
                while not got.endswith(b"\r\n\r\n"):
                    got += yield sock.recv(4096)
                yield sock.sendall(answer(self.size))
            sock.close()

    def ask(self, keep):
        """Run the client."""
        for first in range(0, COUNT, COUNT if keep else 1):
            last = COUNT - 1 if keep else first
            sock = yield from self.lab.client()
            got = b""
            for number in range(first, last + 1):
                yield sock.sendall(request(number, number == last))
                got += yield sock.recv_exactly(self.size)
            self.streams.append(got)
            sock.close()

    @property
    def opened(self) -> int:
        """How many connections the client opened, by pystack's own reading."""
        return sum(seg.has(SYN) and not seg.has(ACK) for seg in self.lab.log.sent["a"])


@cache
def run(keep: bool, size: int = SIZE) -> Run:
    """Return a run."""
    return Run(keep, size)


def write(path: Path, keep: bool = True, size: int = SIZE) -> None:
    """Write the client's capture, with what its stack decided."""
    Run(keep, size, path)


@cache
def found(expression: str, keep: bool, size: int = SIZE) -> list[list[str]]:
    """Return the numbers of the segments of which Wireshark puts what it finds together, a list for each frame."""
    return tshark.ask(partial(write, keep=keep, size=size), expression, "tcp.segment")


def pieces(size: int = SIZE) -> Any:
    """Return how many segments each answer is put together from. The field is empty for an answer in one segment."""
    counts = {len(fields[0].split(",")) if fields[0] else 1 for fields in found("http.response", True, size)}
    return counts.pop() if len(counts) == 1 else sorted(counts)


NEEDS: dict[str, Any] = {"needs": "tshark"}
VALUES = [
    LabValue("requests", "One connection: how many frames does `http.request` find?", "10", COUNT, "frames", **NEEDS),
    LabValue("opens", f"`{OPENS}`?", "1", 1, "frames", **NEEDS),
    LabValue("answers", "`http.response`?", "10", COUNT, "frames", **NEEDS),
    LabValue("pieces", "Of how many segments is each answer?", "4,000 / 1,460, rounded up", -(-SIZE // MSS), "segments", **NEEDS),
    LabValue("time", "When does the client have everything?", "R + 10 R", (1 + COUNT) * R),
    LabValue("ten requests", "Ten connections: how many frames does `http.request` find?", "10", COUNT, "frames", **NEEDS),
    LabValue("ten opens", f"`{OPENS}`?", "10", COUNT, "frames", **NEEDS),
    LabValue("ten time", "When does the client have everything then?", "10 * 2 R", 2 * COUNT * R),
    LabValue("own", "Connections and answers by pystack's own reading?", "1, 10", [1, COUNT], ""),
    LabValue("ten own", "The same with ten connections?", "10, 10", [COUNT, COUNT], ""),
]  # fmt: skip


def measure(name: str) -> Any:
    """Measure one of VALUES."""
    keep = not name.startswith("ten ")
    what = name.removeprefix("ten ")
    if what == "own":
        one = run(keep)
        methods = ["GET"] * (COUNT if keep else 1)
        return [one.opened, sum(len(solution.answers(stream, methods)) for stream in one.streams)]
    if what == "pieces":
        return pieces()
    if what == "time":
        return run(keep).time
    expression = {"requests": "http.request", "opens": OPENS, "answers": "http.response"}[what]
    return len(found(expression, keep))


CONTROLS = [
    LabControl("Answers of 1,460 bytes", LabValue("small", "Segments of each answer", "1", 1, "", **NEEDS)),
    LabControl(
        "Ten connections instead of one",
        LabValue("connections", "Connections by pystack's own reading", "10", COUNT, "connections"),
    ),
]  # fmt: skip


def control(name: str) -> Any:
    """Measure a control."""
    return pieces(MSS) if name == "small" else run(False).opened


LOOKS = [
    LabLook("Ten requests on one connection", lambda: Run(True), 'host == "b" and event.kind == "out" and event.fields.length > 1000', "ladder", frames="1-20"),
    LabLook("Ten requests on ten connections", lambda: Run(False), 'host == "a" and event.kind == "state" and state == ESTABLISHED', "ladder", frames="1-24"),
]  # fmt: skip
