"""Accurate ECN's feedback (RFC 9768): what a receiver counts and tells, and how a sender reads it. Negotiation is in ecn.py.

A receiver counts the packets that arrive with a CE mark (r_cep) and the payload bytes under each ECN codepoint (r_e0b, r_ceb,
r_e1b). The three low bits of r_cep ride in the header's ACE field, the flags AE, CWR and ECE; the byte counters in an option.
A sender keeps copies (s_...) in step.
"""

from pystack_c.packet import Packet
from pystack_c.tcp import tell
from pystack_c.tcp.ecn.accstate import AccEcn
from pystack_c.tcp.tcb import Tcb
from pystack_c.wire.tcp import write_accecn

NOT_ECT, ECT1, ECT0, CE = 0, 1, 2, 3

# What was seen of the peer's option (tcpi_accecn_opt_seen, as Linux numbers it).
NOT_SEEN, EMPTY_SEEN, COUNTERS_SEEN, FAILED = 0, 1, 2, 3

# Options that are due whatever the counters say: on the SYN-ACK's answer, and on the first data segment.
FIRST_ACK, FIRST_DATA = 1, 2

# Why the other half does without (tcpi_accecn_fail_mode, as Linux numbers it).
ACE_FAIL_SEND, ACE_FAIL_RECV, OPT_FAIL_SEND, OPT_FAIL_RECV = 1, 2, 4, 8

# An average of so many segments an ACK (6 bits after the point) says that ACKs are few because they are put together.
ACKS_JOINED = 4 << 6

# A counter is told at least once in so many bytes (3.2.3.3).
REPEAT = 1 << 22


def enter(tcb: Tcb) -> None:
    """3.2.1: AccECN mode begins."""
    tcb.accecn = AccEcn()
    tcb.ecn_ok = False


def handshake_code(codepoint: int) -> int:
    """Tables 2 and 3: the three flags that feed back the IP-ECN field of a SYN or SYN-ACK."""
    if codepoint == NOT_ECT:
        return 2
    if codepoint == ECT1:
        return 3
    return 4 if codepoint == ECT0 else 6


def ace(tcb: Tcb) -> int:
    """The ACE field (3.2.2.2), at its place among the flags."""
    return (tcb.accecn.r_cep & 7) << 6


def fail(tcb: Tcb, mode: int, deaf: bool) -> None:
    """Something on the path is not to be trusted: no ECT from now on; where the ACE field lies (`deaf`), no response either."""
    acc: AccEcn = tcb.accecn
    acc.fail |= mode
    if mode == ACE_FAIL_SEND or mode == ACE_FAIL_RECV:
        acc.no_ect = True
    if deaf:
        acc.deaf = True
    if mode == OPT_FAIL_RECV:
        acc.opt_seen = FAILED
    why = "the ECN feedback is not plausible" if acc.no_ect else "the AccECN option is blocked"
    tell.ecn(tcb, "disabled", why, "RFC 9768 3.2.2.3")


# The receiver


def arrived(tcb: Tcb, pkt: Packet) -> bool:
    """3.2: count an acceptable packet's IP-ECN field. True where that calls for an ACK at once (3.2.2.5.1)."""
    acc: AccEcn = tcb.accecn
    codepoint = pkt.tos & 3
    n = pkt.l4_end - pkt.data_off
    before = acc.last
    acc.last = codepoint
    if codepoint == NOT_ECT:
        return False
    tcb.ecn_seen = True
    if n > 0 and codepoint != acc.last_data:
        # 3.2.3.3, change-triggered: the counter that moves is another one; tell it now, and once more.
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
    # No data: three marks, or ACKs of ACKs would never end.
    return acc.unacked_ce >= 3


def due(tcb: Tcb, data: bool) -> bool:
    """3.2.3.3: is the option to go with the next segment?"""
    acc: AccEcn = tcb.accecn
    mode = tcb.core.config.tcp_ecn_option
    if mode == 0 or acc.opt_off:
        return False
    if _follows_peer(tcb, mode):
        return _due_linux(tcb)
    if acc.opt_due & FIRST_ACK or (data and acc.opt_due & FIRST_DATA):
        return True
    if mode == 1:
        # As few as the rules allow: marks, a change of counters, or enough bytes.
        if acc.r_ceb != acc.told_ceb:
            return True
        moved = acc.r_e0b - acc.told_e0b + acc.r_e1b - acc.told_e1b
        return moved >= REPEAT or (moved > 0 and acc.switched > 0)
    return acc.r_e0b != acc.told_e0b or acc.r_ceb != acc.told_ceb or acc.r_e1b != acc.told_e1b


