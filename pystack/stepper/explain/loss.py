"""Explains why a segment was retransmitted, or marked lost."""

from pystack.stepper.explain import fates
from pystack.stepper.explain.base import Explanation, Look, ms, number

#: ssthresh before the first loss
INFINITE = 1 << 30


def retransmit(look: Look) -> Explanation:
    """Explain why a segment was chosen for retransmission, or was retransmitted."""
    tcb = look.tcb
    if tcb.get("state") in ("SYN-SENT", "SYN-RECEIVED"):
        return syn_timeout(look)
    cause = look.cause()
    if cause is not None and cause.kind == "timer.fired" and cause.fields.get("timer") == "loss-probe":
        return tail_loss_probe(look)
    if tcb.get("ca_state") == "loss":
        entered = look.last("tcp.recovery")
        while entered is not None and entered.fields.get("phase") != "loss":
            entered = look.at(entered.index).last("tcp.recovery")
        if entered is not None and entered.rfc.startswith("RFC 1191"):
            return too_large(look)
        return timeout(look)
    if tcb.get("ca_state") == "recovery":
        return fast(look)
    return Explanation("retransmission", f"{look.host} retransmitted it, because {look.named()}{look.section()}.")


def what(look: Look) -> str:
    """Name the segment, the frame that first carried it, and what happened to that frame."""
    fields = look.entry.fields
    first = look.first_sent(fields["seq"])
    start = look.seq(fields["seq"])
    text = f"bytes {start}:{start + fields['length']}"
    out = look.next("tcp.out", reach=5)
    if out is not None and out.fields["seq"] == fields["seq"] and not out.fields["length"] and out.fields["flags"] & 1:
        text = "the FIN"
    frame = look.frame(first) if first is not None else None
    if first is None or frame is None:
        return text
    return f"{text}, first sent in frame {frame.number} ({look.ago(first)} before), which {fates.fate(look.timeline, frame)}"


def fast(look: Look) -> Explanation:
    """Explain a fast retransmission: by RACK, by SACK, or by duplicate ACKs."""
    tcb, peer = look.tcb, look.peer()
    cause = look.cause()
    if cause is None or cause.frame < 0:
        # A timer marked the segment lost, by what an earlier frame had reported.
        cause = look.last("tcp.sack", "tcp.in")
    told = f"frame {look.timeline.frames[cause.frame].number}" if cause is not None and cause.frame >= 0 else "an ACK"
    head = f"Fast retransmit: {what(look)}."
    if "RACK" in look.entry.reason:
        how = rack(look, told)
    elif tcb["sack_ok"]:
        how = (
            f"Data that was sent later has arrived: {told} brought the last of {tcb['dupacks']} duplicate ACKs, and {peer}'s SACK "
            f"blocks name {tcb['sacked']} bytes above the hole. That is enough to consider the hole lost (RFC 6675 4 and 5)."
        )
    else:
        how = (
            f"{told} brought duplicate ACK number {tcb['dupacks']}: each one means that a segment after the hole has arrived, "
            "and three of them count as a loss (RFC 5681 3.2, RFC 6582)."
        )
    due = tcb["timers"].get("retransmission")
    wait = f" The retransmission timer would have expired only {ms(due - look.entry.time)} later." if due else ""
    return Explanation("fast-retransmit", head, how + wait, reduced(look))


def rack(look: Look, told: str) -> str:
    """Say how RACK found the loss: after a reordering window, or without one."""
    tcb, cause = look.tcb, look.cause()
    brought = f"{told} said so"
    if tcb["dupacks"]:
        many = f"the last of {tcb['dupacks']} duplicate ACKs" if tcb["dupacks"] > 1 else "a duplicate ACK"
        brought = f"{told} brought {many}"
    text = f"Data that was sent later has arrived: {brought}, with {tcb['sacked']} bytes in {look.peer()}'s SACK blocks. RACK considers a segment lost if a segment that was sent later was delivered"
    marked = look.last("tcp.lost")
    if marked is not None and "never seen to reorder" in marked.reason:
        if tcb["sacked"] >= 3 * tcb["mss"]:
            enough = "three segments were SACKed"
        else:
            enough = "recovery has already begun"
        return (
            text
            + f". It does not wait for a late arrival here, because {enough} and this path was never seen to reorder "
            "(RFC 8985 6.2)."
        )
    until = ": the reordering timer expired" if cause is not None and cause.kind == "timer.fired" else ""
    return (
        text + " and the reordering window (a quarter of the shortest "
        f"round trip, which is {ms(tcb['min_rtt'])}) has passed{until} (RFC 8985 6.2)."
    )


