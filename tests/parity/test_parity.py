"""The compiled and the uncompiled core do the same, to the byte: frames, results, events, counters, drops, control blocks, timers.

Each program runs here and in a process with the other build; after every step everything observable is compared.
"""

import pytest

import pystack
import pystack_c.const as C
from tests.fuzz.test_oracles import busy
from tests.support import build, worker
from tests.support.hostile import HOST, PEER
from tests.support.world import peer_bytes
from tools import fuzz

pytestmark = pytest.mark.skipif(
    not all(pystack.compiled().values()), reason="the compiled run compares itself with the uncompiled core"
)


@pytest.fixture(scope="module")
def other():
    """The uncompiled core."""
    with worker.Worker(pure=True) as process:
        yield process


def test_over_there_runs_the_other_build(other):
    assert other.build() is False


@pytest.mark.parametrize("seed", range(24))
def test_rounds_of_the_fuzzer(other, seed):
    program, failure, _ = fuzz.make(seed)
    assert not failure, failure
    assert worker.compare({**program, "probe": True}, other) == ""


def test_a_connection_with_every_event(other):
    """Scripted: a peer opens, sends, loses a segment, is answered, loses one of ours, closes; the probe on."""
    made, tcb = busy()
    program = {"seed": 1, "probe": True, "steps": list(made.log)}
    segments = []
    for i in range(42):
        # An acknowledgement of half of what is out, with the rest SACKed now and then; data with every third one missing.
        records = tcb.rtxq.segs[tcb.rtxq.first :]
        ack = records[len(records) // 2].seq if records else tcb.snd_nxt
        block = build.opt_sack((records[-1].seq, records[-1].end)) if records and i % 5 == 0 else b""
        seq = tcb.rcv_nxt + (1448 if i % 3 == 0 else 0)
        body = build.tcp(PEER, 5, HOST, 80, C.ACK | (C.FIN if i == 41 else 0), seq, ack, peer_bytes(seq, 1448), block)
        segments.append(("rx", "eth0", build.ether(build.ipv4(PEER, HOST, 6, body)), 0, 0))
        segments += [
            ("send", 2, 3000, 0),
            ("recv", 2, 1 << 16, 0),
            ("run", 30_000_000 * (i % 9) if i != 20 else 2_000_000_000),
        ]
        for step in segments[-4:]:
            made.apply(step)
    program["steps"] += [*segments, ("call", "close", 2), ("run", 900_000_000_000)]
    assert tcb.total_retrans > 0 and tcb.fin_received and tcb.bytes_acked > 10_000
    assert worker.compare(program, other) == ""


@pytest.mark.parametrize("path", fuzz.REGRESSIONS, ids=lambda path: path.stem)
def test_what_once_failed(other, path):
    assert worker.compare(fuzz.load(path.read_text()), other) == ""


def test_a_difference_is_seen(other):
    """Control: another seed over there, and the first step that shows it is named."""

    class Skewed:
        def run(self, program, full=-1):
            return other.run({**program, "seed": program["seed"] + 1}, full)

    program, _, _ = fuzz.make(5)
    assert worker.compare(program, Skewed()).startswith("step ")
