"""Tracked connections: an entry with its two directions, and the part of a packet that connection tracking reads.

A direction is a `Half`: source, destination, protocol and ports, as the packets of that direction arrive. The two halves of an
entry mirror each other, unless an address translation changed the second one. For an ICMP query, `sport` is the identifier and
`dport` is type * 256 + code (RFC 5508 3.1). Protocols without ports have zeros there.
"""

from typing import Any

import pystack_c.const as C
from pystack_c.base.address import addr_text
from pystack_c.base.timer import Timer, TimerOwner
from pystack_c.core import Core
from pystack_c.packet import Outgoing, Packet

#: how many bytes behind the transport header of an outgoing packet are read: an ICMP error quotes up to 60 + 8 bytes
AHEAD = 128
# ICMP queries and their answers (RFC 792, RFC 950): echo, timestamp, information, address mask. The others are no queries.
_ANSWERS = {8: 0, 0: 8, 13: 14, 14: 13, 15: 16, 16: 15, 17: 18, 18: 17}
#: the names of protocols for people
PROTOCOLS = {C.IPPROTO_ICMP: "icmp", C.IPPROTO_TCP: "tcp", C.IPPROTO_UDP: "udp"}


class Half:
    """One direction of an entry. `next` chains the halves with the same place in the table, and `hash` is its key there."""

    def __init__(self, entry: Any, direction: int) -> None:
        self.entry = entry
        self.direction = direction
        self.src = 0
        self.dst = 0
        self.proto = 0
        self.sport = 0
        self.dport = 0
        self.hash = 0
        self.next: Any = None
        self.packets = 0
        self.octets = 0
        #: what base chains decided about the packets (filter/nft/memos.py)
        self.memo: Any = None

    def set(self, src: int, sport: int, dst: int, dport: int, proto: int) -> None:
        """Assign the five numbers."""
        self.src = src
        self.sport = sport
        self.dst = dst
        self.dport = dport
        self.proto = proto

    def mirror(self, other: "Half") -> None:
        """Become the direction of the answers to `other`."""
        if other.proto == C.IPPROTO_ICMP:
            self.set(other.dst, other.sport, other.src, answer_to(other.dport), other.proto)
        else:
            self.set(other.dst, other.dport, other.src, other.sport, other.proto)

    def text(self) -> str:
        """Return the direction for people: 10.0.0.1:1024-10.0.0.2:80."""
        if self.proto == C.IPPROTO_ICMP:
            return f"{addr_text(self.src)}-{addr_text(self.dst)} id {self.sport}"
        if self.sport == 0 and self.dport == 0:
            return f"{addr_text(self.src)}-{addr_text(self.dst)}"
        return f"{addr_text(self.src)}:{self.sport}-{addr_text(self.dst)}:{self.dport}"


def answer_to(query: int) -> int:
    """Return type * 256 + code of the answer to an ICMP query, or -1 if the type is no query and no answer."""
    found = _ANSWERS.get(query >> 8)
    return -1 if found is None else found << 8 | query & 0xFF


class Side:
    """The window of one side of a TCP connection, as far as the packets have shown it.

    `end` is the end of the data that it has sent, `maxend` the end of what it may send, `maxwin` its largest window, and
    `maxack` its highest acknowledgement (G. van Rooij, "Real Stateful TCP Packet Filtering in IP Filter", 2000).
    """

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self.end = 0
        self.maxend = 0
        self.maxwin = 0
        self.maxack = 0
        self.scale = 0
        self.flags = 0


class TcpTrack:
    """The state of a tracked TCP connection, and the last segment that could decide about the next one."""

    def __init__(self) -> None:
        self.state = C.TCT_NONE
        self.original = Side()
        self.reply = Side()
        self.last_index = C.TCB_NONE
        self.last_dir = 0
        self.last_seq = 0
        self.last_ack = 0
        self.last_end = 0
        self.last_win = 0
        self.last_scale = 0
        self.last_flags = 0
        self.retrans = 0

    def side(self, direction: int) -> Side:
        """Return the side that sends in a direction."""
        return self.original if direction == C.CT_ORIGINAL else self.reply


