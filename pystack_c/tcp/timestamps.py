"""The timestamps option: the clock, TS.Recent, and PAWS (RFC 7323)."""

import pystack_c.const as C
from pystack_c.base.seqnum import seq_le, seq_lt
from pystack_c.packet import Packet
from pystack_c.tcp.tcb import Tcb
from pystack_c.wire.tcp import segment_len


def ts_now(tcb: Tcb) -> int:
    """Return the timestamp clock: milliseconds plus the connection's offset (RFC 7323 5.4)."""
    return (tcb.core.now // 1_000_000 + tcb.ts_offset) & C.M32


#: TS.Recent becomes invalid this long (ns) after it was set (RFC 7323 5.5). The peer's clock of 1 ms ticks less than
#: 2**31 times in it.
TS_RECENT_VALID = 24 * 86_400_000_000_000


def newer_stamp(tcb: Tcb, pkt: Packet) -> bool:
    """Return True if the segment's timestamp is not older than TS.Recent, or if TS.Recent is invalid.

    TS.Recent is invalid after 24 idle days, in which the peer's clock may have passed half of its range (RFC 7323 5.5).
    """
    if seq_le(tcb.ts_recent, pkt.tsval):
        return True
    return tcb.core.now - tcb.ts_recent_stamp >= TS_RECENT_VALID


def paws_reject(tcb: Tcb, pkt: Packet) -> bool:
    """Return True if the segment is old, because its timestamp is older than TS.Recent (RFC 7323 5.2 and 5.3, R1)."""
    if not (tcb.ts_ok and pkt.opt_ts) or pkt.tcp_flags & C.RST:
        return False
    return not newer_stamp(tcb, pkt)


def count_paws(tcb: Tcb, pkt: Packet) -> None:
    """Count a segment with an old timestamp. A pure ACK that was overtaken is common, and has its own counter."""
    counters = tcb.core.counters
    if tcb.state == C.TIME_WAIT:
        counters.TcpExtPAWSTimewait += 1
    elif segment_len(pkt) == 0 and pkt.tcp_flags & C.ACK and seq_lt(pkt.seq, tcb.rcv_nxt):
        counters.TcpExtPAWSOldAck += 1
    else:
        counters.TcpExtPAWSEstab += 1


def note_timestamp(tcb: Tcb, pkt: Packet) -> None:
    """Update TS.Recent from a segment that covers Last.ACK.sent (RFC 7323 4.3)."""
    if tcb.ts_ok and pkt.opt_ts and seq_le(pkt.seq, tcb.last_ack_sent) and newer_stamp(tcb, pkt):
        tcb.ts_recent = pkt.tsval
        tcb.ts_recent_stamp = tcb.core.now
