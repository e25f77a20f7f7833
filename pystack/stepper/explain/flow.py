"""Why a sender waits, and why an acknowledgement does."""

from pystack.stepper.explain.base import Explanation, Look, ms, number, when
from pystack.stepper.records import Entry


def hold(look: Look) -> Explanation:
    """There was data, and the sender held it back: by which rule, from the state itself."""
    tcb = look.tcb
    usable = ((tcb["snd_una"] + tcb["snd_wnd"] - tcb["snd_nxt"]) + (1 << 31)) % (1 << 32) - (1 << 31)
    room = tcb["cwnd"] - tcb["in_flight"]
    unsent, mss = tcb["unsent"], tcb["mss"]
    if tcb["snd_wnd"] == 0:
        return zero_window(look)
    if usable <= 0:
        return Explanation(
            "window",
            f"{look.host} stopped because the window of {look.peer()} is full: all {tcb['snd_wnd']} bytes that it offered are out "
            f"and not acknowledged; {unsent} bytes wait (RFC 9293 3.8.6).",
            _goes_on(look),
        )
    if room <= 0 or (room < mss and room < unsent):
        return Explanation(
            "congestion-window",
            f"{look.host} stopped because its congestion window is full: {tcb['in_flight']} of {tcb['cwnd']} bytes are in "
            f"flight, and {unsent} wait. The network, not the receiver, is the limit (RFC 5681 3.1).",
            _goes_on(look),
        )
    if tcb["cork"]:
        return Explanation(
            "cork", f"TCP_CORK: the application said that more is to come, so {unsent} bytes wait (Linux tcp(7))."
        )
    if unsent <= usable and unsent < mss and not tcb["nodelay"]:
        return nagle(look)
    return Explanation(
        "silly-window",
        f"Silly window avoidance: {usable} bytes of window are too few to be worth a segment of {mss} bytes (RFC 9293 3.8.6.2.1).",
        _goes_on(look),
    )


def _goes_on(look: Look) -> str:
    """When the next data went out."""
    following = next_data(look)
    if following is None:
        return "It goes on with the next acknowledgement that makes room."
    return f"It went on {ms(following.time - look.entry.time)} later, with {number(look.frame(following))}."


def next_data(look: Look) -> "Entry | None":
    """The next segment with new data of the connection."""
    at = look
    for _ in range(1000):
        entry = at.next("tcp.out")
        if entry is None or (entry.fields["length"] > 0 and "data" in entry.reason):
            return entry
        at = look.at(entry.index)
    return None


