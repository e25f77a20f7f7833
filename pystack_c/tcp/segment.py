"""Making one segment: window, options, checksum, and down to IP (RFC 9293 section 3.1)."""

from typing import Any

import pystack_c.const as C
from pystack_c.base.seqnum import seq_add, seq_diff, seq_gt, seq_max
from pystack_c.ip import options as ip_options
from pystack_c.ip.output import expire_mtu, output, route_output
from pystack_c.tcp import tell
from pystack_c.tcp.ecn import accecn
from pystack_c.tcp.opening.fastopen import syn_option
from pystack_c.tcp.queues import memory
from pystack_c.tcp.tcb import Tcb
from pystack_c.wire.checksum import pseudo_sum, sum_any, sum_scratch
from pystack_c.wire.tcp import write_fastopen, write_sack, write_syn_options, write_tcp, write_timestamps


def have_route(tcb: Tcb) -> bool:
    """Make sure that the connection knows its way; without one the error is left for the application."""
    core = tcb.core
    route = tcb.route
    if route is not None and route.epoch == core.route_epoch:
        if route.mtu_until > 0:
            expire_mtu(core, route)
        if route.mtu != tcb.path_mtu:
            # (Another connection may have found out.)
            update_mss(tcb)
        return True
    if tcb.ip_options is None:
        route = route_output(core, tcb.raddr, tcb.laddr, tcb.bound_iface, tcb.dontroute)
    else:
        route = ip_options.route_to(core, tcb.ip_options, tcb.raddr, tcb.laddr, tcb.bound_iface, tcb.dontroute)
    if route is None:
        return False
    tcb.route = route
    update_mss(tcb)
    return True


def headers(tcb: Tcb) -> int:
    """Bytes of the network's header and of TCP's, both without options (RFC 9293 3.7.1)."""
    route = tcb.route
    return route.overhead + C.TCP_HLEN


def local_mss(tcb: Tcb) -> int:
    """The MSS to announce (MUST-67): what the interface can receive, less the headers without options."""
    config = tcb.core.config
    mss = config.tcp_mss
    if mss <= 0:
        mss = tcb.route.iface.mtu - headers(tcb)
        if config.tcp_advmss_pmtu:
            mss = tcb.route.mtu - headers(tcb)
        if tcb.route.route is not None and tcb.route.route.advmss > 0:
            mss = tcb.route.route.advmss
        if tcb.ip_options is not None:
            mss -= tcb.ip_options.overhead
    if tcb.user_mss > 0 and tcb.user_mss < mss:
        mss = tcb.user_mss
    return mss if mss < 65495 else 65495


def path_mtu(tcb: Tcb) -> int:
    """The largest packet that the connection may send, as far as the route knows (IP_MTU_DISCOVER 3 to 5: the link)."""
    if tcb.pmtudisc >= 3:
        return min(tcb.route.iface.mtu, 65535)  # type: ignore[no-any-return]
    return tcb.route.mtu  # type: ignore[no-any-return]


def fragmenting(tcb: Tcb) -> int:
    """IP_MTU_DISCOVER, as ipv4.output takes it: DF with 1 (unless the path MTU is absurdly small), 2 and 3; the link's MTU from 3 on."""
    mode = tcb.pmtudisc
    if mode == 0 or (mode == 1 and tcb.route.mtu_locked):
        return 0
    if mode <= 2:
        return C.DONT_FRAGMENT
    return C.DONT_FRAGMENT | C.LINK_MTU if mode == 3 else C.LINK_MTU