class Tracked(TimerOwner):
    """A tracked connection. `status` has the bits IPS_*, and `timeout` is the time in ns that its state may last."""

    def __init__(self, core: Any, ident: int) -> None:
        self.core = core
        self.ident = ident
        self.original = Half(self, C.CT_ORIGINAL)
        self.reply = Half(self, C.CT_REPLY)
        self.status = 0
        self.timeout = 0
        self.timer = Timer(self, C.T_CONNTRACK)
        self.tcp: Any = None
        #: the time in ns from which UDP traffic in both directions is a stream
        self.stream_at = 0
        self.mark = 0
        #: the interface whose address a masquerade uses, and whether the mapping is remembered (filter/nat_rules.py)
        self.masquerade: Any = None
        self.mapped = False
        #: the server that a load balancer chose (filter/balance.py), while it counts the connection
        self.server: Any = None
        #: the `ct count` statements that count the connection (filter/nft/connlimit.py), or None
        self.limits: Any = None

    def half(self, direction: int) -> Half:
        """Return one direction."""
        return self.original if direction == C.CT_ORIGINAL else self.reply

    def leave(self) -> None:
        """The server that a load balancer chose has one connection less."""
        if self.server is not None:
            server, self.server = self.server, None
            server.closed()

    def counts_for(self, limit: Any) -> bool:
        """Return True if a `ct count` counts the connection."""
        return self.limits is not None and limit in self.limits

    def count_for(self, limit: Any) -> None:
        """Let a `ct count` count the connection."""
        if self.limits is None:
            self.limits = []
        self.limits.append(limit)

    def uncount(self) -> None:
        """No `ct count` counts the connection any more."""
        if self.limits is not None:
            limits, self.limits = self.limits, None
            for limit in limits:
                limit.gone()

    def subject(self) -> str:  # inherited
        """Return a short name for events: the protocol and the original direction."""
        proto = self.original.proto
        return f"ct {PROTOCOLS.get(proto, proto)} {self.original.text()}"

    def on_timer(self, kind: int) -> None:  # inherited
        """Remove the entry: no packet passed in time."""
        self.core.conntrack.destroy(self, "no packet of the connection passed for the time of its state")


class Seen:
    """The packet that is being tracked: `data[at:end]` is its transport header, and `size` its whole transport length."""

    def __init__(self) -> None:
        self.data = b""
        self.at = 0
        self.end = 0
        self.size = 0
        self.length = 0
        self.fragment = False
        self.verified = False
        self.src = 0
        self.dst = 0
        self.proto = 0
        self.sport = 0
        self.dport = 0

    def of_packet(self, pkt: Packet) -> None:
        """Read a packet that arrived."""
        self.data = pkt.frame
        self.at = pkt.l4_off
        self.end = pkt.l4_end
        self.size = pkt.l4_end - pkt.l4_off
        self.length = pkt.total_len
        self.fragment = pkt.mf or pkt.frag_off != 0
        self.verified = (pkt.flags & C.RX_CSUM_OK) != 0
        self.src = pkt.src
        self.dst = pkt.dst
        self.proto = pkt.proto
        self.ports()

    def of_outgoing(self, core: Core, out: Outgoing) -> None:
        """Read a packet of our own. Its header is in core.scratch, or at the start of the payload."""
        data = bytes(core.scratch[C.L4_OFF : C.L4_OFF + out.l4_len])
        self.size = out.l4_len
        if out.payload is not None:
            self.size += len(out.payload)
            if out.l4_len < 20:
                data += bytes(out.payload[:AHEAD])
        self.data = data
        self.at = 0
        self.end = len(data)
        self.length = self.size + out.dst.overhead + len(out.options)
        self.fragment = out.mf or out.frag_off != 0
        self.verified = True
        self.src = out.src
        self.dst = out.daddr
        self.proto = out.proto
        self.ports()

    def ports(self) -> None:
        """Read the ports, or the identifier, type and code of an ICMP message."""
        p = self.data
        at = self.at
        self.sport = 0
        self.dport = 0
        if self.fragment:
            return
        if self.proto == C.IPPROTO_TCP or self.proto == C.IPPROTO_UDP:
            if self.end - at >= 4:
                self.sport = (p[at] << 8) | p[at + 1]
                self.dport = (p[at + 2] << 8) | p[at + 3]
        elif self.proto == C.IPPROTO_ICMP and self.end - at >= 8:
            self.sport = (p[at + 4] << 8) | p[at + 5]
            self.dport = (p[at] << 8) | p[at + 1]

    def subject(self) -> str:
        """Return a short name for events."""
        name = PROTOCOLS.get(self.proto, self.proto)
        return f"ct {name} {addr_text(self.src)}:{self.sport}-{addr_text(self.dst)}:{self.dport}"
