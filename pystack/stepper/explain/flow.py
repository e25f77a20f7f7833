"""Explains why a sender waits, and why an acknowledgement does."""

from pystack.stepper.explain.base import Explanation, Look, ms, number, when
from pystack.stepper.records import Entry

#: how the core's reason for a window update begins
UPDATE = "window update: "
#: how many window probes are counted, at most
PROBES = 64


def hold(look: Look) -> Explanation:
    """Explain by which rules the sender held data back: the first one in full, and the others with the core's words."""
    first, *others = str(look.entry.fields["by"]).split(", ")
    lost = look.entry.fields["data"] == "lost"
    found = _hold_of_lost(look, first) if lost else _HOLDS.get(first, _held)(look)
    reasons = look.entry.reason.split(", and ")
    if others and len(reasons) == len(others) + 1:
        text = f"Another condition held it back at the same time: {'; '.join(reasons[1:])}. The data leaves when the last condition is satisfied."
        found.sentences.append(text)
    return found


def _held(look: Look) -> Explanation:
    """Explain a hold by the core's own reason."""
    name = str(look.entry.fields["by"]).split(", ")[0]
    text = f"{look.host} holds {look.entry.fields['length']} bytes back: {look.entry.reason.split(', and ')[0]}"
    return Explanation(_MECHANISMS.get(name, "told"), f"{text} ({look.entry.rfc}).", _goes_on(look))


def _hold_of_lost(look: Look, name: str) -> Explanation:
    text = f"{look.host} cannot retransmit all lost data yet, and {look.entry.fields['length']} bytes wait: {look.entry.reason.split(', and ')[0]}"
    return Explanation(_MECHANISMS.get(name, "told"), f"{text} ({look.entry.rfc}).")


def _window_full(look: Look) -> Explanation:
    tcb = look.tcb
    return Explanation(
        "window",
        f"{look.host} stopped because the window of {look.peer()} is full: all {tcb['snd_wnd']} bytes that it offered are "
        f"outstanding, and {tcb['unsent']} more bytes wait (RFC 9293 3.8.6).",
        _goes_on(look),
    )


def _cwnd_full(look: Look) -> Explanation:
    tcb = look.tcb
    return Explanation(
        "congestion-window",
        f"{look.host} stopped because its congestion window is full: {tcb['in_flight']} of {tcb['cwnd']} bytes are in "
        f"flight, and {tcb['unsent']} more bytes wait. The network, not the receiver, is the limit (RFC 5681 3.1).",
        _goes_on(look),
    )


def _corked(look: Look) -> Explanation:
    text = f"TCP_CORK: the application announced more data, so {look.tcb['unsent']} bytes wait (Linux tcp(7))."
    return Explanation("cork", text, _goes_on(look))


def _silly(look: Look) -> Explanation:
    tcb = look.tcb
    usable = ((tcb["snd_una"] + tcb["snd_wnd"] - tcb["snd_nxt"]) + (1 << 31)) % (1 << 32) - (1 << 31)
    return Explanation(
        "silly-window",
        f"Silly window avoidance: the window has room for only {usable} bytes, and a full segment has {tcb['mss']} bytes (RFC 9293 3.8.6.2.1).",
        _goes_on(look),
    )


def _goes_on(look: Look) -> str:
    """Say when the next data was sent."""
    following = next_data(look)
    if following is None:
        return "It continues when an acknowledgement makes room."
    if following.time == look.entry.time:
        return f"It continued at once, with {number(look.frame(following))}."
    return f"It continued {ms(following.time - look.entry.time)} later with {number(look.frame(following))}."


def next_data(look: Look) -> "Entry | None":
    """Return the event at which the connection sent its next segment with new data."""
    at = look
    for _ in range(1000):
        entry = at.next("tcp.out")
        if entry is None or (entry.fields["length"] > 0 and "data" in entry.reason):
            return entry
        at = look.at(entry.index)
    return None


def zero_window(look: Look) -> Explanation:
    """Explain a sender that waits because the peer's window is closed."""
    tcb, peer = look.tcb, look.peer()
    other = look.timeline.tcb(look.index, look.peer_conn())
    full = f" its receive buffer holds {other['recvbuf']} bytes that its application has not read," if other else ""
    opened = _window_opens(look)
    until = ""
    if opened is not None:
        until = (
            f"The window opened {ms(opened.time - look.entry.time)} later ({number(look.frame(opened))}: {opened.fields['new']} "
            f"bytes), when {peer}'s application read data."
        )
    return Explanation(
        "zero-window",
        f"Zero window: {look.host} stopped because {peer} closed its window:{full} and it offers 0 bytes "
        f"(RFC 9293 3.8.6). {tcb['unsent']} bytes wait.",
        f"Until the window opens, {look.host} sends only window probes, at growing intervals. Without them, a lost window update would "
        "stop both sides for ever (RFC 9293 3.8.6.1).",
        until,
    )


def _window_opens(look: Look) -> "Entry | None":
    at = look
    for _ in range(200):
        entry = at.next("tcp.window")
        if entry is None or entry.fields["new"] > 0:
            return entry
        at = look.at(entry.index)
    return None