def choose(tcb: Tcb, room: int, full: bool) -> int:
    """Order and fields of the option for `room` bytes: order * 4 + count, or -1 where what changed does not fit (3.2.3.3)."""
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
        # (Only a test of the path: an empty one does, too.)
        return order * 4 + count if count >= 0 else -1
    if count >= needed(tcb, order):
        return order * 4 + count
    other = 1 - order
    count = needed(tcb, other)
    return other * 4 + count if size(count) <= room else -1


def fit(tcb: Tcb, room: int, blocks: int) -> int:
    """Linux's tcp_options_fit_accecn: as many fields as fit beside `blocks` SACK blocks, ECT(1) first; one block gives way.

    Returns what `choose` returns; -1 where what changed does not fit.
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
    """How many fields in that order tell all that changed since the last option."""
    acc: AccEcn = tcb.accecn
    first = acc.r_e0b != acc.told_e0b if order == 0 else acc.r_e1b != acc.told_e1b
    last = acc.r_e1b != acc.told_e1b if order == 0 else acc.r_e0b != acc.told_e0b
    if last:
        return 3
    if acc.r_ceb != acc.told_ceb:
        return 2
    return 1 if first else 0


def size(count: int) -> int:
    """Bytes of an option with so many fields, with its padding."""
    return (2 + 3 * count + 3) & ~3


def write(tcb: Tcb, buf: bytearray, o: int, chosen: int) -> int:
    """Write the option; what it tells is told. Returns the bytes."""
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


# The sender


def read_option(tcb: Tcb, pkt: Packet) -> int:
    """3.2.3.1: bring the byte counters in step. How many bytes are newly CE-marked; -1 where no option tells."""
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
    """By how much a 24-bit field is ahead of a counter; 0 where it is behind (an option that was overtaken)."""
    delta = (field - counter) & 0xFFFFFF
    return delta if delta < 0x800000 else 0


def zeroed(pkt: Packet) -> bool:
    """3.2.3.2.4: the first option of a connection cannot have a zero where the counters begin at one."""
    if pkt.acc_order < 0:
        return False
    return (pkt.acc_count >= 1 and pkt.acc_first == 0) or (pkt.acc_count >= 3 and pkt.acc_last == 0)


def count_acks(tcb: Tcb, newly: int) -> None:
    """How many segments an ACK delivers, on average: the moving average that Linux keeps (weight 1/64)."""
    acc: AccEcn = tcb.accecn
    if newly <= 0:
        return
    if acc.per_ack == 0:
        acc.per_ack = newly << 6
        return
    average = ((acc.per_ack << 6) - acc.per_ack + (newly << 6)) >> 6
    acc.per_ack = average if average < 0xFFFF else 0xFFFF


def newly_marked(tcb: Tcb, pkt: Packet, newly: int, marked: int) -> int:
    """3.2.2.2 and 3.2.2.5.2: how many of our packets this ACK reports as CE-marked; `newly` were delivered by it.

    The field has three bits: with eight packets and more it may have gone round. An option's bytes (`marked`) tell how
    often at least; without one the safest case counts, the largest number that fits the field and what was delivered.
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
    """For Linux, what the peer sends decides about the option."""
    return mode == 2 and tcb.core.config.tcp_accecn_linux


def _due_linux(tcb: Tcb) -> bool:
    """Every segment carries the option once the peer sent one."""
    return tcb.accecn.opt_seen == EMPTY_SEEN or tcb.accecn.opt_seen == COUNTERS_SEEN


def _acks_are_joined(tcb: Tcb) -> bool:
    """The ACKs of this peer deliver so much that their field need not have gone round."""
    return tcb.core.config.tcp_accecn_linux and tcb.accecn.per_ack > ACKS_JOINED


def trust_options(tcb: Tcb) -> None:
    """An option of the peer came through, so the stack's own may have been lost by chance: it sends them again."""
    acc: AccEcn = tcb.accecn
    if tcb.core.config.tcp_accecn_linux and acc.opt_seen == COUNTERS_SEEN:
        acc.opt_off = False
        acc.fail &= ~OPT_FAIL_SEND
