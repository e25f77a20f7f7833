"""The feedback of accurate ECN (RFC 9768): the receiver's counters, and how the sender reads them.

ecn.py negotiates the mode. A receiver counts the packets that arrive with a CE mark (r_cep) and the payload bytes with
each ECN codepoint (r_e0b, r_ceb, r_e1b). The header's ACE field, the flags AE, CWR and ECE, carries the three low bits
of r_cep. An option carries the byte counters. A sender keeps copies of the counters (s_*) up to date.
"""

from pystack_c.packet import Packet
from pystack_c.tcp import tell
from pystack_c.tcp.ecn.accstate import AccEcn
from pystack_c.tcp.tcb import Tcb
from pystack_c.wire.tcp import write_accecn

NOT_ECT, ECT1, ECT0, CE = 0, 1, 2, 3

# What the peer's options showed (tcpi_accecn_opt_seen, with Linux's numbers).
NOT_SEEN, EMPTY_SEEN, COUNTERS_SEEN, FAILED = 0, 1, 2, 3

# Options that are due regardless of the counters: on the ACK of the SYN-ACK, and on the first data segment.
FIRST_ACK, FIRST_DATA = 1, 2

# Why a half-connection works without ECN or the option (tcpi_accecn_fail_mode, with Linux's numbers).
ACE_FAIL_SEND, ACE_FAIL_RECV, OPT_FAIL_SEND, OPT_FAIL_RECV = 1, 2, 4, 8

# Above this mean number of segments per ACK (with 6 fraction bits), ACKs are rare because the network or the peer
# merges them.
ACKS_JOINED = 4 << 6

# A counter is reported at least once in this number of bytes (3.2.3.3).
REPEAT = 1 << 22


def enter(tcb: Tcb) -> None:
    """Enter AccECN mode (3.2.1)."""
    tcb.accecn = AccEcn()
    tcb.ecn_ok = False


def handshake_code(codepoint: int) -> int:
    """Return the three flags that report the IP-ECN field of a SYN or SYN-ACK (tables 2 and 3)."""
    if codepoint == NOT_ECT:
        return 2
    if codepoint == ECT1:
        return 3
    return 4 if codepoint == ECT0 else 6


def ace(tcb: Tcb) -> int:
    """Return the ACE field (3.2.2.2), shifted to its place among the flags."""
    return (tcb.accecn.r_cep & 7) << 6


def fail(tcb: Tcb, mode: int, deaf: bool) -> None:
    """Record that the path alters the ECN feedback. `mode` is one of the *_FAIL_* bits.

    After a failure of the ACE field, the connection sends no ECT any more. With `deaf`, it also ignores the ACE field.
    """
    acc: AccEcn = tcb.accecn
    acc.fail |= mode
    if mode == ACE_FAIL_SEND or mode == ACE_FAIL_RECV:
        acc.no_ect = True
    if deaf:
        acc.deaf = True
    if mode == OPT_FAIL_RECV:
        acc.opt_seen = FAILED
    if acc.no_ect:
        tell.ecn(tcb, "disabled", "the ECN feedback is not plausible", "RFC 9768 3.2.2.3")
    else:
        tell.ecn(tcb, "disabled", "the AccECN option is blocked", "RFC 9768 3.2.3.2.2")


# The receiver.


def arrived(tcb: Tcb, pkt: Packet) -> bool:
    """Count the IP-ECN field of an acceptable packet (3.2). Return True if an ACK is due at once (3.2.2.5.1)."""
    acc: AccEcn = tcb.accecn
    codepoint = pkt.tos & 3
    n = pkt.l4_end - pkt.data_off
    before = acc.last
    acc.last = codepoint
    if codepoint == NOT_ECT:
        return False
    tcb.ecn_seen = True
    if n > 0 and codepoint != acc.last_data:
        # 3.2.3.3, change-triggered: another counter changes now, so report it now, and once more.
        acc.switched = 2
        acc.last_data = codepoint
    if codepoint == ECT0:
        acc.r_e0b += n
        return False
    if codepoint == ECT1:
        acc.r_e1b += n
        return False
    acc.r_ceb += n
    acc.r_cep += pkt.segments()
    acc.unacked_ce += pkt.segments()
    tell.ecn(tcb, "echo", "a router marked congestion, which the ACE counter reports", "RFC 9768 3.2")
    if n > 0:
        # Change-triggered, or two marks since the last ACK.
        return before != CE or acc.unacked_ce >= 2
    # Without data, an ACK needs three marks. Otherwise ACKs of ACKs would never end.
    return acc.unacked_ce >= 3