def reduced(look: Look) -> str:
    """Say how the loss changed the congestion window, if it just did."""
    cut = look.last("tcp.cwnd")
    grew = None
    while cut is not None and cut.fields["new"] >= cut.fields["old"]:
        grew, cut = cut, look.at(cut.index).last("tcp.cwnd")
    if cut is None or look.entry.time - cut.time > look.tcb["srtt"] * 2:
        return ""
    if cut.fields["ssthresh"] >= cut.fields["old"]:
        if not cut.rfc.startswith("RFC 9937"):
            return ""
        return (
            f"cwnd was {cut.fields['old']} bytes and is {look.tcb['cwnd']} bytes during the recovery (RFC 9937 6.2). The congestion control does not take the loss for "
            "congestion, so ssthresh does not fall."
        )
    slowly = f" Until cwnd is that small, {look.host} sends in proportion to the delivered data (RFC 9937 6.2)."
    return (
        f"The loss counts as congestion: cwnd was {cut.fields['old']} bytes and falls to ssthresh, which is "
        f"{cut.fields['ssthresh']} bytes now (RFC 5681 3.2)."
    ) + (slowly if grew is not None and "proportion" in grew.reason else "")


def timeout(look: Look) -> Explanation:
    """Explain a retransmission after a timeout, or of a segment that an earlier timeout marked lost."""
    tcb = look.tcb
    cause = look.cause()
    fired = cause if cause is not None and cause.kind == "timer.fired" else look.last("timer.fired", host=look.host)
    head = f"Retransmission timeout: {what(look)}."
    srtt, rttvar, rto = tcb["srtt"], tcb["rttvar"], tcb["rto"]
    if cause is not None and cause.kind == "timer.fired":
        tries = tcb["retries"]
        backed = look.last("tcp.rto")
        waited = backed.fields["old"] if backed is not None else rto
        how = (
            f"No acknowledgement of it arrived within {ms(waited)}, and no later data was acknowledged either, so only the timer "
            f"could detect the loss. The RTO is {ms(rto)}: SRTT {ms(srtt)} and {variation(rto - srtt, 4 * rttvar)}"
            + (
                "; it has doubled once"
                if tries == 2
                else f"; it has doubled with each of {tries - 1} earlier tries"
                if tries > 2
                else ""
            )
            + "."
        )
    else:
        how = (
            "All segments that were outstanding when the timer expired count as lost. An ACK arrived, so cwnd has room again for the "
            "next of them (RFC 5681 3.1, RFC 6298 5.4)."
        )
    after = ""
    first = look.first_sent(look.entry.fields["seq"])
    if first is not None and look.entry.fields["length"] == tcb["mss"] < first.fields["length"]:
        how += (
            f" The segment is shorter than the one that was lost: {look.host} suspects that the path swallows large packets, so its segments carry "
            f"{tcb['mss']} bytes now (RFC 4821 7.7)."
        )
    if fired is not None:
        after = (
            f"cwnd began again at one segment ({tcb['mss']} bytes; it is {tcb['cwnd']} now), and ssthresh is {tcb['ssthresh']} "
            "(RFC 5681 3.1)"
        )
        due = tcb["timers"].get("retransmission")
        if due and due > look.entry.time and tcb["backoff"]:
            after += f"; the next timeout is {ms(due - look.entry.time)} away, which is twice as long (RFC 6298 5.5)"
        after += "."
    return Explanation("rto", head, how, after)


def variation(added: int, four: int) -> str:
    """Say how far RTO is above SRTT, and why."""
    if added <= four:
        return f"4 RTTVAR, {ms(four)}, for its variation (RFC 6298 2.3)"
    return (
        f"{ms(added)} for its variation: 4 RTTVAR would be {ms(four)} (RFC 6298 2.3), but an ACK may be delayed, so Linux sets this floor "
        "(RFC 6298 2.4 asks for a whole second)"
    )


