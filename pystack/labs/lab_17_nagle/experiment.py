"""A client writes 100 bytes, writes 100 bytes, and reads an answer of 10 bytes, 30 times."""

from typing import Any

from pystack.labs.looks import LabLook
from pystack.labs.values import LabControl, LabValue
from pystack.testing.lab import MS, Lab, lab_net

R = 10 * MS  # the round trip
D = 40 * MS  # the longest time for which a receiver delays an acknowledgement
TIMES = 30
SOL_TCP, TCP_NODELAY, TCP_CORK = 6, 1, 3


def network(**settings: Any) -> Lab:
    """Build the network: a client `a` and a server `b`, half a round trip apart each way."""
    return lab_net(R // 2, **settings)


def exchanges(write: str = "twice", **settings: Any) -> tuple[list[int], int]:
    """Run the exchanges. Returns the time of each (ns), and the number of data segments that the client sent."""
    lab = network(**settings)
    client, server = lab.connected()
    if write == "nodelay":
        client.setsockopt(SOL_TCP, TCP_NODELAY, 1)
    times = []

    def ask():
        for _ in range(TIMES):
            started = lab.net.now
            if write == "cork":
                client.setsockopt(SOL_TCP, TCP_CORK, 1)
            for part in [200] if write == "once" else [100, 100]:
                yield client.sendall(bytes(part))
            if write == "cork":
                client.setsockopt(SOL_TCP, TCP_CORK, 0)
            yield client.recv_exactly(10)
            times.append(lab.net.now - started)

    def answer():
        for _ in range(TIMES):
            yield server.recv_exactly(200)
            yield server.sendall(bytes(10))

    lab.run(ask(), answer())
    return times, len(lab.log.data("a"))


def same(times: list[int]) -> Any:
    """Return the time of one exchange if all took the same, or else all times, which no formula accepts."""
    return times[0] if times == times[:1] * TIMES else times


VALUES = [
    LabValue("twice", "Two writes, Nagle on: how long is each exchange?", "2 R + D", 2 * R + D),
    LabValue("nodelay", "Two writes with TCP_NODELAY: how long?", "R", R),
    LabValue("once", "One write of 200 bytes: how long?", "R", R),
    LabValue("cork", "Two writes with TCP_CORK around them: how long?", "R", R),
    LabValue("nodelay segments", "Data segments of 30 exchanges with TCP_NODELAY?", "2 * 30", 60, "segments"),
    LabValue("once segments", "Data segments of 30 exchanges with one write each?", "30", 30, "segments"),
]


def measure(name: str) -> Any:
    """Measure one of VALUES."""
    times, segments = exchanges(name.split()[0])
    return segments if name.endswith("segments") else same(times)


CONTROLS = [
    LabControl(
        "The server acknowledges at once (no delayed ACK)",
        LabValue("no delay", "Two writes, Nagle on", "2 R", 2 * R),
    )
]


def control(name: str) -> Any:
    """Measure the control: Nagle still waits for the acknowledgement, which comes after one round trip."""
    return same(exchanges(server={"tcp_quickack_segs": 1 << 20, "tcp_delack_time": 0})[0])


LOOKS = [
    LabLook("Two writes: the second one waits for an acknowledgement", exchanges, 'host == "a" and event.kind == "hold"', "ladder", frames="1-12"),
    LabLook("The same with TCP_NODELAY", lambda: exchanges("nodelay"), "frame=5", "ladder", frames="1-14"),
]  # fmt: skip
