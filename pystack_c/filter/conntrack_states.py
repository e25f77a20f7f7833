"""What a packet does to a tracked connection, by protocol: TCP, UDP, ICMP queries, and all others.

The result of each function is CT_ESTABLISHED for a packet that belongs to the connection, CT_INVALID, or CT_REPEAT: the entry
was removed, and the packet begins a new connection with the same addresses and ports.
"""

import pystack_c.const as C
from pystack_c.base.seqnum import seq_lt
from pystack_c.core import Core
from pystack_c.filter import conntrack_tcp
from pystack_c.filter.conntrack_table import Conntrack
from pystack_c.filter.flow import Seen, Side, TcpTrack, Tracked

_LINUX = "Linux nf_conntrack_proto_tcp"
# what in_window returns
_ACCEPT, _IGNORE, _INVALID = 1, 2, 3
# what _close returns: check the window with the new state, without it, or with the old state
_CHECK, _SKIP, _KEEP, _WRONG = 0, 1, 2, 3


def packet(core: Core, entry: Tracked, seen: Seen, direction: int) -> int:
    """Pass a packet of an entry to the rules of its protocol."""
    if seen.proto == C.IPPROTO_TCP:
        return tcp_packet(core, entry, seen, direction)
    ct: Conntrack = core.conntrack
    config = core.config
    if seen.proto == C.IPPROTO_UDP:
        if not entry.status & C.IPS_SEEN_REPLY:
            ct.refresh(entry, config.nf_conntrack_udp_timeout, "nobody has answered these datagrams yet")
        elif core.now <= entry.stream_at:
            ct.refresh(entry, config.nf_conntrack_udp_timeout, "the datagrams are younger than two seconds")
        else:
            ct.refresh(entry, config.nf_conntrack_udp_timeout_stream, "the datagrams are a stream")
            ct.assure(entry, "datagrams in both directions have lasted for two seconds")
    elif seen.proto == C.IPPROTO_ICMP:
        ct.refresh(entry, config.nf_conntrack_icmp_timeout, "a query or an answer passed")
    else:
        ct.refresh(entry, config.nf_conntrack_generic_timeout, "a packet of the protocol passed")
    return C.CT_ESTABLISHED


def _u32(data: bytes, at: int) -> int:
    p = data
    high = (p[at] << 8) | p[at + 1]
    return (high << 16 | p[at + 2] << 8 | p[at + 3]) & C.M32


def _early(state: int) -> bool:
    """Return True for states of connections that are ending, whose numbers may belong to an earlier connection."""
    return state in (C.TCT_FIN_WAIT, C.TCT_LAST_ACK, C.TCT_TIME_WAIT, C.TCT_CLOSE, C.TCT_CLOSE_WAIT)


def tcp_packet(core: Core, entry: Tracked, seen: Seen, direction: int) -> int:
    """Apply a segment to the state of its connection."""
    tcp = entry.tcp
    p = seen.data
    index = conntrack_tcp.index_of(p[seen.at + 13])
    old = tcp.state
    new = conntrack_tcp.next_state(direction, index, old)
    check = True
    if new == C.TCT_SYN_SENT:
        if old >= C.TCT_TIME_WAIT and (
            (tcp.original.flags | tcp.reply.flags) & C.TCF_CLOSE_INIT
            or (tcp.last_dir == direction and tcp.last_index == C.TCB_RST)
        ):
            # RFC 9293 3.6.1: a SYN may reopen the connection from TIME-WAIT.
            core.conntrack.destroy(entry, "a new connection with the same addresses and ports begins")
            return C.CT_REPEAT
        if old >= C.TCT_TIME_WAIT:
            return _ignored(core, entry, seen, direction, index)
    elif new == C.TCT_IGNORE:
        if not _resync(tcp, seen, direction, index):
            return _ignored(core, entry, seen, direction, index)
        old = C.TCT_SYN_SENT
        new = C.TCT_SYN_RECV
    elif new == C.TCT_INVALID:
        core.conntrack.why = "no segment of this kind belongs to the state " + conntrack_tcp.STATES[old]
        return C.CT_INVALID
    elif new == C.TCT_TIME_WAIT:
        if (
            old == C.TCT_LAST_ACK
            and index == C.TCB_ACK
            and tcp.last_dir != direction
            and tcp.last_index == C.TCB_SYN
            and tcp.last_flags & C.TCF_CHALLENGE_ACK
        ):
            # RFC 5961 4.2: this is the challenge ACK that answers the SYN.
            tcp.last_flags &= ~C.TCF_CHALLENGE_ACK
            core.conntrack.uncounted = True
            return C.CT_ESTABLISHED
    elif new == C.TCT_SYN_SENT2:
        tcp.last_flags |= C.TCF_SIMULTANEOUS
    elif new == C.TCT_SYN_RECV:
        if direction == C.CT_REPLY and index == C.TCB_ACK and tcp.last_flags & C.TCF_SIMULTANEOUS:
            # Both sides have opened the connection, and this is the acknowledgement (RFC 9293 3.5).
            new = C.TCT_ESTABLISHED
    elif new == C.TCT_CLOSE and index == C.TCB_RST:
        how = _close(core, entry, seen, direction, old)
        if how == _WRONG:
            return C.CT_INVALID
        check = how != _SKIP
        if how == _KEEP:
            new = old
    if check:
        result = conntrack_tcp.in_window(core, entry, seen, direction, index)
        if result == _IGNORE:
            core.conntrack.uncounted = True
            return C.CT_ESTABLISHED
        if result == _INVALID:
            _out_of_window(core, entry, direction, index)
            return C.CT_INVALID
    return _changed(core, entry, seen, direction, index, old, new)


