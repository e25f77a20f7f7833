"""Send the SYN and the SYN-ACK with their options (RFC 9293 section 3.10.7, RFC 7323, RFC 9768 section 3.1)."""

import pystack_c.const as C
from pystack_c.base.seqnum import seq_add, seq_max
from pystack_c.tcp import quirks
from pystack_c.tcp.ecn import accecn
from pystack_c.tcp.mss import local_mss
from pystack_c.tcp.opening.fastopen import syn_option
from pystack_c.tcp.segment import hand_to_ip
from pystack_c.tcp.tcb import Tcb
from pystack_c.tcp.timestamps import ts_now
from pystack_c.tcp.window import opening_window
from pystack_c.wire.tcp import write_fastopen, write_syn_options, write_tcp


def send_syn(tcb: Tcb, reason: str, rfc: str, length: int) -> int:
    """Send a SYN or SYN-ACK with its options and `length` bytes of Fast Open data. Return 0, or the errno from IP.

    The options are those of RFC 9293 3.7.1, RFC 7323 and RFC 2018.
    """
    core = tcb.core
    config = core.config
    answer = tcb.state != C.SYN_SENT
    ts = tcb.ts_ok if answer else config.tcp_timestamps
    sack = tcb.sack_ok if answer else config.tcp_sack
    scale = tcb.wscale_ok if answer else config.tcp_window_scaling
    if not answer and quirks.drops_options(tcb):
        ts = sack = scale = False
    mss = local_mss(tcb)
    o = C.L4_OFF + 20
    wscale = tcb.rcv_wscale if scale else -1
    hlen = 20 + write_syn_options(core.scratch, o, mss, wscale, sack, ts, ts_now(tcb), tcb.ts_recent)
    if tcb.noopt:
        hlen = 20
    if tcb.tfo is not None:
        cookie = tcb.tfo.cookie if answer else syn_option(tcb)
        if cookie is not None:
            hlen += write_fastopen(core.scratch, C.L4_OFF + hlen, cookie, tcb.tfo.exp)
    window = opening_window(tcb)
    if answer:
        # If this is a retransmission after our FIN, a larger window may have been announced since.
        tcb.rcv_adv = seq_max(tcb.rcv_adv, seq_add(tcb.rcv_nxt, window))
        tcb.last_ack_sent = tcb.rcv_nxt
    flags = C.SYN | C.ACK | syn_ack_ecn(tcb) if answer else C.SYN | syn_ecn(tcb)
    if answer and tcb.accecn is not None:
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
    """Return the flags by which a SYN requests ECN, as the setting tcp_ecn requires."""
    mode = tcb.core.config.tcp_ecn
    flags = 0
    again = quirks.ecn_retries(tcb)
    if not tcb.core.config.tcp_ecn_fallback:
        again = tcb.retries
    if mode == 3 and (tcb.retries <= 1 or tcb.retries <= again):
        # RFC 9768 3.1.1. 3.1.4.1: request AccECN again in the first retransmission, but not later.
        flags = C.AE | C.CWR | C.ECE
        tcb.accecn_asked = True
    elif (mode == 1 or mode == 4) and tcb.retries <= again:
        # RFC 3168 6.1.1 and 6.1.1.1: request ECN, but not again if the first SYN got no answer.
        flags = C.ECE | C.CWR
    tcb.ecn_asked = flags != 0
    return flags


def syn_ack_ecn(tcb: Tcb) -> int:
    """Return the flags by which a SYN-ACK accepts ECN.

    In AccECN mode, they report the IP-ECN field of the last SYN (RFC 9768 table 2).
    """
    if tcb.accecn is None:
        return C.ECE if tcb.ecn_ok else 0
    if tcb.retries >= 2 and not quirks.crossed_keeps_ecn(tcb):
        # RFC 9768 3.2.3.2.2: a middlebox may drop segments with these flags. The mode stays, but without ECT (3.1.5).
        tcb.accecn.no_ect = True
        return 0
    return accecn.handshake_code(tcb.accecn.syn) << 6


def syn_ack_option(tcb: Tcb, hlen: int) -> int:
    """Write the AccECN option of a SYN-ACK, and return its length in bytes.

    The first SYN-ACK tests the path with an option (RFC 9768 3.2.3.2.1). The second one has none (3.2.3.2.2).
    """
    if tcb.core.config.tcp_ecn_option == 0 or tcb.accecn.opt_off:
        return 0
    if tcb.retries > (1 if quirks.crossed_keeps_ecn(tcb) else 0) or tcb.accecn.again:
        tcb.accecn.opt_off = True
        tcb.accecn.fail |= accecn.OPT_FAIL_SEND
        return 0
    if quirks.option_before_sack(tcb):
        return _option_before_others(tcb, hlen)
    chosen = accecn.choose(tcb, 60 - hlen, True)
    return accecn.write(tcb, tcb.core.scratch, C.L4_OFF + hlen, chosen) if chosen >= 0 else 0


# -- quirks ----------------------------------------------------------------------------------------------------------


def _option_before_others(tcb: Tcb, hlen: int) -> int:
    """For Linux, the option comes after MSS and timestamps, and before the others."""
    scratch = tcb.core.scratch
    end = C.L4_OFF + hlen
    chosen = accecn.fit(tcb, 60 - hlen, 0)
    if chosen < 0:
        return 0
    at = C.L4_OFF + (36 if tcb.ts_ok else 24)
    rest = bytes(scratch[at:end])
    n = accecn.write(tcb, scratch, at, chosen)
    scratch[at + n : end + n] = rest
    return n