def update_mss(tcb: Tcb) -> None:
    """MUST-16: Eff.snd.MSS = min(peer's MSS, what the path carries) less the options of every segment, IP's too."""
    mtu = path_mtu(tcb)
    if tcb.mtup is not None:
        # RFC 4821 3: what ICMP tells bounds the search, and what the search knows bounds the segments.
        tcb.mtup.high = min(tcb.mtup.high, mtu)
        tcb.mtup.low = min(tcb.mtup.low, tcb.mtup.high)
        mtu = tcb.mtup.low
    mss = mtu - headers(tcb)
    if tcb.ip_options is not None:
        mss -= tcb.ip_options.overhead
    if tcb.peer_mss < mss:
        mss = tcb.peer_mss
    if tcb.user_mss > 0 and tcb.user_mss < mss:
        mss = tcb.user_mss
    if tcb.ts_ok:
        mss -= 12
    if tcb.ip_options is not None:
        mss -= tcb.ip_options.length
    if mss < 8:
        mss = 8
    old = tcb.mss
    tcb.mss = mss
    tcb.path_mtu = tcb.route.mtu
    tell.mss(tcb, old, mtu)
    if tcb.cc is not None and tcb.cwnd < mss:
        old = tcb.cwnd
        # The path has grown: the loss window is one full-sized segment, and less could wait for ever (RFC 5681 3.1).
        tcb.cwnd = mss
        tell.cwnd(tcb, old, tcb.ssthresh, "one full-sized segment at least", "RFC 5681 3.1")


def free_space(tcb: Tcb) -> int:
    """Room in the receive buffer, as far as the window field can tell it."""
    free = tcb.recvbuf.size - tcb.recvbuf.used
    limit = 0xFFFF << tcb.rcv_wscale
    if 0 < tcb.rcv_limit < limit:
        limit = tcb.rcv_limit
    if 0 < tcb.window_clamp < limit:
        # tcp(7) TCP_WINDOW_CLAMP
        limit = tcb.window_clamp
    if free > limit:
        free = limit
    elif free < 0:
        free = 0
    return memory.window(tcb, free) if tcb.core.tcp_pressure else free


def opening_window(tcb: Tcb) -> int:
    """The window of a SYN: never scaled (RFC 7323 2.2)."""
    window = tcb.recvbuf.size if tcb.recvbuf.size < 0xFFFF else 0xFFFF
    return tcb.window_clamp if 0 < tcb.window_clamp < window else window


def select_window(tcb: Tcb) -> int:
    """The window to announce: RCV.ADV moves right only by a worthwhile step (MUST-39) and never left (SHLD-14)."""
    buf = tcb.recvbuf
    free = free_space(tcb)
    edge = seq_add(tcb.rcv_nxt, free)
    step = tcb.rcv_mss if tcb.rcv_mss < buf.size // 2 else buf.size // 2
    if not tcb.core.config.tcp_sws or tcb.core.config.tcp_exact_window:
        step = 1
    if seq_diff(edge, tcb.rcv_adv) >= step:
        tcb.rcv_adv = edge
    window = tcb.rcv_wnd()
    if free < step and window > 0:
        # There is no room worth a segment, but what was promised stands.
        tcb.core.counters.TcpExtTCPWantZeroWindowAdv += 1
    if tcb.rcv_wscale > 0:
        # Round up, so that the edge already announced does not come back (the few bytes more are accepted). But by less
        # than a unit beyond the room there is: a peer that fills each rounding would otherwise never see a closed window.
        unit = 1 << tcb.rcv_wscale
        rounded = (window + unit - 1) & ~(unit - 1)
        if rounded <= 0xFFFF << tcb.rcv_wscale and rounded < free + unit:
            window = rounded
            tcb.rcv_adv = seq_add(tcb.rcv_nxt, window)
    count_zero_window(tcb, window)
    return window >> tcb.rcv_wscale


def count_zero_window(tcb: Tcb, window: int) -> None:
    """Count the announcements that close the window and those that open it again."""
    if window >> tcb.rcv_wscale == 0:
        if tcb.rcv_wnd_told > 0:
            tcb.core.counters.TcpExtTCPToZeroWindowAdv += 1
            tcb.rcv_wnd_told = 0
        return
    if tcb.rcv_wnd_told == 0:
        tcb.core.counters.TcpExtTCPFromZeroWindowAdv += 1
    tcb.rcv_wnd_told = window


