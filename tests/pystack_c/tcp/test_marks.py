"""Sequence numbers that a connection keeps stay comparable when it carries more than 2 and 4 GB (RFC 9293 3.4).

The data really goes from one stack to another, in segments of 64 KB, in virtual time.
"""

import pytest

import pystack_c.const as C
from pystack.testing.peer import with_tos
from pystack_c.base.seqnum import seq_diff
from pystack_c.config import profile
from pystack_c.stack import Stack
from pystack_c.tcp import user
from tools import core_lint

A, B = 0x0A000001, 0x0A000002
MB, GB = 1 << 20, 1 << 30
MTU = 65535


class Pair:
    """Two stacks on a link without delay, and a connection between them; `marked`: frames of the client arrive with CE."""

    def __init__(self, **settings):
        self.now = 1_000_000_000
        self.marked = False
        self.stacks, self.ifaces = [], []
        sizes = {"tcp_rmem": 32 * MB, "tcp_wmem": 32 * MB, "tcp_moderate_rcvbuf": False, "tcp_moderate_sndbuf": False}
        for number, addr in enumerate((A, B)):
            stack = Stack(number + 1, profile("linux").update({**sizes, **settings}), "host")
            self.ifaces.append(stack.add_iface("tun0", C.LINK_IP, 0, MTU, True, 0))
            stack.add_addr(self.ifaces[number], addr, 24)
            self.stacks.append(stack)
        listener = user.tcp_open(self.stacks[1], self.now)
        user.bind(listener, B, 7, self.now)
        user.listen(listener, 10, self.now)
        self.client = user.tcp_open(self.stacks[0], self.now)
        user.connect(self.client, B, 7, self.now)
        self.settle()
        self.server = user.accept(listener, self.now)
        # (So that each piece ends with a full-sized segment.)
        self.piece = bytes(100 * self.client.mss)

    def frames(self, number):
        """What one stack has to send."""
        found = []
        while (tx := self.stacks[number].poll_transmit(self.now)) is not None:
            found.append(tx.to_bytes())
        return found

    def settle(self):
        """Carry frames, and let timers fire, until nobody has any."""
        busy = True
        while busy:
            busy = False
            for number, stack in enumerate(self.stacks):
                for frame in self.frames(number):
                    busy = True
                    if self.marked and number == 0 and frame[1] & 3:
                        frame = with_tos(frame, frame[1] | 3)
                    self.stacks[1 - number].receive(self.ifaces[1 - number], frame, self.now, 0, C.RX_CSUM_OK)
                deadline = stack.poll_timeout()
                if deadline is not None and deadline <= self.now:
                    stack.handle_timeout(self.now)
                    busy = True
            self.now += 1000

    def carry(self, count):
        """The client sends so many bytes or a little more, and the server throws them away."""
        end = self.client.bytes_acked + count
        while self.client.bytes_acked < end:
            user.send(self.client, self.piece, 0, self.now)
            self.settle()
            user.skip(self.server, GB, self.now)
            self.settle()


@pytest.fixture(scope="module")
def late():
    """A connection that answered a congestion mark at its start, and has carried 2.2 GB since, all in full-sized segments."""
    pair = Pair(tcp_ecn=1)
    pair.marked = True
    pair.carry(MB)
    pair.marked = False
    assert pair.client.ecn_recover_set
    pair.carry(2200 * MB)
    assert pair.client.total_retrans == 0 and pair.client.bytes_acked > 1 << 31
    return pair


def test_the_tail_is_not_held_after_2_gb(late):
    # RFC 9293 3.7.4, with Minshall's rule: no small segment is unacknowledged
    assert user.send(late.client, bytes(late.client.mss + 100), 0, late.now) == late.client.mss + 100
    frames = late.frames(0)
    for frame in frames:
        late.stacks[1].receive(late.ifaces[1], frame, late.now, 0, C.RX_CSUM_OK)
    late.settle()
    late.now += 1_000_000_000  # (the delayed ACK)
    late.settle()
    user.skip(late.server, GB, late.now)
    assert [len(frame) - 52 for frame in frames] == [late.client.mss, 100]