def nagle(look: Look) -> Explanation:
    """Explain a small segment that waits for the ACK of another one."""
    tcb, peer = look.tcb, look.peer()
    out = (tcb["snd_nxt"] - tcb["snd_una"]) & 0xFFFFFFFF
    sent = next_data(look)
    lines = [
        f"Nagle's algorithm: {tcb['unsent']} bytes are less than a full segment ({tcb['mss']} bytes), and {out} sent bytes are not "
        "acknowledged yet, so the data waits for that ACK (RFC 9293 3.7.4, RFC 896)."
    ]
    if sent is not None:
        if sent.time > look.entry.time:
            lines.append(f"It waited {ms(sent.time - look.entry.time)} and left in {number(look.frame(sent))}.")
        else:
            lines.append(
                f"It did not wait: the program wrote more at the same moment, and {number(look.frame(sent))} carries both."
            )
    delayed = look.next("tcp.ack", conn=look.peer_conn(), reach=400) if look.peer_conn() else None
    if delayed is not None and delayed.fields["action"] == "delayed" and sent is not None and delayed.time < sent.time:
        fired = look.at(delayed.index).next("timer.fired", host=delayed.host, reach=400)
        if fired is not None and fired.time <= sent.time and fired.fields.get("timer") == "delayed-ack":
            lines.append(
                f"Of these, {ms(fired.time - delayed.time)} are {peer}'s delayed ACK: it had no data to send, so it waited for a "
                "second segment until its delayed-ACK timer expired (RFC 9293 3.8.6.3). Each side waited for the other."
            )
    lines.append("TCP_NODELAY avoids the wait, and so does one write instead of two.")
    return Explanation("nagle", *lines)


def acknowledge(look: Look) -> Explanation:
    """Explain an acknowledgement that was delayed, or sent at once."""
    if look.entry.fields["action"] != "delayed":
        if look.entry.reason.startswith(UPDATE):
            return update(look)
        return Explanation("ack", f"{look.host} acknowledges at once, because {look.named()}{look.section()}.")
    due = look.tcb["timers"].get("delayed-ack")
    lines = [
        f"Delayed ACK: {look.host} has no data to send now, so it holds the acknowledgement back. Data may carry it soon, or one ACK "
        "may acknowledge two segments (RFC 9293 3.8.6.3)"
        + (f". After {ms(due - look.entry.time)} at most it is sent alone." if due else ".")
    ]
    sent = look.next("tcp.out", reach=2000)
    if sent is not None:
        waited = ms(sent.time - look.entry.time)
        fired = look.at(sent.index).cause()
        if fired is not None and fired.kind == "timer.fired" and fired.fields.get("timer") == "delayed-ack":
            lines.append(
                f"Neither happened, so the delayed-ACK timer expired and {number(look.frame(sent))} left after {waited}. The RFC allows "
                "up to 500 ms, and 40 ms is Linux's choice."
                if sent.time - look.entry.time == 40_000_000
                else f"Neither happened, so the delayed-ACK timer expired and {number(look.frame(sent))} left after {waited}."
            )
        elif sent.fields["length"]:
            began = f"After {waited}" if sent.time > look.entry.time else "At the same moment"
            lines.append(f"{began} there was data to send, and {number(look.frame(sent))} carried the ACK with it.")
        else:
            left = f"after {waited}" if sent.time > look.entry.time else "at the same moment"
            because = look.named(sent.reason).removeprefix(UPDATE)
            lines.append(f"It left {left} in {number(look.frame(sent))}, because {because}.")
    return Explanation("delayed-ack", *lines)


def update(look: Look) -> Explanation:
    """Explain an acknowledgement that only says that the window is larger."""
    return Explanation(
        "window-update",
        f"Window update: {look.named(look.entry.reason.removeprefix(UPDATE))}. {look.host} says so at once, so that {look.peer()} can send again{look.section()}.",
    )


def late_ack(look: Look) -> Explanation:
    """Explain a pure ACK that was sent because its timer expired."""
    delayed = look.last("tcp.ack")
    waited = f"{look.ago(delayed)} after the segment that it acknowledges" if delayed is not None else "late"
    return Explanation(
        "delayed-ack",
        f"Delayed ACK: it left {waited}, when the delayed-ACK timer expired. {look.host} had no data that could carry it, and no "
        "second segment arrived that would have forced it (RFC 9293 3.8.6.3 allows less than 500 ms).",
    )


def probe(look: Look) -> Explanation:
    """Explain a zero-window probe or a keep-alive."""
    tcb = look.tcb
    if "keep-alive" in look.entry.reason:
        return keep_alive(look)
    return Explanation(
        "zero-window",
        f"Window probe {_probes(look)}: {look.peer()} closed its window ({tcb['snd_wnd']} bytes), and {tcb['unsent']} bytes wait. The "
        f"persist timer sends a probe, so that a lost window update does not stop the connection for ever (RFC 9293 3.8.6.1). Its "
        f"sequence number is acknowledged already, so {look.peer()} must discard it and answer with an ACK, which says how large the "
        "window is.",
    )


