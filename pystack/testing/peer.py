"""A stack on a bare IP link, and the test as its only neighbour: raw segments in, decoded segments out.

    peer = Peer()
    conn = peer.established()          # the peer connects; active=True: the stack does
    out = conn.rx(data=b"abc")         # a segment arrives; `out` is what the stack sends at once
    out = peer.advance(40 * MS)        # time passes; `out` is what the stack sends meanwhile

The peer sends only what the test says, so a test can bring the stack into any state, and drop, repeat or forge any segment.
"""

import struct
from typing import Any

import pystack_c.const as C
from pystack.testing.segments import ACK, FIN, M32, RST, SYN, Segment, decode, ones
from pystack_c.base.address import v4
from pystack_c.config import profile as config_profile
from pystack_c.stack import Stack
from pystack_c.tcp import sockopt, user
from pystack_c.tcp.snapshot import STATE_NAMES

MS, S = 1_000_000, 1_000_000_000
HOST, PEER = 0x0A000001, 0x0A000002
#: the same two in the core's form
HOST_ADDR, PEER_ADDR = v4(HOST), v4(PEER)
SERVICE = 80


def mss_option(value: int) -> bytes:
    """Return the MSS option."""
    return struct.pack(">BBH", 2, 4, value)


def ts_option(value: int, echo: int = 0) -> bytes:
    """Return two NOPs and the timestamps option."""
    return struct.pack(">BBBBII", 1, 1, 8, 10, value & M32, echo & M32)


def sack_option(*blocks: tuple[int, int]) -> bytes:
    """Return two NOPs and the SACK option."""
    body = b"".join(struct.pack(">II", left & M32, right & M32) for left, right in blocks)
    return bytes((1, 1, 5, 2 + len(body))) + body


#: two NOPs and SACK-permitted
SACK_OK = b"\x01\x01\x04\x02"


def wscale_option(shift: int) -> bytes:
    """Return a NOP and the window scale option."""
    return bytes((1, 3, 3, shift))


def build(
    src: int, dst: int, sport: int, dport: int, seq: int, ack: int, flags: int, window: int = 65535,
    data: bytes = b"", options: bytes = b"", urg: int = 0, damage: bool = False,
) -> bytes:  # fmt: skip
    """Return an IPv4 packet with a TCP segment. `damage` makes the TCP checksum wrong."""
    options += bytes(-len(options) % 4)
    offset = (20 + len(options)) << 2 | flags >> 8 & 1
    head = struct.pack(">HHIIBBHHH", sport, dport, seq & M32, ack & M32, offset, flags & 0xFF, window, 0, urg) + options
    tcp = head + data
    check = ones(struct.pack(">IIHH", src & M32, dst & M32, 6, len(tcp)) + tcp) ^ 0xFFFF ^ damage
    tcp = tcp[:16] + struct.pack(">H", check) + tcp[18:]
    ip = struct.pack(">BBHHHBBHII", 0x45, 0, 20 + len(tcp), 1, 0x4000, 64, 6, 0, src & M32, dst & M32)
    return ip[:10] + struct.pack(">H", ones(ip) ^ 0xFFFF) + ip[12:] + tcp


def with_tos(packet: bytes, tos: int) -> bytes:
    """Return the packet with another TOS byte."""
    head = packet[:1] + bytes((tos,)) + packet[2:10] + b"\0\0" + packet[12:20]
    return head[:10] + struct.pack(">H", ones(head) ^ 0xFFFF) + head[12:] + packet[20:]


