"""Report why data waits, with all conditions that hold it back at the same time (the tcp.hold event).

Call these functions only if the stack has a probe. The data leaves when the last of its conditions is satisfied.
"""

from pystack_c.tcp.congestion import rate
from pystack_c.tcp.nagle import corked, nagle_holds
from pystack_c.tcp.tcb import Tcb


def new_data(tcb: Tcb, mss: int, unsent: int, usable: int, room: int) -> None:
    """Report that `unsent` bytes wait: the peer's window admits `usable` bytes and cwnd `room` bytes, and a segment has `mss`."""
    found: list[tuple[str, str, str]] = []
    rest = unsent if tcb.chunks is None else tcb.chunks.rest(tcb, tcb.sendbuf.tail - unsent)
    half = usable * 2 >= tcb.max_window
    if usable <= 0:
        name = "zero-window" if tcb.snd_wnd == 0 else "window"
        found.append((name, "the peer's window is full", "RFC 9293 3.8.6"))
    if room < mss and room < unsent:
        why = f"the congestion window is full: {tcb.in_flight()} of {tcb.cwnd} bytes are in flight"
        found.append(("cwnd", why, "RFC 5681 3.1"))
    if rest < mss and corked(tcb):
        why = "the socket is corked, because the application announced more data"
        found.append(("cork", why, "Linux tcp(7) TCP_CORK"))
    if tcb.core.config.tcp_sws and 0 < usable < mss and usable < rest and not half:
        why = "silly window avoidance holds the data, because the usable window is too small"
        found.append(("silly-window", why, "RFC 9293 3.8.6.2.1"))
    if tcb.snd_nxt != tcb.snd_una and nagle_holds(tcb) and (rest < mss or (0 < usable < mss and half)):
        why = "Nagle's algorithm holds a small segment while data is unacknowledged"
        found.append(("nagle", why, "RFC 9293 3.7.4"))
    if paced(tcb):
        found.append(pacing(tcb, "the segment"))
    if not found:
        why = "silly window avoidance holds the data, because a full segment does not fit"
        found.append(("silly-window", why, "RFC 9293 3.8.6.2.1"))
    report(tcb, "new", unsent, found)


def one(tcb: Tcb, name: str, why: str, rfc: str, unsent: int) -> None:
    """Report that `unsent` bytes of new data wait for one condition."""
    report(tcb, "new", unsent, [(name, why, rfc)])


def waits_for_pace(tcb: Tcb, unsent: int) -> None:
    """Report that only pacing holds back `unsent` bytes of new data."""
    report(tcb, "new", unsent, [pacing(tcb, "the segment")])


def lost_data(tcb: Tcb, full: bool) -> None:
    """Report that lost data waits for its retransmission. `full` is true if cwnd has no room for it."""
    found: list[tuple[str, str, str]] = []
    if full:
        why = f"cwnd has no room for lost data: {tcb.in_flight()} of {tcb.cwnd} bytes are in flight"
        found.append(("cwnd", why, "RFC 5681 3.1"))
    if paced(tcb) or not full:
        found.append(pacing(tcb, "lost data"))
    report(tcb, "lost", tcb.rtxq.lost_out, found)


def paced(tcb: Tcb) -> bool:
    """Return True if pacing does not allow a segment now."""
    return rate.pacing_limit(tcb) > 0 and tcb.pace_at > tcb.core.now


def pacing(tcb: Tcb, what: str) -> tuple[str, str, str]:
    """Return the condition of pacing: its name, why, and the RFC."""
    wait = (tcb.pace_at - tcb.core.now) / 1e6
    why = f"pacing allows {what} only in {wait:g} ms, at {rate.pacing_limit(tcb)} bytes per second"
    return "pacing", why, "draft-ietf-ccwg-bbr 5.6.2"


def report(tcb: Tcb, data: str, length: int, found: list[tuple[str, str, str]]) -> None:
    """Emit the event. The first condition gives the RFC, and `by` names all of them."""
    by = why = ""
    for name, text, _ in found:
        by = f"{by}, {name}" if by else name
        why = f"{why}, and {text}" if why else text
    fields = {"length": length, "by": by, "data": data}
    tcb.core.emit("tcp.hold", tcb.subject(), tcb.ident, why, found[0][2], fields)