def test_the_urgent_byte_leaves_the_stream_after_2_gb(late):
    # RFC 9293 3.8.5: RCV.UP = max(RCV.UP, SEG.UP)
    assert user.send(late.client, b"abc!", C.MSG_OOB, late.now) == 4
    late.settle()
    assert user.recv(late.server, 10, C.MSG_OOB, late.now) == b"!"
    assert user.recv(late.server, 10, 0, late.now) == b"abc"


def test_a_congestion_mark_is_answered_after_2_gb(late):
    # RFC 3168 6.1.2: once a window
    before = late.client.cwnd
    late.marked = True
    late.carry(late.client.mss)
    late.marked = False
    assert late.client.cwnd < before


def test_every_number_stays_comparable_for_4_gb():
    """Each number that is carried along, set at the start of the connection."""
    from pystack_c.tcp import marks

    pair = Pair(tcp_congestion="cubic")
    client, server = pair.client, pair.server
    pair.carry(MB)
    client.ssthresh = client.cwnd  # no slow start from here on, so that CUBIC does not begin rounds
    held = [(client, client, name, "snd_una") for name in marks.SENT]
    held += [(server, server, name, "rcv_nxt") for name in marks.RECEIVED]
    held += [(client, client.cc, "round_end", "snd_una")]
    for tcb, owner, name, edge in held:
        setattr(owner, name, getattr(tcb, edge))
    most = 0
    while client.bytes_acked < 4400 * MB:
        pair.carry(64 * MB)
        for tcb, owner, name, edge in held:
            behind = seq_diff(getattr(tcb, edge), getattr(owner, name))
            assert 0 <= behind <= marks.BEHIND + (256 + 64) * MB, name
            most = max(most, behind)
    assert most > marks.BEHIND
    end = client.cc.round_end
    client.ssthresh = 4 * client.cwnd
    pair.carry(MB)
    assert 0 <= seq_diff(client.snd_una, client.cc.round_end) < 2 * MB and client.cc.round_end != end


def test_the_algorithms_own_numbers_are_carried_along():
    """An attribute behind a dot, which may not be there, and one that holds None."""
    from pystack_c.tcp import marks

    pair = Pair(tcp_congestion="cubic", tcp_cubic_linux=True)
    client = pair.client
    assert client.cc.steps.round_end is None
    marks.sent(client)
    assert client.cc.steps.round_end is None
    client.cc.steps.round_end = (client.snd_una - (513 << 20)) & C.M32
    client.cc.round_end = (client.snd_una - (511 << 20)) & C.M32
    kept = client.cc.round_end
    marks.sent(client)
    assert seq_diff(client.snd_una, client.cc.steps.round_end) == marks.BEHIND and client.cc.round_end == kept
    plain = Pair(tcp_congestion="cubic").client
    marks.sent(plain)
    assert plain.cc.steps is None


def test_control_a_new_number_must_be_declared(tmp_path):
    """The lint: 32 bits in the control block, and an attribute anywhere in tcp that is set to a sequence number."""
    root = core_lint.Path(__file__).resolve().parents[3]
    assert core_lint.check_marks(root) == []
    for name in ("tcb.pxd", "tcb.py", "marks.py", "loss/rack.py", "loss/rack.pxd"):
        path = tmp_path / "pystack_c" / "tcp" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text((root / "pystack_c" / "tcp" / name).read_text())
    here = tmp_path / "pystack_c" / "tcp"
    (here / "congestion").mkdir()
    text = (here / "tcb.pxd").read_text()
    (here / "tcb.pxd").write_text(
        text.replace("cdef public uint32_t iss\n", "cdef public uint32_t iss\n    cdef public uint32_t new_one\n")
    )
    text = (here / "loss" / "rack.py").read_text()
    (here / "loss" / "rack.py").write_text(text + "\n\ndef note(tcb):\n    tcb.wide = tcb.snd_nxt\n")
    found = [(finding.kind, finding.text.split()[0]) for finding in core_lint.check_marks(tmp_path)]
    assert found == [("mark", "new_one"), ("mark", "wide")]
