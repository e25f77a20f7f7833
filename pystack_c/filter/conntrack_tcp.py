"""Connection tracking of TCP: the states of Linux's nf_conntrack_proto_tcp, and its window tracking.

The windows are those of G. van Rooij, "Real Stateful TCP Packet Filtering in IP Filter" (2000): a segment is in the window if
its data fits between what the receiver may still ask for and what it allowed, and if its acknowledgement is for data that was
sent. Old segments are ignored, which leaves the entry as it is. Only a segment that no honest sender can make is invalid.
"""

from typing import Any

import pystack_c.const as C
from pystack_c.base.seqnum import seq_add, seq_diff, seq_ge, seq_gt, seq_le, seq_lt
from pystack_c.core import Core
from pystack_c.filter.flow import Seen, Side, TcpTrack, Tracked

#: what people call the states, as `conntrack -L` prints them
STATES = "NONE SYN_SENT SYN_RECV ESTABLISHED FIN_WAIT CLOSE_WAIT LAST_ACK TIME_WAIT CLOSE SYN_SENT2".split()
# The next state: one row for each direction and kind of segment, one column for each of the ten states above. A letter is
# a state (n is SYN_SENT2), "-" is invalid, "." means that the segment is ignored.
_LETTERS = "_SREFWLTCn-."
_ROWS = (
    # from the side that opened the connection: SYN, SYN and ACK, FIN, ACK, RST, none of these bits
    "SS.....SSn --R------R --FFLLLTC- E-EEWWTTC- -CCCCCCCCC ---------- "
    # from the other side
    "-n-----S-n -R.......R --FFLLLTC- -.REWWTTC. -CCCCCCCCC ----------"
)
_TABLE = bytes(_LETTERS.index(letter) for letter in _ROWS.replace(" ", ""))
# An acknowledgement may be this much behind: Linux's MAXACKWINCONST.
_OLD_ACK = 66000
# results of the window check
_ACCEPT, _IGNORE, _INVALID, _LIBERAL = 1, 2, 3, 4


def index_of(flags: int) -> int:
    """Return which of the control bits decides (TCB_*)."""
    if flags & C.RST:
        return C.TCB_RST
    if flags & C.SYN:
        return C.TCB_SYNACK if flags & C.ACK else C.TCB_SYN
    if flags & C.FIN:
        return C.TCB_FIN
    return C.TCB_ACK if flags & C.ACK else C.TCB_NONE


def header_error(seen: Seen) -> str:
    """Return why the TCP header is not valid, or ""."""
    at = seen.at
    if seen.end - at < 20:
        return "the TCP header is truncated"
    p = seen.data
    hlen = (p[at + 12] >> 4) * 4
    if hlen < 20 or hlen > seen.size:
        return "the length of the TCP header is wrong"
    flags = p[at + 13] & ~(C.ECE | C.CWR | C.PSH)
    if flags & C.URG:
        # URG goes with a SYN or an ACK only.
        flags &= ~C.URG
        if flags == C.SYN or flags == C.FIN | C.ACK or flags == C.ACK:
            return ""
    elif flags in (C.SYN, C.SYN | C.ACK, C.RST, C.RST | C.ACK, C.FIN | C.ACK, C.ACK):
        return ""
    return "no segment of TCP has this combination of control bits"


def _options_end(seen: Seen) -> int:
    p = seen.data
    end = seen.at + (p[seen.at + 12] >> 4) * 4
    return end if end < seen.end else seen.end


def _next_option(data: bytes, at: int, end: int) -> int:
    """Return where the next option from `at` begins, or -1 if there is none, or only a part of one (RFC 9293 3.2)."""
    p = data
    while at < end and p[at] == 1:
        at += 1
    if at + 1 >= end or p[at] == 0 or p[at + 1] < 2 or at + p[at + 1] > end:
        return -1
    return at


def read_options(side: Side, seen: Seen) -> None:
    """Read a SYN's window scale and SACK permission (RFC 7323 2.2, RFC 2018 2)."""
    side.scale = 0
    side.flags &= C.TCF_BE_LIBERAL
    p = seen.data
    end = _options_end(seen)
    at = _next_option(seen.data, seen.at + 20, end)
    while at >= 0:
        if p[at] == C.TCPOPT_SACK_OK and p[at + 1] == 2:
            side.flags |= C.TCF_SACK_PERM
        elif p[at] == C.TCPOPT_WSCALE and p[at + 1] == 3:
            side.scale = p[at + 2] if p[at + 2] < 14 else 14
            side.flags |= C.TCF_WINDOW_SCALE
        at = _next_option(seen.data, at + p[at + 1], end)