def with_ip_options(packet: bytes, options: bytes) -> bytes:
    """Return the packet with IP options, which are padded to whole words."""
    options += bytes(-len(options) % 4)
    total = len(packet) + len(options)
    head = bytes((0x45 + len(options) // 4, packet[1])) + struct.pack(">H", total) + packet[4:10] + b"\0\0"
    head += packet[12:20] + options
    return head[:10] + struct.pack(">H", ones(head) ^ 0xFFFF) + head[12:] + packet[20:]


class Peer:
    """A stack, its time, and everything that it sends: `sent` are TCP segments, and `other` all other packets."""

    def __init__(self, profile: str = "lab", mtu: int = 1500, start: int = S, **settings: Any):
        self.config = config_profile(profile).update(settings)
        self.stack = Stack(1, self.config, "host")
        self.iface = self.stack.add_iface("tun0", C.LINK_IP, 0, mtu)
        self.stack.add_addr(self.iface, HOST, 24)
        self.now = start
        self.sent: list[Segment] = []
        self.other: list[bytes] = []
        self.next_port = 10_000

    @property
    def counters(self) -> Any:
        """The stack's counters."""
        return self.stack.counters

    def dropped(self, name: str) -> int:
        """Return how often the stack dropped something for that reason."""
        return self.stack.counters.drops.get(name, 0)

    def drain(self) -> None:
        """Take all packets and events of the stack, and check that its next deadline is not past."""
        while (tx := self.stack.poll_transmit(self.now)) is not None:
            packet = bytes(tx.to_bytes())
            seg = decode(packet, self.now)
            if seg is None:
                self.other.append(packet)
            else:
                assert seg.mss is None or seg.has(SYN), "MSS on a segment without SYN (MUST-65)"
                self.sent.append(seg)
        while self.stack.poll_event() is not None:
            pass
        deadline = self.stack.poll_timeout()
        assert deadline is None or deadline > self.now

    def take(self) -> list[Segment]:
        """Return the segments that were sent since the last take()."""
        self.drain()
        taken, self.sent = self.sent, []
        return taken

    def call(self, fn: Any, target: Any, *args: Any) -> Any:
        """Make an application call, such as `peer.call(user.send, tcb, data, 0)`, at the present time."""
        try:
            return fn(target, *args, self.now)
        finally:
            self.drain()

    def packet(self, packet: bytes) -> list[Segment]:
        """Let a packet arrive. Returns the segments that the stack sends at once."""
        self.stack.receive(self.iface, packet, self.now)
        return self.take()

    def segment(
        self, flags: int, seq: int, ack: int = 0, sport: int = 9, dport: int = SERVICE, **fields: Any
    ) -> list[Segment]:
        """Let a segment of the peer arrive. Returns the segments that the stack sends at once."""
        return self.packet(build(PEER, HOST, sport, dport, seq, ack, flags, **fields))

    def advance(self, duration: int) -> list[Segment]:
        """Let `duration` (ns) pass, and fire each timer at its time. Returns the segments that the stack sends meanwhile."""
        end = self.now + duration
        while True:
            deadline = self.stack.poll_timeout()
            if deadline is None or deadline > end:
                break
            self.now = deadline
            self.stack.handle_timeout(self.now)
            self.drain()
        self.now = end
        return self.take()

    def listener(self, port: int = SERVICE, backlog: int = 16) -> Any:
        """Return a listening endpoint."""
        tcb = self.call(user.tcp_open, self.stack)
        self.call(user.bind, tcb, 0, port)
        self.call(user.listen, tcb, backlog)
        return tcb

    def connecting(self, port: int = 7, **options: Any) -> tuple[Any, Segment]:
        """Open a connection actively. Returns its endpoint, which is in SYN-SENT, and the SYN."""
        tcb = self.call(user.tcp_open, self.stack)
        for name, value in options.items():
            setattr(tcb, name, value)
        self.call(user.connect, tcb, PEER, port)
        (syn,) = self.take()
        return tcb, syn

    def established(
        self,
        active: bool = False,
        irs: int = 5000,
        options: bytes = mss_option(1460),
        window: int = 65535,
        **tcb_options: Any,
    ) -> "PeerConn":
        """Return an open connection. `irs` and `options` are those of the peer's SYN."""
        if active:
            tcb, syn = self.connecting(**tcb_options)
            conn = PeerConn(self, tcb, syn.dport, syn.sport, irs, window)
            conn.ack = syn.end
            (third,) = conn.rx(SYN | ACK, options=options)
            assert third.pure_ack
            conn.seq = (irs + 1) & M32
        else:
            sport, self.next_port = self.next_port, self.next_port + 1
            listener = next((t for t in self.stack.tcp.all() if t.state == C.LISTEN and t.lport == SERVICE), None)
            if listener is None:
                listener = self.listener()
            (syn_ack,) = self.segment(SYN, irs, sport=sport, options=options, window=window)
            conn = PeerConn(self, None, sport, SERVICE, irs, window)
            conn.seq, conn.ack = (irs + 1) & M32, syn_ack.end
            conn.syn_ack = syn_ack
            assert conn.rx() == []
            conn.tcb = self.call(user.accept, listener)
            for name, value in tcb_options.items():
                setattr(conn.tcb, name, value)
        assert conn.state == "ESTABLISHED"
        return conn


class PeerConn:
    """The peer's side of one connection.

    seq  the sequence number that the peer sends next
    ack  the sequence number that it expects next from the stack
    """

    def __init__(self, peer: Peer, tcb: Any, sport: int, dport: int, irs: int, window: int):
        self.peer = peer
        self.tcb = tcb
        self.sport, self.dport = sport, dport
        self.seq = irs
        self.ack = 0
        self.window = window
        #: (TSval, TSecr) of the timestamps option that each segment gets
        self.ts: tuple[int, int] | None = None
        #: the stack's SYN-ACK, if the peer connected
        self.syn_ack: Segment | None = None

    @property
    def state(self) -> str:
        """The stack's state of this connection."""
        if self.tcb is None:
            self.tcb = self.peer.stack.tcp.find(HOST_ADDR, self.dport, PEER_ADDR, self.sport)
        return STATE_NAMES[self.tcb.state]

    def rx(
        self, flags: int = ACK, data: bytes = b"", seq: int = 0, ack: int | None = None, **fields: Any
    ) -> list[Segment]:
        """Let a segment arrive, `seq` after the peer's next number. Returns the segments that the stack sends at once.

        If `seq` is 0, the peer's next number moves on. `ack` is relative to the number that the peer expects next.
        """
        fields.setdefault("window", self.window)
        number = (self.ack + (ack or 0)) & M32
        if not flags & ACK:
            number = 0
        if self.ts is not None:
            fields["options"] = ts_option(*self.ts) + fields.get("options", b"")
        at = (self.seq + seq) & M32
        out = self.peer.segment(flags, at, number, self.sport, self.dport, data=data, **fields)
        if seq == 0 and not flags & RST:
            self.seq = (self.seq + len(data) + bool(flags & (SYN | FIN))) & M32
        return out

    def rel(self, number: int) -> int:
        """Return a sequence number of the stack, relative to the one that the peer expects next."""
        return (number - self.ack) & M32

    def has(self, count: int) -> None:
        """Note that the peer has received `count` more sequence numbers."""
        self.ack = (self.ack + count) & M32

    def send(self, data: bytes, flags: int = 0) -> list[Segment]:
        """Let the application write. Returns the segments that the stack sends at once."""
        taken = self.peer.call(user.send, self.tcb, data, flags)
        assert taken == len(data)
        return self.peer.take()

    def recv(self, count: int = 1 << 20, flags: int = 0) -> bytes | None:
        """Let the application read. Returns the data, b"" at the end, or None if there is nothing yet."""
        return self.peer.call(user.recv, self.tcb, count, flags)

    def close(self) -> list[Segment]:
        """Let the application close. Returns the segments that the stack sends at once."""
        self.peer.call(user.close, self.tcb)
        return self.peer.take()

    def shutdown(self, how: int = 1) -> list[Segment]:
        """Let the application close its sending side. Returns the segments that the stack sends at once."""
        self.peer.call(user.shutdown, self.tcb, how)
        return self.peer.take()

    def set(self, level: int, name: int, value: Any) -> list[Segment]:
        """Let the application set an option. Returns the segments that the stack sends at once."""
        self.peer.call(sockopt.setsockopt, self.tcb, level, name, value)
        return self.peer.take()

    def to(self, state: str) -> "PeerConn":
        """Bring an ESTABLISHED connection into another synchronized state."""
        if state in ("FIN-WAIT-1", "FIN-WAIT-2", "CLOSING", "TIME-WAIT"):
            (fin,) = self.shutdown()
            assert fin.has(FIN | ACK)
            if state in ("FIN-WAIT-2", "TIME-WAIT"):
                self.has(1)
                assert self.rx() == []
            if state in ("CLOSING", "TIME-WAIT"):
                (ack,) = self.rx(FIN | ACK)
                assert ack.pure_ack
        elif state in ("CLOSE-WAIT", "LAST-ACK"):
            self.rx(FIN | ACK)
            if state == "LAST-ACK":
                self.shutdown()
        assert self.state == state
        return self