def zero_window(look: Look) -> Explanation:
    """The peer's window is closed."""
    tcb, peer = look.tcb, look.peer()
    other = look.timeline.tcb(look.index, look.peer_conn())
    full = f" its receive buffer holds {other['recvbuf']} bytes that its application has not read," if other else ""
    opened = _window_opens(look)
    until = ""
    if opened is not None:
        until = (
            f"The window opened {ms(opened.time - look.entry.time)} later ({number(look.frame(opened))}: {opened.fields['new']} "
            f"bytes), when {peer}'s application read."
        )
    return Explanation(
        "zero-window",
        f"Zero window: {look.host} stopped because {peer} closed its window:{full} and it offers 0 bytes "
        f"(RFC 9293 3.8.6). {tcb['unsent']} bytes wait.",
        "Until the window opens, only window probes go out, less and less often, because a window update that got lost would "
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
    """A small segment waits for the ACK of another one."""
    tcb, peer = look.tcb, look.peer()
    out = (tcb["snd_nxt"] - tcb["snd_una"]) & 0xFFFFFFFF
    sent = next_data(look)
    lines = [
        f"Nagle's algorithm: {tcb['unsent']} bytes are less than a segment ({tcb['mss']}), and {out} bytes are not acknowledged "
        "yet, so they wait for that ACK (RFC 9293 3.7.4, RFC 896)."
    ]
    if sent is not None:
        lines.append(f"They waited {ms(sent.time - look.entry.time)}, until {number(look.frame(sent))}.")
    delayed = look.next("tcp.ack", conn=look.peer_conn(), reach=400) if look.peer_conn() else None
    if delayed is not None and delayed.fields["action"] == "delayed" and sent is not None and delayed.time < sent.time:
        fired = look.at(delayed.index).next("timer.fired", host=delayed.host, reach=400)
        if fired is not None and fired.time <= sent.time and fired.fields.get("timer") == "delayed-ack":
            lines.append(
                f"Of these, {ms(fired.time - delayed.time)} are {peer}'s delayed ACK: it had nothing to send, and waited for a "
                "second segment, to acknowledge both at once, until its timer was due (RFC 9293 3.8.6.3). Each side waits "
                "for the other."
            )
    lines.append("TCP_NODELAY, or one write instead of two, avoids it.")
    return Explanation("nagle", *lines)


def acknowledge(look: Look) -> Explanation:
    """An acknowledgement was delayed, or forced."""
    if look.entry.fields["action"] != "delayed":
        return Explanation("ack", f"{look.host} acknowledges at once: {look.entry.text()}.")
    due = look.tcb["timers"].get("delayed-ack")
    lines = [
        f"Delayed ACK: {look.host} has nothing to send now, so it holds the acknowledgement back, to let it ride on data or to "
        "acknowledge two segments with one ACK (RFC 9293 3.8.6.3)"
        + (f"; after {ms(due - look.entry.time)} at most it goes out alone." if due else ".")
    ]
    sent = look.next("tcp.out", reach=2000)
    if sent is not None:
        waited = ms(sent.time - look.entry.time)
        fired = look.at(sent.index).cause()
        if fired is not None and fired.kind == "timer.fired" and fired.fields.get("timer") == "delayed-ack":
            lines.append(
                f"Nothing came: the delayed-ACK timer was due, and {number(look.frame(sent))} left after {waited}. (The RFC allows "
                "up to 500 ms; 40 ms are Linux's choice.)"
                if sent.time - look.entry.time == 40_000_000
                else f"Nothing came: the delayed-ACK timer was due, and {number(look.frame(sent))} left after {waited}."
            )
        elif sent.fields["length"]:
            lines.append(f"After {waited} there was data to send: the ACK went with it, in {number(look.frame(sent))}.")
        else:
            lines.append(f"It went out after {waited}, in {number(look.frame(sent))}: {sent.reason}.")
    return Explanation("delayed-ack", *lines)


def late_ack(look: Look) -> Explanation:
    """A pure ACK that went out because its timer was due."""
    delayed = look.last("tcp.ack")
    waited = f"{look.ago(delayed)} after the segment that it acknowledges" if delayed is not None else "late"
    return Explanation(
        "delayed-ack",
        f"Delayed ACK: it went out {waited}, when the delayed-ACK timer was due. {look.host} had no data for it to ride on, and no "
        "second segment came that would have forced it (RFC 9293 3.8.6.3: below 500 ms).",
    )


def probe(look: Look) -> Explanation:
    """A zero-window probe or a keep-alive."""
    tcb = look.tcb
    if "keep-alive" in look.entry.reason:
        return Explanation(
            "keep-alive", f"Keep-alive: nothing was heard for long, so {look.host} asks ({look.entry.text()})."
        )
    return Explanation(
        "zero-window",
        f"Window probe {tcb['probes']}: {look.peer()} closed its window ({tcb['snd_wnd']} bytes) and {tcb['unsent']} bytes wait. The "
        f"persist timer asks again, so that a lost window update does not stop the connection for ever (RFC 9293 3.8.6.1).",
    )


def window(look: Look) -> Explanation:
    """The peer's window changed."""
    old, new = look.entry.fields["old"], look.entry.fields["new"]
    if new == 0:
        text = f"{look.peer()} closed its window: its application does not read as fast as data comes (RFC 9293 3.8.6)."
        return Explanation("zero-window", text)
    if old == 0:
        text = f"{look.peer()} opened its window again, to {new} bytes: its application has read (RFC 9293 3.8.6.2.2)."
        return Explanation("window-update", text)
    return Explanation("window", f"{look.peer()} takes {new} bytes now, {old} before (RFC 9293 3.10.7.4).")


def data(look: Look) -> Explanation:
    """New data went out; where it had been held back before, why."""
    fields, tcb = look.entry.fields, look.tcb
    start = look.seq(fields["seq"])
    text = (
        f"{look.host} sends bytes {start}:{start + fields['length']}: they fit into {look.peer()}'s window ({tcb['snd_wnd']} bytes) "
        f"and the congestion window ({tcb['in_flight']} of {tcb['cwnd']} bytes in flight) (RFC 9293 3.8, RFC 5681 3.1)."
    )
    held = look.last("tcp.hold", "tcp.out")
    if held is not None and held.kind == "tcp.hold" and held.time < look.entry.time:
        earlier = hold(look.at(held.index))
        waited = f"It had waited {look.ago(held)}, since {when(look.timeline, held.time)}. {earlier.sentences[0]}"
        return Explanation(earlier.mechanism, text, waited, *earlier.sentences[2:3])
    first = ""
    if not tcb["bytes_acked"] and tcb["in_flight"] > 0:
        first = (
            f"Nothing of it is acknowledged yet, and nothing needs to be: a connection begins with a congestion window of "
            f"{tcb['cwnd'] // tcb['mss']} segments, so {look.host} may send so many at once (RFC 6928 2)."
        )
    return Explanation("data", text, first)