def highest_sack(seen: Seen, ack: int) -> int:
    """Return the highest sequence number that the segment acknowledges, with its SACK blocks (RFC 2018 3)."""
    p = seen.data
    end = _options_end(seen)
    at = _next_option(seen.data, seen.at + 20, end)
    while at >= 0:
        if p[at] == C.TCPOPT_SACK and p[at + 1] >= 10 and (p[at + 1] - 2) % 8 == 0:
            for i in range((p[at + 1] - 2) // 8):
                right = _u32(seen.data, at + 6 + 8 * i)
                if seq_gt(right, ack):
                    ack = right
        at = _next_option(seen.data, at + p[at + 1], end)
    return ack


def _u32(data: bytes, at: int) -> int:
    p = data
    high = (p[at] << 8) | p[at + 1]
    return (high << 16 | p[at + 2] << 8 | p[at + 3]) & C.M32


def segment_end(seen: Seen) -> int:
    """Return the sequence number behind the segment's text and control bits."""
    p = seen.data
    flags = p[seen.at + 13]
    size = seen.size - (p[seen.at + 12] >> 4) * 4
    size += 1 if flags & C.SYN else 0
    size += 1 if flags & C.FIN else 0
    return seq_add(_u32(seen.data, seen.at + 4), size)


def begin(core: Core, entry: Tracked, seen: Seen) -> str:
    """Start tracking with the first packet that was seen. Returns why that is not possible, or ""."""
    p = seen.data
    state = _TABLE[index_of(p[seen.at + 13]) * 10]
    if state >= C.TCT_INVALID:
        return "no connection begins with such a segment"
    tcp = entry.tcp
    side = tcp.original
    window = (p[seen.at + 14] << 8) | p[seen.at + 15]
    side.end = segment_end(seen)
    side.maxwin = window if window > 0 else 1
    if state == C.TCT_SYN_SENT:
        side.maxend = side.end
        read_options(side, seen)
    elif not core.config.nf_conntrack_tcp_loose:
        return "the start of the connection was not seen, and nf_conntrack_tcp_loose is off"
    else:
        # The window scales are not known, so nothing can be checked.
        side.maxend = seq_add(side.end, side.maxwin)
        side.flags = C.TCF_SACK_PERM | C.TCF_BE_LIBERAL
        tcp.reply.flags = C.TCF_SACK_PERM | C.TCF_BE_LIBERAL
    return ""


def _init_sender(tcp: TcpTrack, seen: Seen, direction: int, end: int, window: int) -> None:
    """Start a side with its SYN. Both sides must offer window scaling, or neither may use it (RFC 7323 2.2)."""
    sender = tcp.side(direction)
    receiver = tcp.side(1 - direction)
    sender.end = end
    sender.maxend = end
    sender.maxwin = window if window > 0 else 1
    read_options(sender, seen)
    if direction == C.CT_REPLY and not sender.flags & receiver.flags & C.TCF_WINDOW_SCALE:
        sender.scale = 0
        receiver.scale = 0


def _pick_up(sender: Side, receiver: Side, end: int, window: int, sack: int) -> None:
    """Start a side in the middle of a connection with what its first segment says."""
    sender.end = end
    sender.maxwin = window << sender.scale
    if sender.maxwin == 0:
        sender.maxwin = 1
    sender.maxend = seq_add(end, sender.maxwin)
    if receiver.maxwin == 0:
        receiver.end = sack
        receiver.maxend = sack
    elif sack == seq_add(receiver.end, 1):
        # This is probably the answer to a keep-alive probe.
        receiver.end = sack


def _verdict(core: Core, entry: Tracked, sender: Side, why: str, result: int) -> int:
    """Return the result of a check that failed. A liberal side may send such a segment, but nothing is learned from it."""
    if core.config.nf_conntrack_tcp_be_liberal or sender.flags & C.TCF_BE_LIBERAL:
        return _LIBERAL
    if result == _INVALID:
        core.conntrack.why = why
    return result


def _check(core: Core, entry: Tracked, sender: Side, receiver: Side, seq: int, end: int, sack: int) -> int:
    """Compare a segment with the windows of both sides."""
    old_ack = sender.maxwin if sender.maxwin > _OLD_ACK else _OLD_ACK
    ack_ok = seq_gt(sack, seq_add(receiver.end, -old_ack - 1))
    in_window = receiver.maxwin == 0 or seq_gt(end, seq_add(sender.end, -receiver.maxwin - 1))
    if not seq_lt(seq, seq_add(sender.maxend, 1)):
        overshot = seq_diff(end, sender.maxend) + 1
        if (
            in_window
            and receiver.maxwin != 0
            and ack_ok
            and 0 <= overshot <= receiver.maxwin
            and seq_le(sack, receiver.end)
        ):
            # Some senders send a little more than the window allows, and the peer may acknowledge it.
            sender.end = end
            sender.flags |= C.TCF_DATA_UNACKNOWLEDGED
            return _verdict(core, entry, sender, "", _IGNORE)
        return _verdict(core, entry, sender, "the segment lies beyond the window of the receiver", _INVALID)
    if not seq_le(sack, receiver.end):
        return _verdict(core, entry, sender, "the segment acknowledges data that was not sent", _INVALID)
    if not in_window:
        return _verdict(core, entry, sender, "", _IGNORE)
    if not ack_ok:
        return _verdict(core, entry, sender, "", _IGNORE)
    return _ACCEPT


def in_window(core: Core, entry: Tracked, seen: Seen, direction: int, index: int) -> int:
    """Check a segment against the windows, and update them. Returns _ACCEPT, _IGNORE or _INVALID."""
    tcp = entry.tcp
    sender = tcp.side(direction)
    receiver = tcp.side(1 - direction)
    p = seen.data
    at = seen.at
    flags = p[at + 13]
    seq = _u32(seen.data, at + 4)
    first = seq
    ack = _u32(seen.data, at + 8)
    window = (p[at + 14] << 8) | p[at + 15]
    end = segment_end(seen)
    sack = highest_sack(seen, ack) if receiver.flags & C.TCF_SACK_PERM else ack
    if sender.maxwin == 0:
        if flags & C.SYN:
            _init_sender(tcp, seen, direction, end, window)
            if not flags & C.ACK:
                return _ACCEPT
        else:
            _pick_up(sender, receiver, end, window, sack)
    elif flags & C.SYN and seq_gt(end, sender.end) and tcp.state in (C.TCT_SYN_SENT, C.TCT_SYN_RECV):
        # The side starts anew with other numbers or options (RFC 9293 3.4.2).
        _init_sender(tcp, seen, direction, end, window)
        if direction == C.CT_REPLY and not flags & C.ACK:
            return _ACCEPT
    if not flags & C.ACK or (flags & C.RST and ack == 0):
        ack = receiver.end
        sack = ack
    if flags & C.RST and seq == 0 and tcp.state == C.TCT_SYN_SENT:
        # This RST answers a SYN (RFC 9293 3.10.7.1).
        seq = sender.end
        end = seq
    result = _check(core, entry, sender, receiver, seq, end, sack)
    if result != _ACCEPT:
        return _ACCEPT if result == _LIBERAL else result
    scaled = window if flags & C.SYN else window << sender.scale
    _advance(sender, receiver, end, ack, sack, scaled, (flags & C.ACK) != 0)
    if index == C.TCB_ACK:
        _count_retransmission(tcp, direction, first, ack, end, window)
    return _ACCEPT


def _advance(sender: Side, receiver: Side, end: int, ack: int, sack: int, window: int, acks: bool) -> None:
    """Update what both sides have sent and may send."""
    reach = window + seq_diff(sack, ack)
    if sender.maxwin < reach:
        sender.maxwin = reach
    if seq_gt(end, sender.end):
        sender.end = end
        sender.flags |= C.TCF_DATA_UNACKNOWLEDGED
    if acks:
        if not sender.flags & C.TCF_MAXACK_SET:
            sender.maxack = ack
            sender.flags |= C.TCF_MAXACK_SET
        elif seq_gt(ack, sender.maxack):
            sender.maxack = ack
    if receiver.maxwin != 0 and seq_gt(end, sender.maxend):
        receiver.maxwin = (receiver.maxwin + seq_diff(end, sender.maxend)) & C.M32
    reach = window if window > 0 else 1
    if seq_ge(seq_add(sack, window), receiver.maxend):
        receiver.maxend = seq_add(sack, reach)
    if ack == receiver.end:
        receiver.flags &= ~C.TCF_DATA_UNACKNOWLEDGED


def _count_retransmission(tcp: TcpTrack, direction: int, seq: int, ack: int, end: int, window: int) -> None:
    """Count a segment that is the same as the last one, or remember it."""
    if (
        tcp.last_dir == direction
        and tcp.last_seq == seq
        and tcp.last_ack == ack
        and tcp.last_end == end
        and tcp.last_win == window
    ):
        tcp.retrans += 1
        return
    tcp.last_dir = direction
    tcp.last_seq = seq
    tcp.last_ack = ack
    tcp.last_end = end
    tcp.last_win = window
    tcp.retrans = 0


def timeout_of(core: Core, state: int) -> int:
    """Return the time in ns that a state may last without a packet."""
    config = core.config
    if state == C.TCT_ESTABLISHED:
        return config.nf_conntrack_tcp_timeout_established
    if state == C.TCT_SYN_SENT or state == C.TCT_SYN_SENT2:
        return config.nf_conntrack_tcp_timeout_syn_sent
    if state == C.TCT_SYN_RECV:
        return config.nf_conntrack_tcp_timeout_syn_recv
    if state == C.TCT_FIN_WAIT:
        return config.nf_conntrack_tcp_timeout_fin_wait
    if state == C.TCT_CLOSE_WAIT:
        return config.nf_conntrack_tcp_timeout_close_wait
    if state == C.TCT_LAST_ACK:
        return config.nf_conntrack_tcp_timeout_last_ack
    if state == C.TCT_TIME_WAIT:
        return config.nf_conntrack_tcp_timeout_time_wait
    return config.nf_conntrack_tcp_timeout_close


def next_state(direction: int, index: int, state: int) -> int:
    """Return the state that follows (TCT_*), which may be TCT_INVALID or TCT_IGNORE."""
    return _TABLE[(direction * 6 + index) * 10 + state]


def names(states: Any) -> list[str]:  # python
    """Return the names of states, for tests and pages."""
    return [STATES[state] if state < len(STATES) else ("invalid", "ignored")[state - 10] for state in states]
