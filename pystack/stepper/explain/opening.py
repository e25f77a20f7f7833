"""Explains why a connection changes its state."""

from pystack.stepper.explain.base import Explanation, Look, ms, number

SYN, FIN, RST, ACK, ECE, CWR = 2, 1, 4, 16, 0x40, 0x80


def state(look: Look) -> Explanation:
    """Explain a change of state, which is an edge of RFC 9293's figure 5."""
    old, new = look.entry.fields["old"], look.entry.fields["new"]
    chosen = {
        ("SYN-SENT", "SYN-RECEIVED"): simultaneous,
        ("CLOSED", "SYN-SENT"): active_open,
        ("SYN-SENT", "ESTABLISHED"): established,
        ("SYN-RECEIVED", "ESTABLISHED"): established,
    }.get((old, new))
    if chosen is not None:
        return chosen(look)
    if new == "TIME-WAIT":
        return time_wait(look)
    if new == "CLOSED":
        return closed(look, old)
    if old == "LISTEN" and new == "SYN-RECEIVED":
        return passive_open(look)
    mechanism = "close" if "FIN" in new or new in ("CLOSE-WAIT", "CLOSING", "LAST-ACK") else "handshake"
    return Explanation(mechanism, f"{look.host} goes from {old} to {new}: {look.named()}{look.section()}.")


def active_open(look: Look) -> Explanation:
    """Explain the SYN of an active open."""
    return Explanation(
        "handshake",
        f"The application of {look.host} connects. The SYN carries {look.host}'s initial sequence number "
        f"({look.tcb.get('iss')}), which is chosen so that segments of old connections do not fit (RFC 9293 3.4.1).",
    )


def passive_open(look: Look) -> Explanation:
    """Explain the connection that a listener makes for a SYN."""
    return Explanation(
        "handshake",
        f"A SYN arrived at a listener of {look.host}, so {look.host} makes a connection, which goes from LISTEN to SYN-RECEIVED{look.section()}. The "
        "listening socket itself stays in LISTEN, for further connections.",
        f"The connection is half-open: {look.host} answers with a SYN-ACK, and waits for the third segment.",
    )


def established(look: Look) -> Explanation:
    """Explain the end of the handshake on this side."""
    opened = look.last("tcp.out")
    while opened is not None and not opened.fields["flags"] & SYN:
        opened = look.at(opened.index).last("tcp.out")
    took = f" {look.ago(opened)} after it was sent" if opened is not None else ""
    step = "the SYN-ACK" if look.entry.fields["old"] == "SYN-SENT" else "the third segment"
    return Explanation(
        "handshake",
        f"Three-way handshake: {step} acknowledges {look.host}'s SYN{took}, so {look.host} is ESTABLISHED (RFC 9293 3.5).",
        *_what_each_says(look),
    )


def _what_each_says(look: Look) -> list[str]:
    """Say what the three segments mean, from the side of this host."""
    tcb, peer = look.tcb, look.peer()
    client = look.entry.fields["old"] == "SYN-SENT"
    opener, other = (look.host, peer) if client else (peer, look.host)
    first, second = (tcb.get("iss"), tcb.get("irs")) if client else (tcb.get("irs"), tcb.get("iss"))
    agreed = [
        word
        for word, said in (
            (f"segments of at most {tcb.get('peer_mss')} bytes to {peer}", True),
            ("SACK", tcb.get("sack_ok")),
            ("timestamps", tcb.get("ts_ok")),
            ("scaled windows", tcb.get("snd_wscale") or tcb.get("rcv_wscale")),
        )
        if said
    ]
    return [
        f"The SYN said that {opener}'s sequence numbers begin at {first}. The SYN-ACK acknowledged this and said that {other}'s begin at {second}. "
        f"The third segment acknowledged that. Each SYN must be acknowledged, but the second SYN carries one of the ACKs, so three segments suffice.",
        f"In their options the SYNs agreed on {' and '.join([', '.join(agreed[:-1]), agreed[-1]]) if agreed[1:] else agreed[0]} (RFC 9293 3.2, RFC 7323, RFC 2018).",
    ]


def simultaneous(look: Look) -> Explanation:
    """Explain two SYNs that crossed."""
    return Explanation(
        "simultaneous-open",
        f"Simultaneous open: {look.host} is in SYN-SENT and receives a SYN without an ACK, because {look.peer()} connected at the same "
        f"time. No listener is needed. {look.host} goes to SYN-RECEIVED and answers with a SYN-ACK (RFC 9293 3.5, figure 7).",
        "Both sides do the same, and the result is one connection, not two.",
    )


def time_wait(look: Look) -> Explanation:
    """Explain why the side that closed first waits."""
    armed = look.next("timer.set", reach=20)
    is_it = armed is not None and armed.fields.get("timer") == "time-wait"
    wait = ms(armed.fields["deadline"] - look.entry.time) if armed is not None and is_it else "a while"
    first = "closed first" if look.entry.fields["old"] != "CLOSING" else f"and {look.peer()} closed at the same time"
    return Explanation(
        "time-wait",
        f"TIME-WAIT: {look.host} {first}, and both FINs have arrived. It remembers the connection for {wait} more (twice the "
        "maximum segment lifetime, 2 MSL, RFC 9293 3.6.1) for two reasons.",
        f"If its last ACK is lost, {look.peer()} retransmits its FIN, and {look.host} must be able to answer. Also, old "
        "segments of this connection must not be mistaken for segments of a new one between the same ports.",
    )