def _resync(tcp: TcpTrack, seen: Seen, direction: int, index: int) -> bool:
    """Return True if a SYN-ACK shows that a SYN which was ignored did open a new connection; start it over then."""
    ack = _u32(seen.data, seen.at + 8)
    if index != C.TCB_SYNACK or tcp.last_index != C.TCB_SYN or tcp.last_dir == direction or ack != tcp.last_end:
        return False
    opener = tcp.side(tcp.last_dir)
    opener.end = tcp.last_end
    opener.maxend = tcp.last_end
    opener.maxwin = tcp.last_win if tcp.last_win > 0 else 1
    opener.scale = tcp.last_scale
    tcp.last_flags &= ~C.TCF_CHALLENGE_ACK
    opener.flags = tcp.last_flags
    other: Side = tcp.side(direction)
    liberal = other.flags & C.TCF_BE_LIBERAL
    other.clear()
    other.flags = liberal
    tcp.state = C.TCT_SYN_SENT
    return True


def _ignored(core: Core, entry: Tracked, seen: Seen, direction: int, index: int) -> int:
    """Remember a SYN or SYN-ACK that does not fit, and leave the state as it is."""
    tcp = entry.tcp
    p = seen.data
    core.conntrack.uncounted = True
    tcp.last_index = index
    tcp.last_dir = direction
    tcp.last_seq = _u32(seen.data, seen.at + 4)
    tcp.last_end = conntrack_tcp.segment_end(seen)
    tcp.last_win = (p[seen.at + 14] << 8) | p[seen.at + 15]
    if index == C.TCB_SYN and direction == C.CT_ORIGINAL:
        spare = core.conntrack.spare
        spare.clear()
        conntrack_tcp.read_options(spare, seen)
        tcp.last_scale = spare.scale
        tcp.last_flags = spare.flags
        if tcp.state == C.TCT_LAST_ACK:
            tcp.last_flags |= C.TCF_CHALLENGE_ACK
    elif index == C.TCB_ACK and direction == C.CT_REPLY and tcp.state == C.TCT_SYN_SENT:
        # It may be a challenge ACK, which the client answers with a RST.
        tcp.last_ack = _u32(seen.data, seen.at + 8)
    return C.CT_ESTABLISHED


def _close(core: Core, entry: Tracked, seen: Seen, direction: int, old: int) -> int:
    """Judge a RST. Only the exact next sequence number ends an established connection (RFC 5961 3.2)."""
    tcp = entry.tcp
    if _early(old):
        return _SKIP
    other = tcp.side(1 - direction)
    seq = _u32(seen.data, seen.at + 4)
    if other.flags & C.TCF_MAXACK_SET and tcp.last_index != C.TCB_SYN:
        established = old == C.TCT_ESTABLISHED
        if seq == 0 and not established:
            return _CHECK
        if seq_lt(seq, other.maxack) and not core.config.nf_conntrack_tcp_ignore_invalid_rst:
            core.conntrack.why = "the RST lies before the window"
            return _WRONG
        if not established or seq == other.maxack:
            return _CHECK
        if tcp.last_index == C.TCB_ACK and tcp.last_dir == direction and seq == tcp.last_end:
            return _CHECK
        # The receiver will answer with a challenge ACK (RFC 5961 3.2).
        return _KEEP
    ack = _u32(seen.data, seen.at + 8)
    if ack == tcp.last_end and (
        (entry.status & C.IPS_SEEN_REPLY and tcp.last_index == C.TCB_SYN)
        or (not entry.status & C.IPS_ASSURED and tcp.last_index == C.TCB_ACK)
    ):
        # It answers a segment that was ignored before.
        return _SKIP
    if old == C.TCT_SYN_SENT and tcp.last_index == C.TCB_ACK and tcp.last_dir == C.CT_REPLY and seq == tcp.last_ack:
        return _SKIP
    return _CHECK