def _probes(look: Look) -> int:
    """Return which probe this is since the window closed. The core counts only those since the last answer."""
    count, place = 1, look
    while count < PROBES:
        before = place.last("tcp.probe", "tcp.window")
        if before is None or before.kind != "tcp.probe":
            break
        count, place = count + 1, look.at(before.index)
    return count


def keep_alive(look: Look) -> Explanation:
    """Explain a keep-alive probe: how long nothing arrived, and what follows if no answer does."""
    count = look.entry.fields["count"]
    heard = look.last("tcp.in")
    silent = look.ago(heard) if heard is not None else "a long time"
    text = (
        f"Keep-alive: nothing arrived for {silent}, so {look.host} sends keep-alive probe {count}, to find out whether {look.peer()} is still there. The "
        "segment has a sequence number that is acknowledged already, so it must be answered with an ACK (RFC 9293 3.8.4)."
    )
    answer = look.next("tcp.in")
    nxt = look.next("tcp.probe")
    end = look.next("tcp.state")
    if answer is not None and (nxt is None or answer.index < nxt.index):
        then = f"The answer arrived {ms(answer.time - look.entry.time)} later, so the connection lives, and the silence begins anew."
    elif nxt is not None:
        then = f"No answer arrived, so the next probe follows after {ms(nxt.time - look.entry.time)}."
    elif end is not None and end.fields["new"] == "CLOSED":
        then = f"No answer arrived. After {ms(end.time - look.entry.time)} more, {look.host} gives up, and the program gets ETIMEDOUT."
    else:
        then = ""
    return Explanation("keep-alive", text, then)


def pacing(look: Look) -> Explanation:
    """Explain a segment that waits for the pace."""
    return Explanation(
        "pacing",
        f"Pacing: {look.host} spreads the segments over time instead of sending a whole window at once, which would fill queues. "
        f"{look.entry.fields['length']} bytes wait: {look.entry.reason.split(', and ')[0]} ({look.entry.rfc}).",
        f"The rate is what the congestion control measured or the socket set. cwnd would admit more: {look.tcb['in_flight']} of "
        f"{look.tcb['cwnd']} bytes are in flight (RFC 5681 3.1).",
        _goes_on(look),
    )


def window(look: Look) -> Explanation:
    """Explain a change of the peer's window."""
    old, new = look.entry.fields["old"], look.entry.fields["new"]
    if "SYN announces" in look.entry.reason:
        text = f"The SYN of {look.peer()} says how much {look.host} may send before an acknowledgement: {new} bytes. The window in a SYN is never scaled (RFC 7323 2.2)."
        return Explanation("window", text)
    if new == 0:
        text = f"{look.peer()} closed its window, because its application reads more slowly than data arrives (RFC 9293 3.8.6)."
        return Explanation("zero-window", text)
    if old == 0:
        text = f"{look.peer()} opened its window again, to {new} bytes, because its application has read data (RFC 9293 3.8.6.2.2)."
        return Explanation("window-update", text)
    return Explanation(
        "window", f"{look.peer()}'s window is {new} bytes now; it was {old} bytes before (RFC 9293 3.10.7.4)."
    )


def data(look: Look) -> Explanation:
    """Explain why new data was sent, and, if it was held back before, why."""
    fields, tcb = look.entry.fields, look.tcb
    start = look.seq(fields["seq"])
    text = (
        f"{look.host} sends bytes {start}:{start + fields['length']}: they fit into {look.peer()}'s window ({tcb['snd_wnd']} bytes) "
        f"and the congestion window ({tcb['in_flight']} of {tcb['cwnd']} bytes in flight) (RFC 9293 3.8, RFC 5681 3.1)."
    )
    held = look.last("tcp.hold", "tcp.out")
    if held is not None and held.kind == "tcp.hold" and held.time < look.entry.time:
        earlier = hold(look.at(held.index))
        waited = f"The data had waited {look.ago(held)}, since {when(look.timeline, held.time)}. {earlier.sentences[0]}"
        return Explanation(earlier.mechanism, text, waited, *earlier.sentences[2:3])
    first = ""
    if not tcb["bytes_acked"] and tcb["in_flight"] > 0:
        first = (
            f"No data is acknowledged yet, and none needs to be. A connection begins with a congestion window of "
            f"{tcb['cwnd'] // tcb['mss']} segments, so {look.host} may send that many at once (RFC 6928 2)."
        )
    return Explanation("data", text, first)


#: name of the first condition in tcp.hold -> its explanation
_HOLDS = {
    "window": _window_full, "zero-window": zero_window, "cwnd": _cwnd_full, "cork": _corked, "silly-window": _silly, "nagle": nagle,
    "pacing": pacing,
}  # fmt: skip
#: name of a condition in tcp.hold -> mechanism
_MECHANISMS = {
    "window": "window", "zero-window": "zero-window", "cwnd": "congestion-window", "cork": "cork", "silly-window": "silly-window",
    "nagle": "nagle", "pacing": "pacing", "group": "congestion-window", "mtu-probe": "pmtud", "route": "told",
}  # fmt: skip