def closed(look: Look, old: str) -> Explanation:
    """Explain the end of a connection: by a reset, by a timer, or in order."""
    reason = look.entry.reason
    cause = look.cause()
    came = look.last("tcp.in")
    by_reset = cause is not None and cause.kind == "frame.in" and came is not None and came.fields["flags"] & RST
    if by_reset and cause is not None and came is not None and came.index > cause.index:
        came_in = look.frame(cause)
        sender = look.peer() if came_in is None else came_in.host
        if old == "SYN-SENT":
            sender, because = _refused(look, sender)
            return Explanation(
                "reset",
                f"Refused: {sender} answered the SYN with a RST ({number(look.frame(cause))}), because {because}. "
                "connect() fails with ECONNREFUSED (RFC 9293 3.10.7.3).",
            )
        if old == "SYN-RECEIVED":
            return Explanation(
                "reset",
                f"Reset: a RST arrived from {look.peer()} ({number(look.frame(cause))}) before the handshake was complete, so {look.host} forgets the "
                "half-open connection. The listener goes on, and no program learns of it, because accept() has not returned the connection "
                "(RFC 9293 3.10.7.4).",
            )
        return Explanation(
            "reset",
            f"Reset: a RST with a valid sequence number arrived from {look.peer()} ({number(look.frame(cause))}), so {look.host} "
            f"ends the connection at once, from {old}, and the application gets ECONNRESET (RFC 9293 3.10.7.4).",
            "A host sends a RST if it aborts a connection or does not know it.",
        )
    if old == "LISTEN":
        return Explanation(
            "close", f"{look.host} stops listening: {look.entry.reason}. Its connections stay ({look.entry.rfc})."
        )
    if old == "TIME-WAIT":
        return Explanation("time-wait", f"2 MSL have passed, so {look.host} deletes the connection (RFC 9293 3.6.1).")
    if "retransmission" in reason or "answer" in reason:
        return Explanation(
            "give-up", f"{look.host} gives up, and goes from {old} to CLOSED: {look.named()}{look.section()}."
        )
    if "abort" in reason or "reset" in reason.lower():
        return Explanation(
            "reset", f"{look.host} itself aborts the connection with a RST: {look.named()}{look.section()}."
        )
    return Explanation(
        "close",
        f"The connection of {look.host} goes from {old} to CLOSED, so it exists no more: {look.named()}{look.section()}.",
    )


def _refused(look: Look, sender: str) -> tuple[str, str]:
    """Return which host made the RST that answered a SYN, and why. The frame may come from a router, and a firewall may answer in the name of the server."""
    mine = int(look.tcb.get("iss", 0))
    for index in range(look.index - 1, max(look.index - 400, -1), -1):
        entry = look.timeline.events[index]
        if entry.kind != "tcp.out" or not entry.fields["flags"] & RST:
            continue
        # The event of a filter's answer has the number of the rejected segment.
        if entry.fields["ack"] == (mine + 1) & 0xFFFFFFFF or entry.fields["seq"] == mine:
            made = look.at(index)
            rejects = "rule" in entry.reason
            name = f"{entry.host}, a firewall," if rejects else entry.host
            return name, made.named() + (", in the name of the server" if rejects else "")
    return sender, "no socket listens on that port"


def _asks_for_cookie(look: Look) -> str:
    """Say that a SYN carries an empty Fast Open option."""
    before = look.last("tcp.fastopen", "frame.out", "frame.in", host=look.host, reach=12)
    if before is None or before.fields.get("action") != "asked":
        return ""
    return (
        "Its Fast Open option is empty: it asks the server for a cookie, with which the next connection can carry data in its SYN "
        "(RFC 7413 4.1.1)."
    )


def _offers_ecn(flags: int) -> str:
    """Say that a SYN offers ECN, or that a SYN-ACK agrees to it."""
    if not flags & ACK and flags & ECE and flags & CWR:
        return "Its flags ECE and CWR offer explicit congestion notification (RFC 3168 6.1.1)."
    if flags & ACK and flags & ECE and not flags & CWR:
        return "Its flag ECE agrees to explicit congestion notification (RFC 3168 6.1.1)."
    return ""


def syn_out(look: Look) -> "Explanation | None":
    """Explain a segment with SYN if it has an explanation of its own; return None for others."""
    fields, reason = look.entry.fields, look.entry.reason
    if "cookie" in reason and not look.conn:
        peer = look.entry.subject.rpartition("-")[2]
        return Explanation(
            "syn-cookie",
            f"SYN cookie: the listener's queue of half-open connections is full, so {look.host} answers the SYN of {peer} and keeps "
            "no state. The sequence number of its SYN-ACK is a keyed hash of the addresses, ports and the MSS (RFC 4987 3.6).",
            "An honest client acknowledges that number, and the listener makes the connection from this ACK alone. A host with a "
            "forged address never receives the number, and it has cost no memory.",
        )
    if fields["flags"] & SYN and fields["length"]:
        return Explanation(
            "fast-open",
            f"TCP Fast Open: the SYN carries {fields['length']} bytes of data. {look.host} has a cookie from an earlier connection, which "
            "proves that its address is not forged, so the server may process the data before the handshake is complete "
            "(RFC 7413 4.2.2).",
            "The request arrives one round trip earlier.",
        )
    if fields["flags"] & SYN:
        which = (
            "answers the SYN and carries its own initial sequence number"
            if fields["flags"] & 16
            else "opens the connection"
        )
        return Explanation(
            "handshake",
            f"The {'SYN-ACK' if fields['flags'] & 16 else 'SYN'} {which} (RFC 9293 3.5).",
            _asks_for_cookie(look),
            _offers_ecn(fields["flags"]),
        )
    return None
