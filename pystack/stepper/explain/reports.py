"""Explains what a receiver and the network report to a sender: holes (SACK), data that arrived too early, congestion marks."""

from pystack.stepper.explain.base import Explanation, Look, ms, number
from pystack.stepper.records import Entry


def sack(look: Look) -> Explanation:
    """Explain SACK blocks that changed the scoreboard."""
    tcb, peer = look.tcb, look.peer()
    blocks = [f"{look.seq(begin)}:{look.seq(end)}" for begin, end in look.entry.fields["blocks"][:4]]
    listed = blocks[0] if len(blocks) == 1 else f"{', '.join(blocks[:-1])} and {blocks[-1]}"
    return Explanation(
        "sack",
        f"Selective acknowledgement: {look.frame_text()} acknowledges everything before byte {look.seq(tcb['snd_una'])}, and its SACK "
        f"option says that {peer} also has the bytes {listed} (RFC 2018 4).",
        f"{peer} has {tcb['sacked']} bytes beyond the first hole in all. {look.host} need not send these again. The bytes between the blocks "
        "are missing, so it knows all holes at once, and can fill them in one round trip (RFC 6675 5).",
    )


def early(look: Look) -> Explanation:
    """Explain data that arrived before the bytes in front of it."""
    fields, peer = look.entry.fields, look.peer()
    filled = _filled(look)
    until = ""
    if filled is not None:
        until = (
            f"After {ms(filled.time - look.entry.time)}, {number(look.frame(filled))} filled the gap, and the program could read "
            f"{filled.fields['length']} bytes at once."
        )
    return Explanation(
        "head-of-line",
        f"Head-of-line blocking: {fields['length']} bytes arrived, but bytes before them are missing. TCP delivers bytes only in order, so "
        f"{look.host} keeps them in its buffer, and the program cannot read them yet (RFC 9293 3.10.7.4).",
        until,
        f"{look.host} answers at once with an ACK for the bytes before the gap, so that {peer} notices the loss (RFC 5681 4.2).",
    )


def _filled(look: Look) -> "Entry | None":
    """Return the event at which the data became readable."""
    end = (look.entry.fields["seq"] + look.entry.fields["length"]) & 0xFFFFFFFF
    at = look
    for _ in range(200):
        entry = at.next("tcp.data")
        if entry is None:
            return None
        passed = (entry.fields["seq"] + entry.fields["length"] - end) & 0xFFFFFFFF
        if passed < 0x80000000:
            return entry
        at = look.at(entry.index)
    return None


def ecn(look: Look) -> Explanation:
    """Explain a step of explicit congestion notification."""
    action, host, peer = look.entry.fields["action"], look.host, look.peer()
    if action == "react":
        cut = look.next("tcp.cwnd", reach=60)
        size = ""
        if cut is not None and cut.time == look.entry.time and cut.fields["new"] < cut.fields["old"]:
            size = f"cwnd falls from {cut.fields['old']} to {cut.fields['new']} bytes."
        return Explanation(
            "ecn",
            f"Explicit congestion notification: an ACK of {peer} carries the echo of a congestion mark (ECE), so {host} reduces its "
            f"congestion window as if a segment had been lost, at most once in each round trip ({look.entry.rfc}). No segment is "
            "missing, so nothing is retransmitted.",
            size,
        )
    if action == "echo":
        return Explanation(
            "ecn",
            f"A router on the path marked the packet (CE in the IP header), because its queue was long, and did not drop it. {host} "
            f"reports the mark in its ACKs: {look.named()}{look.section()}.",
        )
    return Explanation("ecn", f"ECN on {host} ({action}): {look.named()}{look.section()}.")
