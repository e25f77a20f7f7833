"""Whole frames, calls and time against live stacks, with every oracle asked after every step (tests.support).

The long run is tools/fuzz.py. These are its first rounds, and Hypothesis where its shrinking helps.
"""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pystack_c.const as C
from tests.support import build
from tests.support.hostile import PEER, Hostile, start
from tests.support.world import World, peer_bytes
from tools import fuzz


@pytest.mark.parametrize("first", range(0, 120, 20))
def test_rounds_of_the_fuzzer(first):
    """The first rounds of `tools/fuzz.py --seed 0`: whatever fails here is cut down by that command."""
    for seed in range(first, first + 20):
        _, failure, steps = fuzz.make(seed)
        assert not failure, f"tools/fuzz.py --seed {seed} --rounds 1\n{failure}"
        assert steps > 50


@given(st.integers(0, 1000), st.lists(st.integers(0, 1 << 32), max_size=40))
@settings(max_examples=25)
def test_moves_in_any_order(begin, moves):
    """Each move has a seed of its own: Hypothesis may leave out any of them."""
    program = start(Random(begin))
    world = World(program)
    for step in program["steps"]:
        world.apply(step)
    for seed in moves:
        for step in Hostile(world, Random(seed)).move():
            world.apply(step)
    world.finish()


STATES = (
    C.LISTEN, C.SYN_SENT, C.SYN_RECEIVED, C.ESTABLISHED, C.FIN_WAIT_1, C.FIN_WAIT_2, C.CLOSING, C.TIME_WAIT, C.CLOSE_WAIT,
    C.LAST_ACK,
)  # fmt: skip


class Opposite:
    """A world with one connection, brought into a state, and the frames of its peer."""

    def __init__(self, state: int):
        self.world = World({"seed": 3, "probe": True})
        for step in (
            ("iface", "eth0", C.LINK_ETHERNET, build.MAC_HOST, 1500, False, 0),
            ("setup", "add_addr", "eth0", 0x0A000002, 24),
            ("setup", "add_neighbor", "eth0", PEER, build.MAC_PEER),
            ("open", "tcp", 1),
            ("call", "bind", 1, 0, 80),
            ("call", "listen", 1, 5),
        ):
            self.world.apply(step)
        self.tcb = self.world.endpoints[1]
        if state == C.SYN_SENT:
            self.world.apply(("open", "tcp", 2))
            self.world.apply(("call", "connect", 2, PEER, 80))
            self.tcb = self.world.endpoints[2]
        elif state != C.LISTEN:
            self.open(state)
        assert self.tcb.state == state

    def open(self, state: int) -> None:
        options = build.opt_mss(1460) + build.OPT_SACK_OK + build.opt_ts(1, 0)
        self.rx(build.tcp(PEER, 40000, 0x0A000002, 80, C.SYN, 999, 0, b"", options))
        self.tcb = self.world.stack.tcp.all()[1]
        if state == C.SYN_RECEIVED:
            return
        self.segment(C.ACK)
        self.world.apply(("accept", 1, 2))
        if state in (C.CLOSE_WAIT, C.LAST_ACK):
            self.segment(C.ACK | C.FIN)
        if state not in (C.ESTABLISHED, C.CLOSE_WAIT):
            self.world.apply(("call", "shutdown", 2, 1))
        if state == C.CLOSING:
            self.segment(C.ACK | C.FIN, ack=self.tcb.snd_una)
        if state in (C.FIN_WAIT_2, C.TIME_WAIT):
            self.segment(C.ACK)
        if state == C.TIME_WAIT:
            self.segment(C.ACK | C.FIN)

    def rx(self, segment: bytes) -> None:
        self.world.apply(("rx", "eth0", build.ether(build.ipv4(PEER, 0x0A000002, 6, segment)), 0, 0))

    def bytes(self, flags: int, ack: int | None = None, seq: int = 0, n: int = 0) -> bytes:
        tcb = self.tcb
        at = tcb.rcv_nxt + seq & 0xFFFFFFFF
        number = tcb.snd_nxt if ack is None else ack
        options = build.opt_ts(tcb.ts_recent, 0) if tcb.ts_ok else b""
        return build.tcp(
            tcb.raddr, tcb.rport or 40000, 0x0A000002, tcb.lport, flags, at, number, peer_bytes(at, n), options
        )

    def segment(self, flags: int, ack: int | None = None) -> None:
        self.rx(self.bytes(flags, ack))


edits = st.lists(st.tuples(st.integers(0, 120), st.integers(0, 255)), max_size=4)


@pytest.mark.parametrize("state", STATES)
@given(
    changes=st.lists(
        st.tuples(st.integers(0, 255), st.integers(-3, 3), st.integers(0, 40), edits, st.integers(0, 60)), max_size=6
    ),
    fixed=st.booleans(),
)
@settings(max_examples=15)
def test_changed_frames_in_every_state(state, changes, fixed):
    """Any flags near the window, any bytes changed, cut anywhere; with right checksums, so that they get deep, and without."""
    peer = Opposite(state)
    for flags, seq, n, edit, cut in changes:
        frame = bytearray(build.ether(build.ipv4(PEER, 0x0A000002, 6, peer.bytes(flags, None, seq, n))))
        for at, value in edit:
            frame[at % len(frame)] = value
        whole = bytes(frame[: len(frame) - cut]) if cut < 20 else bytes(frame)
        peer.world.apply(("rx", "eth0", build.fixup(whole) if fixed else whole, 0, 0))
        peer.world.apply(("send", 2, 100, 0))
        peer.world.apply(("run", 50_000_000))
    peer.world.finish()


@pytest.mark.parametrize("path", fuzz.REGRESSIONS, ids=lambda path: path.stem)
def test_what_once_failed(path):
    """Programs that the fuzzer found and cut down, each the proof of a bug that is mended."""
    assert fuzz.fails(fuzz.load(path.read_text())) == ""