def ts_now(tcb: Tcb) -> int:
    """The timestamp clock: milliseconds, offset per connection (RFC 7323 5.4)."""
    return (tcb.core.now // 1_000_000 + tcb.ts_offset) & C.M32


def most_blocks(tcb: Tcb, data: bool) -> int:
    """How many SACK blocks fit: 3 beside timestamps, else 4; beside data, no more than leave 8 bytes of the MSS for it.

    (A path MTU of 68 leaves less than the blocks take. RFC 2018 3: the option is there as far as there is room.)
    """
    most = 3 if tcb.ts_ok else 4
    if not data or tcb.mss >= 8 + 4 + 8 * most:
        return most
    return 0 if tcb.mss < 8 + 4 + 8 else (tcb.mss - 8 - 4) // 8


def sack_blocks(tcb: Tcb, data: bool) -> int:
    """How many SACK blocks the next segment carries."""
    if not tcb.sack_ok or (tcb.sacks is None and tcb.dsack is None):
        return 0
    count = len(tcb.sacks) if tcb.sacks is not None else 0
    if tcb.dsack is not None:
        count += 1
    most = most_blocks(tcb, data)
    return count if count < most else most


def sack_option_len(tcb: Tcb) -> int:
    """Bytes of the SACK option that a retransmission carries."""
    count = sack_blocks(tcb, True)
    return 4 + 8 * count if count > 0 else 0


def accecn_option(tcb: Tcb, data: bool) -> int:
    """The AccECN option of the next segment (see accecn.choose), or -1. Two SACK blocks go before it (RFC 9768 3.2.3.3)."""
    if not accecn.due(tcb, data) or (data and tcb.mss < 128):
        return -1
    blocks = sack_blocks(tcb, data)
    room = 28 if tcb.ts_ok else 40
    if tcb.core.config.tcp_accecn_linux:
        return accecn.fit(tcb, room - (4 + 8 * blocks if blocks > 0 else 0), blocks)
    if blocks > 2:
        blocks = 2
    if blocks > 0:
        room -= 4 + 8 * blocks
    return accecn.choose(tcb, room, tcb.acc_opt_due != 0)


def blocks_beside(tcb: Tcb, blocks: int, chosen: int) -> int:
    """How many of the SACK blocks fit beside that AccECN option."""
    room = (28 if tcb.ts_ok else 40) - accecn.size(chosen & 3)
    while blocks > 0 and 4 + 8 * blocks > room:
        blocks -= 1
    return blocks


def new_data_options(tcb: Tcb) -> int:
    """Bytes of the SACK and AccECN options that the next segment of new data carries."""
    if not tcb.accecn:
        return sack_option_len(tcb)
    blocks = sack_blocks(tcb, True)
    chosen = accecn_option(tcb, True)
    n = 0
    if chosen >= 0:
        blocks = blocks_beside(tcb, blocks, chosen)
        n = accecn.size(chosen & 3)
    return n + 4 + 8 * blocks if blocks > 0 else n


def ecn_flags(tcb: Tcb, flags: int, length: int, sacks: bool) -> int:
    """AE, CWR and ECE of a segment without SYN, in the mode that was agreed on."""
    if tcb.accecn:
        if tcb.acc_answer >= 0 and length == 0 and not sacks and not flags & C.FIN:
            # RFC 9768 3.2.2.1: how the SYN-ACK arrived; on a pure ACK only.
            flags |= tcb.acc_answer << 6
            tcb.acc_answer = -1
        elif tcb.state != C.TIME_WAIT or not tcb.core.config.tcp_accecn_linux:
            flags |= accecn.ace(tcb)
        tcb.acc_unacked_ce = 0
        return flags
    # RFC 3168 6.1.3, and 6.1.2: CWR goes with new data.
    if tcb.ecn_echo:
        flags |= C.ECE
    if flags & C.ECT and tcb.ecn_cwr:
        flags |= C.CWR
        tcb.ecn_cwr = False
    return flags


def send_segment(tcb: Tcb, seq: int, flags: int, offset: int, length: int, gso_size: int, reason: str, rfc: str) -> int:
    """Send one segment with `length` bytes of the stream from `offset`. Returns 0 or an errno of IP."""
    core = tcb.core
    scratch = core.scratch
    hlen = 20
    if tcb.ts_ok:
        write_timestamps(scratch, C.L4_OFF + hlen, ts_now(tcb), tcb.ts_recent)
        hlen += 12
    chosen = -1
    if tcb.accecn and (length == 0 or flags & C.ECT or core.config.tcp_accecn_linux):
        # (Not on a retransmission: it may have been the option that was not let through, RFC 9768 3.2.3.2.2.)
        chosen = accecn_option(tcb, length > 0)
        tcb.acc_opt_due = 0 if length > 0 else tcb.acc_opt_due & accecn.FIRST_DATA
    count = 0
    if tcb.sack_ok and (tcb.sacks is not None or tcb.dsack is not None):
        blocks = list(tcb.sacks) if tcb.sacks is not None else []
        if tcb.dsack is not None:
            # RFC 2883 4: the duplicate comes first, and once.
            blocks.insert(0, tcb.dsack)
            tcb.dsack = None
        count = most_blocks(tcb, length > 0)
        if len(blocks) < count:
            count = len(blocks)
        if chosen >= 0:
            count = blocks_beside(tcb, count, chosen)
            if core.config.tcp_accecn_linux:
                hlen += accecn.write(tcb, scratch, C.L4_OFF + hlen, chosen)
                chosen = -2
        if count > 0:
            hlen += write_sack(scratch, C.L4_OFF + hlen, blocks, count)
    if chosen >= 0:
        hlen += accecn.write(tcb, scratch, C.L4_OFF + hlen, chosen)
    window = select_window(tcb)
    tos = tcb.tos
    if tcb.ecn_ok or tcb.accecn:
        # RFC 3168 6.1.2, 6.1.5: new data is ECN-capable, retransmissions and bare ACKs are not.
        if (flags & C.ECT or (tcb.accecn and core.config.tcp_accecn_linux)) and not tcb.acc_no_ect:
            tos |= 2
        flags = ecn_flags(tcb, flags, length, count > 0)
        tcb.acc_opt_last = chosen != -1
    flags &= ~C.ECT
    urg = 0
    if seq_gt(tcb.snd_up, tcb.snd_una) and seq_gt(tcb.snd_up, seq):
        # RFC 9293 3.8.5, MUST-62: the pointer names the byte after the urgent data.
        ahead = seq_diff(tcb.snd_up, seq)
        urg = ahead if ahead < 0xFFFF else 0xFFFF
        flags |= C.URG
    write_tcp(scratch, C.L4_OFF, tcb.lport, tcb.rport, seq, tcb.rcv_nxt, hlen, flags, window, urg)
    payload = tcb.sendbuf.peek(offset, length) if length > 0 else None
    if core.probe is not None:
        fields = {"seq": seq, "ack": tcb.rcv_nxt, "flags": flags, "length": length, "window": window << tcb.rcv_wscale}
        core.emit("tcp.out", tcb.subject(), tcb.ident, reason, rfc, fields)
    # What the device will cut counts as the segments that it makes.
    pieces = 1 if gso_size == 0 else (length + gso_size - 1) // gso_size
    ack_was_sent(tcb, pieces)
    tcb.syn_window = False
    tcb.segs_out += pieces
    if length > 0:
        tcb.data_segs_out += pieces
        tcb.bytes_sent += length
    core.counters.TcpOutSegs += pieces - 1
    return hand_to_ip(tcb, hlen, payload, length, gso_size, tos)


def ack_was_sent(tcb: Tcb, count: int) -> None:
    """Every segment with ACK serves as the acknowledgement: nothing is owed any more. `count` of them were sent."""
    tcb.ack_now = False
    tcb.ack_reason = ""
    tcb.last_ack_sent = tcb.rcv_nxt
    tcb.quickack = tcb.quickack - count if tcb.quickack > count else 0
    tcb.core.stop_timer(tcb.delack_timer, "a segment carries the ACK", "RFC 9293 3.8.6.3")


def send_syn(tcb: Tcb, reason: str, rfc: str, length: int) -> int:
    """SYN or SYN-ACK with its options (RFC 9293 3.7.1, RFC 7323, RFC 2018), and `length` bytes of Fast Open data."""
    core = tcb.core
    config = core.config
    answer = tcb.state != C.SYN_SENT
    ts = tcb.ts_ok if answer else config.tcp_timestamps
    sack = tcb.sack_ok if answer else config.tcp_sack
    scale = tcb.wscale_ok if answer else config.tcp_window_scaling
    if not answer and tcb.retries > 2 and config.tcp_syn_drop_options:
        ts = sack = scale = False
    mss = local_mss(tcb)
    o = C.L4_OFF + 20
    wscale = tcb.rcv_wscale if scale else -1
    hlen = 20 + write_syn_options(core.scratch, o, mss, wscale, sack, ts, ts_now(tcb), tcb.ts_recent)
    if tcb.noopt:
        hlen = 20
    cookie = tcb.fastopen_cookie if answer else syn_option(tcb)
    if cookie is not None:
        hlen += write_fastopen(core.scratch, C.L4_OFF + hlen, cookie, tcb.fastopen_exp)
    window = opening_window(tcb)
    if answer:
        # (Again after our FIN, a larger window may have been announced since.)
        tcb.rcv_adv = seq_max(tcb.rcv_adv, seq_add(tcb.rcv_nxt, window))
        tcb.last_ack_sent = tcb.rcv_nxt
    flags = C.SYN | C.ACK | syn_ack_ecn(tcb) if answer else C.SYN | syn_ecn(tcb)
    if answer and tcb.accecn:
        hlen += syn_ack_option(tcb, hlen)
    write_tcp(core.scratch, C.L4_OFF, tcb.lport, tcb.rport, tcb.iss, tcb.rcv_nxt, hlen, flags, window, 0)
    if core.probe is not None:
        fields = {"seq": tcb.iss, "ack": tcb.rcv_nxt, "flags": flags, "length": length, "window": window}
        core.emit("tcp.out", tcb.subject(), tcb.ident, reason, rfc, fields)
    tcb.segs_out += 1
    tcb.syn_window = True
    payload = None
    if length > 0:
        payload = tcb.sendbuf.peek(tcb.sendbuf.head, length)
        tcb.data_segs_out += 1
        tcb.bytes_sent += length
    return hand_to_ip(tcb, hlen, payload, length, 0, tcb.tos)


def syn_ecn(tcb: Tcb) -> int:
    """The flags by which a SYN asks for ECN, as the setting tcp_ecn says."""
    mode = tcb.core.config.tcp_ecn
    flags = 0
    again = tcb.core.config.tcp_ecn_retries
    if not tcb.core.config.tcp_ecn_fallback:
        again = tcb.retries
    if mode == 3 and (tcb.retries <= 1 or tcb.retries <= again):
        # RFC 9768 3.1.1; 3.1.4.1: once more on the first retransmission, then without.
        flags = C.AE | C.CWR | C.ECE
        tcb.acc_asked = True
    elif (mode == 1 or mode == 4) and tcb.retries <= again:
        # RFC 3168 6.1.1 and 6.1.1.1: ask, but not again where the first SYN got no answer.
        flags = C.ECE | C.CWR
    tcb.ecn_asked = flags != 0
    return flags


def syn_ack_ecn(tcb: Tcb) -> int:
    """The flags by which a SYN-ACK agrees: in AccECN mode they feed back the IP-ECN field of the last SYN (RFC 9768 table 2)."""
    if not tcb.accecn:
        return C.ECE if tcb.ecn_ok else 0
    if tcb.retries >= 2 and (tcb.passive or not tcb.core.config.tcp_accecn_linux):
        # RFC 9768 3.2.3.2.2: perhaps the flags are in the way. The mode stays, but ECT is out (3.1.5).
        tcb.acc_no_ect = True
        return 0
    return accecn.handshake_code(tcb.acc_syn) << 6


def syn_ack_option(tcb: Tcb, hlen: int) -> int:
    """RFC 9768 3.2.3.2.1: a first SYN-ACK tests the path with an option; a second one goes without (3.2.3.2.2)."""
    if tcb.core.config.tcp_ecn_option == 0 or tcb.acc_opt_off:
        return 0
    if tcb.retries > (0 if tcb.passive or not tcb.core.config.tcp_accecn_linux else 1) or tcb.acc_again:
        # (Linux: in a simultaneous open the second one still has it.)
        tcb.acc_opt_off = True
        tcb.acc_fail |= accecn.OPT_FAIL_SEND
        return 0
    scratch = tcb.core.scratch
    end = C.L4_OFF + hlen
    if not tcb.core.config.tcp_accecn_linux:
        chosen = accecn.choose(tcb, 60 - hlen, True)
        return accecn.write(tcb, scratch, end, chosen) if chosen >= 0 else 0
    chosen = accecn.fit(tcb, 60 - hlen, 0)
    if chosen < 0:
        return 0
    # After MSS and timestamps, before the others.
    at = C.L4_OFF + (36 if tcb.ts_ok else 24)
    rest = bytes(scratch[at:end])
    n = accecn.write(tcb, scratch, at, chosen)
    scratch[at + n : end + n] = rest
    return n


def hand_to_ip(tcb: Tcb, hlen: int, payload: Any, length: int, gso_size: int, tos: int) -> int:
    """Checksum (whole, or the pseudo-header's part where the device does the rest), and down."""
    core = tcb.core
    route = tcb.route
    acc = pseudo_sum(tcb.laddr, tcb.raddr, C.IPPROTO_TCP, hlen + length)
    csum_offset = 0
    if (
        route.iface.tx_csum
        and tcb.ip_options is None
        and hlen + length + route.overhead <= (path_mtu(tcb) if gso_size == 0 else 0xFFFF)
    ):
        csum_offset = 16
    else:
        acc = sum_scratch(core.scratch, C.L4_OFF, C.L4_OFF + hlen, acc)
        if payload is not None:
            acc = sum_any(payload, acc)
        acc ^= 0xFFFF
    core.scratch[C.L4_OFF + 16] = (acc >> 8) & 0xFF
    core.scratch[C.L4_OFF + 17] = acc & 0xFF
    core.counters.TcpOutSegs += 1
    out = core.out
    out.begin(route, tcb.laddr, tcb.raddr, C.IPPROTO_TCP)
    out.ttl = tcb.ttl
    out.tos = tos
    out.df = fragmenting(tcb)
    out.l4_len = hlen
    out.payload = payload
    out.gso_size = gso_size
    out.csum_offset = csum_offset
    if tcb.ip_options is None:
        error = output(core, out)
    else:
        # RFC 9293 3.9.2.1: along the source route, with each segment.
        error = ip_options.output(core, tcb.ip_options, out)
    if error:
        tcb.soft_error = error
    return error


def use_options(tcb: Tcb, options: Any) -> None:
    """Other IP options (or None) from now on: another way, perhaps, and another room for data (MUST-16)."""
    tcb.ip_options = options
    if tcb.state == C.CLOSED or tcb.state == C.LISTEN:
        return
    tcb.route = None
    if tcb.raddr != 0:
        have_route(tcb)


def received_route(tcb: Tcb, pkt: Any) -> None:
    """A passive side answers along the route that a segment came (MUST-53), the latest one (SHLD-24), but an application's
    own goes first (MUST-52)."""
    if tcb.options_given or not tcb.core.config.accept_source_route:
        return
    asked = ip_options.reverse_route(ip_options.of_packet(pkt), pkt.src)
    if asked and (tcb.ip_options is None or tcb.ip_options.asked != asked):
        if tcb.core.probe is not None:
            fields = {"hop": int.from_bytes(asked[3:7], "big"), "left": len(asked) // 4}
            why = "this way back, from now on: that of the segment, turned round"
            tcb.core.emit("ip.source_route", tcb.subject(), tcb.ident, why, "RFC 9293 3.9.2.1", fields)
        use_options(tcb, ip_options.make(asked))


def send_reset(
    core: Any, src: int, dst: int, sport: int, dport: int, seq: int, ack: int, flags: int, reason: str, rfc: str
) -> None:
    """A RST outside of any connection: from (src, sport) of this host to (dst, dport)."""
    ttl, tos = core.config.ip_default_ttl, 0
    if core.config.tcp_reset_bound:
        for item in core.tcp.buckets.get(sport, {}).values():
            owner: Tcb = item
            ttl = owner.ttl
            tos = owner.tos
    reset_segment(core, src, dst, sport, dport, seq, ack, 20, flags, ttl, tos, reason, rfc, core.tunnel)


def reset_segment(
    core: Any,
    src: int,
    dst: int,
    sport: int,
    dport: int,
    seq: int,
    ack: int,
    hlen: int,
    flags: int,
    ttl: int,
    tos: int,
    reason: str,
    rfc: str,
    options: Any,
) -> None:
    """A RST with a header of `hlen` bytes; its options are in the scratch buffer already. `options`: those of IP, or None."""
    route = ip_options.route_to(core, options, dst, src, None)
    if route is None:
        return
    write_tcp(core.scratch, C.L4_OFF, sport, dport, seq, ack, hlen, flags, 0, 0)
    acc = pseudo_sum(src, dst, C.IPPROTO_TCP, hlen)
    acc = sum_scratch(core.scratch, C.L4_OFF, C.L4_OFF + hlen, acc) ^ 0xFFFF
    core.scratch[C.L4_OFF + 16] = (acc >> 8) & 0xFF
    core.scratch[C.L4_OFF + 17] = acc & 0xFF
    core.counters.TcpOutSegs += 1
    core.counters.TcpOutRsts += 1
    if core.probe is not None:
        fields = {"seq": seq, "ack": ack, "flags": flags, "length": 0, "window": 0}
        core.emit("tcp.out", f"tcp port {sport}", 0, reason, rfc, fields)
    out = core.out
    out.begin(route, src, dst, C.IPPROTO_TCP)
    out.ttl = ttl
    out.tos = tos
    out.df = C.DONT_FRAGMENT
    out.l4_len = hlen
    ip_options.output(core, options, out)


def reset_connection(tcb: Tcb, reason: str, rfc: str) -> None:
    """RST,ACK at SND.NXT for an open connection (the sender of ABORT, RFC 9293 3.10.5)."""
    core = tcb.core
    hlen = 20
    if tcb.ts_ok:
        # RFC 7323 3.2: a RST SHOULD carry them.
        hlen += write_timestamps(core.scratch, C.L4_OFF + 20, ts_now(tcb), tcb.ts_recent)
    flags = C.RST | C.ACK
    if tcb.accecn:
        flags |= accecn.ace(tcb)
    seq, ack = tcb.snd_nxt, tcb.rcv_nxt
    ttl, tos = tcb.ttl, tcb.tos
    reset_segment(
        core, tcb.laddr, tcb.raddr, tcb.lport, tcb.rport, seq, ack, hlen, flags, ttl, tos, reason, rfc, tcb.ip_options
    )
