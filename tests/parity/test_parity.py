"""The compiled and the uncompiled core do the same, to the byte: frames, results, events, counters, drops, control blocks, timers.

Each program runs here and in a process with the other build; after every step everything observable is compared.
"""

import pytest

import pystack
import pystack_c.const as C
from pystack_c.config import FIELDS, Config, limits
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


#: what a setting is set to, in thousandths of its range, and what lies next to its bounds
EXTREMES = ("least", "least + 1", "a third", "most - 1", "most")


def extreme(name, which):
    """Settings with one of them at an extreme value."""
    default = getattr(Config(), name)
    if isinstance(default, bool):
        return {name: not default}
    least, most = limits(name)
    value = {"least": least, "least + 1": least + 1, "a third": most // 3, "most - 1": most - 1, "most": most}[which]
    if name == "port_min":
        return {"port_min": value, "port_max": value}
    if name == "port_max":
        return {"port_min": 1, "port_max": value}
    return {name: value}


@pytest.mark.parametrize("which", EXTREMES)
def test_every_setting_at_its_extremes(other, which):
    """A short session with losses on both ways, for each setting: no crash, and the same on both builds."""
    made, tcb = busy()
    ack = build.tcp(PEER, 5, HOST, 80, C.ACK, tcb.rcv_nxt, tcb.snd_nxt, b"")
    program = [
        *made.log,
        ("rx", "eth0", build.ether(build.ipv4(PEER, HOST, 6, ack)), 0, 0),
        ("run", 3_000_000_000),
        ("send", 2, 5000, 0),
        ("recv", 2, 1 << 16, 0),
        ("rx", "eth0", build.ether(build.ipv4(PEER, HOST, 6, build.tcp(PEER, 6, HOST, 99, C.SYN, 1, 0, b""))), 0, 0),
        ("rx", "eth0", build.ether(build.ipv4(PEER, HOST, 1, build.icmp(8, 0, 1))), 0, 0),
        ("open", "tcp", 7),
        ("call", "connect", 7, PEER, 77),
        ("run", 20_000_000_000),
        ("call", "close", 2),
        ("run", 200_000_000_000),
    ]
    different = {}
    for name in FIELDS:
        if isinstance(getattr(Config(), name), str):
            continue
        if isinstance(getattr(Config(), name), bool) and which != "least":
            continue
        # (A timer that is always due would never let the time pass.)
        said = worker.compare({"seed": 1, "config": extreme(name, which), "steps": program}, other)
        if said:
            different[name] = said
    assert not different, "\n".join(f"{name} {which}: {said}" for name, said in different.items())


#: options that take bytes, a text or a pair
NO_NUMBERS = ((0, 4), (0, 32), (0, 35), (0, 36), (1, 13), (6, 13))
OPTIONS = [(1, name) for name in range(1, 61)] + [(0, name) for name in range(1, 37)] + [(255, 1)]
OPTIONS += [(6, name) for name in (*range(1, 37), 0x10008, 0x10047, 0x10080)]
NUMBERS = [
    0,
    1,
    -1,
    127,
    65536,
    *(sign * (1 << bits) - off for bits in (31, 32, 63, 64, 70) for sign in (1, -1) for off in (0, 1)),
]


@pytest.mark.parametrize("kind", ["tcp", "udp", "raw", "ping"])
def test_every_socket_option_with_every_width_of_number(other, kind):
    """What does not fit into setsockopt(2) is refused by the same error on both builds."""
    steps = [
        ("iface", "eth0", C.LINK_ETHERNET, build.MAC_HOST, 1500, False, 0),
        ("setup", "add_addr", "eth0", HOST, 24),
        ("open", kind, 1, *((17,) if kind == "raw" else ())),
    ]
    for level, name in OPTIONS:
        values = [] if (level, name) in NO_NUMBERS else NUMBERS
        if (kind, level, name) == ("tcp", 1, 13):
            values = [(1, number) for number in NUMBERS]
        steps += [("call", "setsockopt", 1, level, name, value) for value in values]
        steps.append(("call", "getsockopt", 1, level, name))
    assert worker.compare({"seed": 1, "steps": steps}, other) == ""


def test_a_difference_is_seen(other):
    """Control: another seed over there, and the first step that shows it is named."""

    class Skewed:
        def run(self, program, full=-1):
            return other.run({**program, "seed": program["seed"] + 1}, full)

    program, _, _ = fuzz.make(5)
    assert worker.compare(program, Skewed()).startswith("step ")
