"""How much work an ACK makes, in lines of the uncompiled core: `python -m tests.support.ackwork NAME SEGMENTS` prints JSON.

A connection has many segments of 48 bytes in flight, and a peer that sends the ACKs of a plan below.
"""

import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pystack  # noqa: F401
from pystack.testing.peer import MS, SACK_OK, Peer, PeerConn, mss_option, sack_option, wscale_option
from pystack_c.base.seqnum import seq_add
from pystack_c.tcp.queues import memory
from tests.support import invariants

ROOT = Path(__file__).parents[2]
CORE = str(ROOT / "pystack_c" / "tcp")
SIZE = 48


class Lines:
    """Counts the lines of the core's TCP that run."""

    def __init__(self) -> None:
        self.count = 0

    def __enter__(self) -> "Lines":
        sys.settrace(self.enter)
        return self

    def __exit__(self, *gone: object) -> None:
        sys.settrace(None)

    def enter(self, frame: FrameType, event: str, arg: object) -> Any:
        """A call: its lines count where it is the core's."""
        return self.line if frame.f_code.co_filename.startswith(CORE) else None

    def line(self, frame: FrameType, event: str, arg: object) -> Any:
        """A line."""
        self.count += event == "line"
        return self.line


def in_flight(segments: int, **settings: Any) -> PeerConn:
    """A connection with so many segments out, sent 200 ms ago."""
    peer = Peer(tcp_isn=2**32 - 100_000, tcp_wmem=16 << 20, tcp_rto_min=1000 * MS, **settings)
    conn = peer.established(active=True, options=mss_option(SIZE) + SACK_OK + wscale_option(10))
    tcb = conn.tcb
    tcb.mss = SIZE
    tcb.cwnd = SIZE
    assert conn.send(bytes(SIZE))
    record = type(tcb.rtxq.head())
    conn.has(SIZE)
    conn.peer.advance(20 * MS)
    conn.rx()
    tcb.cwnd = SIZE * segments
    tcb.sendbuf.append(bytes(SIZE * segments))
    for number in range(segments):
        end = seq_add(tcb.snd_nxt, SIZE)
        tcb.rtxq.append(record(tcb.snd_nxt, end, peer.now + number // 100))
        tcb.snd_nxt = end
    tcb.cwnd = 4 * SIZE
    memory.settle(tcb)
    conn.peer.now += 200 * MS
    return conn


Blocks = list[tuple[int, int]]


def wandering(conn: PeerConn, segments: int) -> Iterator[Blocks]:
    """The last segment, then three anywhere."""
    rng = random.Random(1)
    yield [(segments - 1, segments)]
    for _ in range(200):
        at = sorted(rng.sample(range(2, segments - 8), 3))
        yield [(i, i + 1) for i in at]


def everything_again(conn: PeerConn, segments: int) -> Iterator[Blocks]:
    """All but the first segment; and the same once more, many times."""
    for _ in range(100):
        yield [(1, segments - 50)]
    for i in range(40):
        yield [(1, segments - 49 + i)]


def combs(conn: PeerConn, segments: int) -> Iterator[Blocks]:
    """Each second segment, from the middle on; then those between; blocks over all of it now and then."""
    middle = segments // 2
    for i in range(100):
        yield [(middle + 2 * i, middle + 2 * i + 1)]
    for i in range(100):
        yield [(middle + 2 * i, middle + 2 * i + 2), (middle, middle + 2 * i)]


def backwards(conn: PeerConn, segments: int) -> Iterator[Blocks]:
    """From the last segment to lower ones, one more with each ACK."""
    for i in range(200):
        yield [(segments - 1 - i, segments)]


PLANS: dict[str, Callable[[PeerConn, int], Iterator[Blocks]]] = {
    "wandering": wandering,
    "everything again": everything_again,
    "combs": combs,
    "backwards": backwards,
}


def lines_of(name: str, segments: int, **settings: Any) -> dict[str, Any]:
    """The lines that each ACK of the plan makes run; how many records there are in the end."""
    conn = in_flight(segments, **settings)
    found = []
    for number, blocks in enumerate(PLANS[name](conn, segments)):
        conn.peer.now += MS
        options = sack_option(*((conn.ack + a * SIZE, conn.ack + b * SIZE) for a, b in blocks))
        with Lines() as lines:
            conn.rx(options=options)
        found.append(lines.count)
        if number % 50 == 0:
            invariants.check_rtxq(conn.tcb, name)
    return {"lines": found, "records": len(conn.tcb.rtxq), "retransmissions": conn.tcb.total_retrans}


def measure(name: str, segments: int, **settings: Any) -> dict[str, Any]:
    """`lines_of` in a process that runs the core uncompiled."""
    command = [sys.executable, "-m", "tests.support.ackwork", name, str(segments), json.dumps(settings)]
    environ = {**os.environ, "PYSTACK_PURE": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)  # type: ignore[no-any-return]


if __name__ == "__main__":
    print(json.dumps(lines_of(sys.argv[1], int(sys.argv[2]), **json.loads(sys.argv[3] if len(sys.argv) > 3 else "{}"))))