def due(tcb: Tcb, data: bool) -> bool:
    """Return True if the next segment is to carry the option (3.2.3.3)."""
    acc: AccEcn = tcb.accecn
    mode = tcb.core.config.tcp_ecn_option
    if mode == 0 or acc.opt_off:
        return False
    if _follows_peer(tcb, mode):
        return _due_linux(tcb)
    if acc.opt_due & FIRST_ACK or (data and acc.opt_due & FIRST_DATA):
        return True
    if mode == 1:
        # Send the option only if the rules ask for it: after CE marks, many bytes, or a change of the ECN field.
        if acc.r_ceb != acc.told_ceb:
            return True
        moved = acc.r_e0b - acc.told_e0b + acc.r_e1b - acc.told_e1b
        return moved >= REPEAT or (moved > 0 and acc.switched > 0)
    return acc.r_e0b != acc.told_e0b or acc.r_ceb != acc.told_ceb or acc.r_e1b != acc.told_e1b


def choose(tcb: Tcb, room: int, full: bool) -> int:
    """Return the order and the number of fields of an option in `room` bytes, as order * 4 + count (3.2.3.3).

    The result is -1 if the counters that changed do not fit. With `full`, the option has as many fields as fit.
    """
    acc: AccEcn = tcb.accecn
    order = 1 if acc.r_e1b != 1 and acc.r_e0b == 1 else 0
    count = 1
    if full or (order == 0 and acc.r_e1b != 1):
        count = 3
    elif acc.r_ceb != 0:
        count = 2
    while count >= 0 and size(count) > room:
        count -= 1
    if full:
        # The option only tests the path, so an empty one is enough, too.
        return order * 4 + count if count >= 0 else -1
    if count >= needed(tcb, order):
        return order * 4 + count
    other = 1 - order
    count = needed(tcb, other)
    return other * 4 + count if size(count) <= room else -1


def fit(tcb: Tcb, room: int, blocks: int) -> int:
    """Return the option that Linux sends beside `blocks` SACK blocks, in the form of `choose` (tcp_options_fit_accecn).

    The option has as many fields as fit, with ECT(1) first. One SACK block may be left out for it. The result is -1 if
    the counters that changed do not fit.
    """
    least = needed(tcb, 1)
    count = 3
    while size(count) > room or count < least:
        if count <= least:
            if blocks <= 2 or least == 0:
                return -1
            blocks -= 1
            room += 8
            count = 4
        count -= 1
    return 4 + count


def needed(tcb: Tcb, order: int) -> int:
    """Return the number of fields, in that order, that include every counter changed since the last option."""
    acc: AccEcn = tcb.accecn
    first = acc.r_e0b != acc.told_e0b if order == 0 else acc.r_e1b != acc.told_e1b
    last = acc.r_e1b != acc.told_e1b if order == 0 else acc.r_e0b != acc.told_e0b
    if last:
        return 3
    if acc.r_ceb != acc.told_ceb:
        return 2
    return 1 if first else 0


def size(count: int) -> int:
    """Return the bytes of an option with `count` fields, with its padding."""
    return (2 + 3 * count + 3) & ~3


def write(tcb: Tcb, buf: bytearray, o: int, chosen: int) -> int:
    """Write the option at offset `o` of `buf`, and record the reported counters. Return its length in bytes."""
    acc: AccEcn = tcb.accecn
    order = chosen >> 2
    count = chosen & 3
    first = acc.r_e0b if order == 0 else acc.r_e1b
    last = acc.r_e1b if order == 0 else acc.r_e0b
    if count >= 1 and order == 0 or count == 3:
        acc.told_e0b = acc.r_e0b
    if count >= 1 and order == 1 or count == 3:
        acc.told_e1b = acc.r_e1b
    if count >= 2:
        acc.told_ceb = acc.r_ceb
    if acc.switched > 0:
        acc.switched -= 1
    return write_accecn(buf, o, order, count, first, acc.r_ceb, last)


