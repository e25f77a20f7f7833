"""A client writes to a server that never reads: by a relay, and by a balancer that translates addresses."""

from collections.abc import Callable
from functools import cache
from typing import Any

from pystack.labs.lab_33_l4_proxy.paths import BUFFER, COPY, MS, R1, R2, SOL_TCP, TCP_NODELAY, Path, S, copying
from pystack.labs.lab_33_l4_proxy.paths import network as network
from pystack.labs.looks import LabLook
from pystack.labs.values import LabControl, LabValue
from pystack.sim.programs import spawn
from pystack.testing.lab import sleep

MSS = 1460
WRITES, SIZE = 10, 100


def path(kind: str, reads: bool, pause: int = 0) -> Path:
    """Open a connection by a "relay" or by "dnat"."""
    return Path(copying(pause) if kind == "relay" else None, reads)


@cache
def blocked(kind: str, reads: bool = False) -> int:
    """Return how many bytes the client can write."""
    return path(kind, reads).write_until_blocked()


def killed(kind: str) -> int:
    """Kill the middle while the client is blocked. Returns the bytes that are acknowledged and never reach the server."""
    way = path(kind, reads=False)
    way.write_until_blocked()
    before = way.missing()
    way.middle.crash()
    way.net.run(until=way.net.now + 100 * S)
    assert way.missing() == before  # nobody sends them any more
    return before


def srtt(kind: str) -> int:
    """Return the round trip that the client measures (ns)."""
    way = path(kind, reads=True)
    way.client.call("send", bytes(8 * MSS), 0)
    way.net.run(until=way.net.now + S)
    return int(way.client.endpoint.srtt)


def segments(kind: str) -> list[int]:
    """Make ten writes of 100 bytes, 1 ms apart, while the relay sleeps. Returns the segments of the client, and those at the server."""
    way = path(kind, reads=True, pause=20 * MS)
    way.client.setsockopt(SOL_TCP, TCP_NODELAY, 1)
    way.client.call("send", b"!", 0)  # the relay reads this, and then sleeps
    way.net.run(until=way.net.now + R1 // 2)
    sent, got = way.log.data("client"), [seg for seg in way.log.got["server"] if seg.payload]

    def write():
        for number in range(WRITES):
            way.client.call("send", bytes([number]) * SIZE, 0)
            yield sleep(MS)

    spawn(way.net, write())
    way.net.run(until=way.net.now + S)
    arrived = [seg for seg in way.log.got["server"] if seg.payload]
    return [len(way.log.data("client")) - len(sent), len([seg for seg in arrived[len(got) :] if len(seg) > 1])]


VALUES = [
    LabValue("relay", "Relay: after how many bytes do the client's writes block?", "4 * 65,536 + 16,384",
             4 * BUFFER + COPY, "bytes"),
    LabValue("dnat", "Address translation: after how many bytes?", "2 * 65,536", 2 * BUFFER, "bytes"),
    LabValue("relay srtt", "Relay: which round trip does the client measure?", "R1", R1),
    LabValue("dnat srtt", "Address translation: which round trip?", "R1 + R2", R1 + R2),
    LabValue("relay segments", "Relay: segments of the client, and at the server?", "10, 1", [WRITES, 1], ""),
    LabValue("dnat segments", "Address translation: segments of the client, and at the server?", "10, 10", [WRITES] * 2, ""),
    LabValue("relay lost", "The relay dies: how many acknowledged bytes are lost?", "4 * 65,536 + 16,384 - 2 * 65,536",
             2 * BUFFER + COPY, "bytes"),
    LabValue("dnat lost", "The translating host dies: how many acknowledged bytes are lost?", "0", 0, "bytes"),
]  # fmt: skip


def measure(name: str) -> Any:
    """Measure one of VALUES."""
    kind, _, what = name.partition(" ")
    ways: dict[str, Callable[[str], Any]] = {"": blocked, "srtt": srtt, "segments": segments, "lost": killed}
    return ways[what](kind)


CONTROLS = [
    LabControl(
        f"The server reads ({words})",
        LabValue(kind, "Bytes of 1 MiB that the client can write", "all", 1 << 20, "bytes"),
    )
    for kind, words in (("relay", "relay"), ("dnat", "address translation"))
]


def control(name: str) -> int:
    """Measure a control."""
    return blocked(name, reads=True)


LOOKS = [
    LabLook("The relay takes what no server reads", lambda: blocked.__wrapped__("relay"), 'host == "client" and event.kind == "hold" and tcb.snd_wnd == 0', "sequence", "client "),
]  # fmt: skip