def syn_timeout(look: Look) -> Explanation:
    """Explain the retransmission of a SYN or SYN-ACK that was not answered."""
    tcb = look.tcb
    which = "SYN" if tcb["state"] == "SYN-SENT" else "SYN-ACK"
    cause = look.cause()
    if cause is not None and cause.kind == "frame.in":
        return Explanation(
            "syn-again",
            f"The {which} is retransmitted, although no timer expired: {look.named()} ({look.entry.rfc}). That SYN is frame "
            f"{look.timeline.frames[cause.frame].number}: {look.peer()} retransmits it until it gets an answer.",
        )
    backed = look.last("tcp.rto")
    waited = backed.fields["old"] if backed is not None else tcb["rto"]
    return Explanation(
        "syn-timeout",
        f"Retransmission timeout of the {which}: no answer arrived within {ms(waited)}. No round trip has been measured "
        f"yet, so the first timeout is the initial RTO of {ms(tcb['rto'])} (RFC 6298 2.1).",
        f"This is try {tcb['retries'] + 1}, and the timeout doubles with each retransmission (RFC 6298 5.5).",
    )


def tail_loss_probe(look: Look) -> Explanation:
    """Explain a tail loss probe: its timer expired before the retransmission timer."""
    tcb = look.tcb
    return Explanation(
        "tail-loss-probe",
        f"Tail loss probe: {what(look)}. No acknowledgement arrived for two round trips (SRTT {ms(tcb['srtt'])}), and no data "
        "follows the last segment that could reveal its loss, so it is retransmitted to get an ACK (RFC 8985 7.2).",
        "If it was lost, the SACK blocks of the ACK show which data is missing, which avoids the long wait for the RTO.",
    )


def too_large(look: Look) -> Explanation:
    """Explain a retransmission in smaller segments after path MTU discovery."""
    tcb = look.tcb
    icmp = look.last("icmp.in", host=look.host)
    told = number(look.frame(icmp)) if icmp is not None else "an ICMP message"
    return Explanation(
        "pmtud",
        f"Path MTU discovery: {what(look)}. A router could not forward it, because it was larger than the MTU of the next link and "
        f"must not be fragmented (DF). The router reported this in {told} (RFC 1191 4).",
        f"The data is retransmitted at once in segments of {tcb['mss']} bytes. This is not congestion, so cwnd stays at "
        f"{tcb['cwnd']} bytes (RFC 1191 6.4).",
    )


def lost(look: Look) -> Explanation:
    """Explain why a segment was marked lost."""
    fields = look.entry.fields
    start = look.seq(fields["seq"])
    text = f"{look.host} considers bytes {start}:{start + fields['length']} lost: {look.named()}{look.section()}."
    return Explanation("loss", text, f"They will be retransmitted as soon as cwnd ({look.tcb['cwnd']} bytes) has room.")


def cwnd(look: Look) -> Explanation:
    """Explain a change of the congestion window."""
    fields, reason = look.entry.fields, look.entry.reason
    old, new = fields["old"], fields["new"]
    if not old:
        text = f"The congestion window begins with {new} bytes, which {look.host} may send before the first acknowledgement: {reason}"
        return Explanation("cwnd", f"{text}{look.section()}.")
    if new > old:
        mechanism = "slow-start" if "slow start" in reason else "congestion-avoidance"
        rule = (
            "below ssthresh each acknowledged byte adds one byte, so the window doubles in each round trip"
            if mechanism == "slow-start"
            else "above ssthresh it grows by about one segment in each round trip"
        )
        if "slow start" not in reason and "avoidance" not in reason:
            return Explanation(
                "cwnd", f"The congestion window grew from {old} to {new} bytes: {reason} ({look.entry.rfc})."
            )
        return Explanation(mechanism, f"The congestion window grew from {old} to {new} bytes: {rule} (RFC 5681 3.1).")
    mechanism = "loss-window" if "timer" in reason else "cwnd"
    limit = f", and ssthresh is {fields['ssthresh']}" if fields["ssthresh"] < INFINITE else ""
    text = f"The congestion window fell from {old} to {new} bytes{limit}: {reason} ({look.entry.rfc})."
    return Explanation(mechanism, text)