# The sender.


def read_option(tcb: Tcb, pkt: Packet) -> int:
    """Update the byte counters from an option (3.2.3.1).

    Return the number of bytes newly CE-marked, or -1 without a valid option.
    """
    acc: AccEcn = tcb.accecn
    if pkt.acc_order < 0 or acc.opt_seen == FAILED:
        return -1
    if acc.opt_seen < COUNTERS_SEEN:
        acc.opt_seen = COUNTERS_SEEN if pkt.acc_count > 0 else EMPTY_SEEN
    if pkt.acc_count >= 1:
        if pkt.acc_order == 0:
            acc.s_e0b += grown(pkt.acc_first, acc.s_e0b)
        else:
            acc.s_e1b += grown(pkt.acc_first, acc.s_e1b)
    marked = 0
    if pkt.acc_count >= 2:
        marked = grown(pkt.acc_ceb, acc.s_ceb)
        acc.s_ceb += marked
    if pkt.acc_count >= 3:
        if pkt.acc_order == 0:
            acc.s_e1b += grown(pkt.acc_last, acc.s_e1b)
        else:
            acc.s_e0b += grown(pkt.acc_last, acc.s_e0b)
    return marked


def grown(field: int, counter: int) -> int:
    """Return by how much a 24-bit field is ahead of a counter, or 0 if it is behind (an option that was overtaken)."""
    delta = (field - counter) & 0xFFFFFF
    return delta if delta < 0x800000 else 0


def zeroed(pkt: Packet) -> bool:
    """Return True if the first option of a connection has a zero in a counter that starts at one (3.2.3.2.4)."""
    if pkt.acc_order < 0:
        return False
    return (pkt.acc_count >= 1 and pkt.acc_first == 0) or (pkt.acc_count >= 3 and pkt.acc_last == 0)


def count_acks(tcb: Tcb, newly: int) -> None:
    """Update the mean number of segments that an ACK delivers, a moving average with weight 1/64, as in Linux."""
    acc: AccEcn = tcb.accecn
    if newly <= 0:
        return
    if acc.per_ack == 0:
        acc.per_ack = newly << 6
        return
    average = ((acc.per_ack << 6) - acc.per_ack + (newly << 6)) >> 6
    acc.per_ack = average if average < 0xFFFF else 0xFFFF


def newly_marked(tcb: Tcb, pkt: Packet, newly: int, marked: int) -> int:
    """Return how many of our packets this ACK reports as CE-marked (3.2.2.2, 3.2.2.5.2). It delivered `newly` packets.

    The field has three bits, so with eight packets or more it may have wrapped. The bytes of an option (`marked`) give
    a lower bound. Without an option, the safest case counts: the largest number that agrees with the field and with
    `newly`.
    """
    delta = (((pkt.tcp_flags >> 6) & 7) - tcb.accecn.s_cep) & 7
    if newly <= 7:
        return delta
    safest = newly - ((newly - delta) & 7)
    if marked < 0:
        return delta if _acks_are_joined(tcb) else safest
    while delta < safest and delta * tcb.mss < marked:
        delta += 8
    return delta


# -- quirks ----------------------------------------------------------------------------------------------------------


def _follows_peer(tcb: Tcb, mode: int) -> bool:
    """Return True if what the peer sends decides about the option, as in Linux."""
    return mode == 2 and tcb.core.config.tcp_accecn_linux


def _due_linux(tcb: Tcb) -> bool:
    """Return True if the peer has sent an option, after which every segment carries one."""
    return tcb.accecn.opt_seen == EMPTY_SEEN or tcb.accecn.opt_seen == COUNTERS_SEEN


def _acks_are_joined(tcb: Tcb) -> bool:
    """Return True if the peer's ACKs are merged, so that the field has probably not wrapped."""
    return tcb.core.config.tcp_accecn_linux and tcb.accecn.per_ack > ACKS_JOINED


def trust_options(tcb: Tcb) -> None:
    """Send options again after one from the peer got through, because the loss of our own may have been chance."""
    acc: AccEcn = tcb.accecn
    if tcb.core.config.tcp_accecn_linux and acc.opt_seen == COUNTERS_SEEN:
        acc.opt_off = False
        acc.fail &= ~OPT_FAIL_SEND