def _out_of_window(core: Core, entry: Tracked, direction: int, index: int) -> None:
    """Shorten the life of a connection whose ends exchange FINs and RSTs that do not fit."""
    tcp = entry.tcp
    if not entry.status & C.IPS_ASSURED or (index != C.TCB_RST and index != C.TCB_FIN):
        return
    if tcp.last_dir == direction or (tcp.last_index != C.TCB_FIN and tcp.last_index != C.TCB_RST):
        tcp.last_index = index
        tcp.last_dir = direction
        return
    timeout = core.config.nf_conntrack_tcp_timeout_unacknowledged
    if entry.timer.deadline > core.now + timeout:
        core.conntrack.refresh(entry, timeout, "both sides end the connection with segments outside the windows")


def _timeout(core: Core, entry: Tracked, index: int, state: int) -> int:
    """Return the time that the state may last."""
    tcp = entry.tcp
    config = core.config
    timeout = conntrack_tcp.timeout_of(core, state)
    if tcp.retrans >= config.nf_conntrack_tcp_max_retrans and timeout > config.nf_conntrack_tcp_timeout_max_retrans:
        return config.nf_conntrack_tcp_timeout_max_retrans
    if index == C.TCB_RST:
        return config.nf_conntrack_tcp_timeout_close
    waits = (tcp.original.flags | tcp.reply.flags) & C.TCF_DATA_UNACKNOWLEDGED
    if waits and timeout > config.nf_conntrack_tcp_timeout_unacknowledged:
        return config.nf_conntrack_tcp_timeout_unacknowledged
    if tcp.last_win == 0 and timeout > config.nf_conntrack_tcp_timeout_max_retrans:
        return config.nf_conntrack_tcp_timeout_max_retrans
    return timeout


def _changed(core: Core, entry: Tracked, seen: Seen, direction: int, index: int, old: int, new: int) -> int:
    """Enter the new state, and set its timeout."""
    tcp = entry.tcp
    ct: Conntrack = core.conntrack
    tcp.last_index = index
    tcp.last_dir = direction
    tcp.state = new
    if old != new:
        if new == C.TCT_FIN_WAIT:
            side: Side = tcp.side(direction)
            side.flags |= C.TCF_CLOSE_INIT
        if core.probe is not None:
            fields = {"what": "state", "old": conntrack_tcp.STATES[old], "new": conntrack_tcp.STATES[new]}
            why = "a segment of the connection passed"
            core.emit("ct.update", entry.subject(), 0, why, _LINUX, fields)
        if C.TCT_FIN_WAIT <= new <= C.TCT_CLOSE:
            entry.leave()
        if new == C.TCT_TIME_WAIT or new == C.TCT_CLOSE:
            entry.uncount()
    timeout = _timeout(core, entry, index, new)
    if not entry.status & C.IPS_SEEN_REPLY:
        if index == C.TCB_RST and entry.status & C.IPS_CONFIRMED:
            ct.destroy(entry, "the only answer is a RST, so there is no connection")
            return C.CT_ESTABLISHED
        if index == C.TCB_SYN and old == C.TCT_SYN_SENT and entry.status & C.IPS_CONFIRMED:
            # A retransmitted SYN does not prolong the wait.
            ct.uncounted = True
            return C.CT_ESTABLISHED
        unacknowledged = core.config.nf_conntrack_tcp_timeout_unacknowledged
        if new == C.TCT_ESTABLISHED and timeout > unacknowledged:
            timeout = unacknowledged
    elif (
        not entry.status & C.IPS_ASSURED
        and (old == C.TCT_SYN_RECV or old == C.TCT_ESTABLISHED)
        and new == C.TCT_ESTABLISHED
    ):
        ct.assure(entry, "the handshake is complete")
    ct.refresh(entry, timeout, "a segment of the connection passed")
    return C.CT_ESTABLISHED
