"""Explains what a frame meant to the host that it reached: what it says, what it changed there, and what the host did because of it."""

from pystack.stepper.explain import below
from pystack.stepper.explain.base import Look, ms
from pystack.stepper.records import Entry, Frame
from pystack.stepper.timeline import Timeline
from pystack_c.base.address import addr_text

FIN, SYN, RST, ACK = 1, 2, 4, 16
#: what ends the work on an arrived frame
_INPUTS = ("frame.in", "timer.fired", "call")
#: how many events are searched for what a frame caused, and how many frames are named
REACH, NAMED = 4000, 4


def sentences(timeline: Timeline, frame: Frame) -> list[str]:
    """Return what the arrival of a frame meant, changed and caused, in plain words; [] if it did not arrive."""
    if frame.arrived < 0:
        return []
    work = work_of(timeline, frame.arrived)
    found = [
        _meaning(timeline, work, frame),
        _changes(timeline, work),
        _caused(timeline, work, frame),
    ]
    return [sentence for sentence in found if sentence]


def work_of(timeline: Timeline, arrived: int) -> list[Entry]:
    """Return what the host decided because a frame arrived, until its next input."""
    found: list[Entry] = []
    host = timeline.events[arrived].host
    for index in range(arrived + 1, min(arrived + REACH, len(timeline.events))):
        entry = timeline.events[index]
        if entry.host != host:
            continue
        if str(entry.kind) in _INPUTS:
            break
        found.append(entry)
    return found


def _first(work: list[Entry], *kinds: str) -> "Entry | None":
    return next((entry for entry in work if str(entry.kind) in kinds), None)


# -- what it says ----------------------------------------------------------------------------------------------------


def _meaning(timeline: Timeline, work: list[Entry], frame: Frame) -> str:
    host = timeline.events[frame.arrived].host
    segment = _first(work, "tcp.in")
    if segment is not None:
        return _segment(timeline, work, segment, host)
    for kind, words in (
        ("ip.reassembled", "{host} has all fragments now, so the datagram of {length} bytes is complete."),
        ("ip.held", "{host} keeps these {length} bytes until the other fragments of the datagram arrive."),
        ("ip.forward", "The packet is not for {host}, which forwards it by {iface} with a TTL of {ttl}."),
        (
            "udp.in",
            "The datagram carries {length} bytes, which wait in a socket's queue on {host} until a program reads them.",
        ),
    ):
        entry = _first(work, kind)
        if entry is not None:
            return words.format(host=host, **entry.fields)
    entry = _first(work, "arp.in")
    if entry is not None:
        addr = addr_text(entry.fields["addr"])
        if str(entry.fields["op"]) == "request" and entry.fields["addr"] == 0:
            return f"A host without an address asks whether another host has {addr_text(entry.fields['target'])}."
        if str(entry.fields["op"]) == "request" and entry.fields["addr"] == entry.fields["target"]:
            return f"The host {addr} announces its address, so that others correct their entries."
        if str(entry.fields["op"]) == "request":
            return f"The host {addr} asks which MAC address {addr_text(entry.fields['target'])} has."
        return f"{host} learns the MAC address of {addr}."
    entry = _first(work, "icmp.in")
    if entry is not None and _first(work, "drop") is None:
        return _icmp(host, entry, _first(work, "icmp.error"))
    entry = _first(work, "raw.in")
    if entry is not None and _first(work, "drop") is not None and "packet socket" in entry.reason:
        return (
            f"IP on {host} does not take the packet, because the host does not have its destination address. A program reads it all the same: its "
            "packet socket has a copy of each frame (Linux packet(7))."
        )
    if entry is not None:
        return f"A socket on {host} that takes raw packets gets a copy."
    entry = _first(work, "drop")
    if entry is None:
        return ""
    said = below.dropped(Look(timeline, entry.index)).sentences
    return " ".join(said if frame.outside else said[1:])  # the fate of a frame from inside says the first of them


def _listed(parts: list[str]) -> str:
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def _icmp(host: str, entry: Entry, error: "Entry | None") -> str:
    if error is not None:
        return f"The message is about a packet that {host} sent, and its socket gets the error: {error.reason or error.text()}."
    kind, code = entry.fields["type"], entry.fields["code"]
    if kind == 8:
        return f"The ping asks {host} for an answer."
    if kind == 0:
        return f"The ping of {host} is answered."
    name = {3: "destination unreachable", 5: "redirect", 11: "time exceeded", 12: "parameter problem"}.get(kind, "")
    quoted = f' "{name}"' if name else ""
    return f"{host} takes the ICMP message{quoted} (type {kind}, code {code})."


def _segment(timeline: Timeline, work: list[Entry], segment: Entry, host: str) -> str:
    """Return what a TCP segment says to its receiver."""
    flags = segment.fields["flags"]
    peer = "the other side"
    if segment.conn:
        peer = Look(timeline, segment.index).peer()
        peer = "the other side" if peer == "the peer" else peer
    state = _first(work, "tcp.state")
    if flags & RST and state is not None and state.fields["old"] == "SYN-SENT":
        return f"The RST ends the attempt at once: {peer} refuses the connection."
    if flags & RST and state is not None:
        if state.fields["old"] == "SYN-RECEIVED":
            return f"The RST ends the connection before it was open: {peer} does not want it any more. The listener of {host} goes on."
        return f"The RST ends the connection at once: {peer} has aborted it, or does not know it any more."
    if flags & RST:
        return f"The RST does not end a connection of {host}."
    if flags & SYN and flags & ACK:
        return (
            f"{peer} accepts the connection: its SYN-ACK acknowledges the SYN of {host} and opens the other direction."
        )
    if flags & SYN:
        port = segment.subject.partition("-")[0].rpartition(":")[2]
        text = f"The SYN asks {host} for a connection" + (
            f" to port {port}." if port.isdigit() and port != "0" else "."
        )
        dropped = _first(work, "drop")
        if dropped is not None and dropped.fields["name"] == "tcp-accept-queue-full":
            text = f"{text} {' '.join(below.dropped(Look(timeline, dropped.index)).sentences)}"
        return text
    if flags & ACK and state is not None and state.rfc.startswith("RFC 4987"):
        return (
            f"The ACK acknowledges the number of a SYN cookie, which {host} computes again from the addresses and ports. So it is no forgery, and {host} "
            "makes the connection from this segment alone."
        )
    parts = [*_data(timeline, work, segment), *_acked(work, segment)]
    if flags & FIN and _first(work, "tcp.fin") is not None:
        parts.append(f"{peer} has no more data to send (FIN)")
    opened = _first(work, "tcp.window")
    if opened is not None and not any(part.startswith("it acknowledges") for part in parts):
        parts.append(f"the window of {peer} has {opened.fields['new']} bytes now")
    if not parts:
        known = _known(work, segment, host, peer)
        if known:
            return known
        before = Look(timeline, segment.index).last("tcp.probe", "tcp.in", reach=2000) if segment.conn else None
        if before is not None and before.kind == "tcp.probe":
            if segment.fields["window"] == 0:
                return f"The segment answers the probe of {host}: the window of {peer} is still closed."
            return f"The segment answers the probe of {host}, so {peer} is still there."
        return _stale(timeline, segment, host)
    text = ", and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)
    return f"To {host} the segment says: {text}."


def _stale(timeline: Timeline, segment: Entry, host: str) -> str:
    """Explain a segment that changes nothing: a repeated ACK, or one that a later ACK has overtaken."""
    tcb = Look(timeline, segment.index).tcb
    if not tcb or segment.fields["length"] or not segment.fields["flags"] & ACK:
        return f"The segment brings {host} nothing new."
    behind = (tcb["snd_una"] - segment.fields["ack"]) & 0xFFFFFFFF
    if 0 < behind < 1 << 31:
        return f"The ACK is older than one that {host} has already, so that one overtook it on the way. It changes nothing."
    return f"The ACK repeats what {host} knows already: it acknowledges no new data (a duplicate ACK)."


def _known(work: list[Entry], segment: Entry, host: str, peer: str) -> str:
    """Explain a segment that brings nothing because it is old: a FIN that came again, or a probe with a number that is acknowledged."""
    dropped, answer = _first(work, "drop"), _first(work, "tcp.ack")
    flags, length = segment.fields["flags"], segment.fields["length"]
    if flags & FIN and answer is not None and "FIN" in answer.reason:
        return f"The segment repeats the FIN of {peer}, which {host} has already. So the ACK of {host} was probably lost, and {host} sends it again."
    if (
        dropped is not None
        and "window" in dropped.reason
        and not length
        and not flags & (SYN | FIN | RST)
        and answer is not None
    ):
        return (
            f"The segment carries no data, and a sequence number that {host} has acknowledged already. So it is a probe, or very old, and {host} must answer "
            "with an ACK, which says what it expects and how large its window is (RFC 9293 3.10.7.4)."
        )
    if dropped is not None:
        return f"{host} does not take the segment: {dropped.reason}."
    return ""


def _data(timeline: Timeline, work: list[Entry], segment: Entry) -> list[str]:
    length = segment.fields["length"]
    if not length:
        return []
    delivered = _first(work, "tcp.data")
    if delivered is not None:
        size = delivered.fields["length"]
        more = f", of which {size - length} had waited for them" if size > length else ""
        return [f"{size} bytes of data can be read now{more}"]
    if _first(work, "tcp.ooo") is not None:
        return [f"{length} bytes of data are kept, because bytes before them are missing"]
    ended = _first(work, "tcp.state")
    if ended is not None and ended.fields["new"] == "CLOSED":
        return [f"its {length} bytes of data reach no program any more: {ended.reason}"]
    dropped = _first(work, "drop")
    if dropped is not None and "window" not in dropped.reason:
        return [f"its {length} bytes of data are not taken, because {dropped.reason}"]
    tcb = Look(timeline, segment.index).tcb
    beyond = (segment.fields["seq"] + length - tcb.get("rcv_nxt", 0)) & 0xFFFFFFFF
    if dropped is not None and tcb and 0 < beyond < 1 << 31:
        return [f"its {length} bytes of data are not taken, because they do not fit into the window of {segment.host}"]
    return [f"its {length} bytes of data are here already"]


def _acked(work: list[Entry], segment: Entry) -> list[str]:
    acked = _first(work, "tcp.acked")
    if acked is not None and acked.fields["length"]:
        return [f"it acknowledges {acked.fields['length']} bytes of data"]
    if acked is not None:
        state = _first(work, "tcp.state")
        began = state is not None and state.fields["old"] in ("SYN-SENT", "SYN-RECEIVED")
        return [f"it acknowledges the {'SYN' if began else 'FIN'} of {acked.host}"]
    if _first(work, "tcp.sack", "tcp.dsack") is not None:
        return ["it acknowledges nothing new in order, but reports what arrived beyond a gap (SACK)"]
    return []


#: what an action of ECN means
_MARKS = {
    "echo": "a router has marked the packet (CE), so the ACKs echo the mark",
    "react": "the ACK echoes a congestion mark (ECE), so the sender reduces its window",
    "quiet": "the other side has reduced its window (CWR), so the echo ends",
}
#: what a phase of loss recovery means
_PHASES = {
    "recovery": "fast recovery begins",
    "undone": "the segment had not been lost, so the sender undoes the reduction of its window",
    "cwr": "the sender reduces its window because of a congestion mark",
    "open": "the sender is out of recovery",
}


# -- what it changed, and caused -------------------------------------------------------------------------------------


def _changes(timeline: Timeline, work: list[Entry]) -> str:
    """Return the changes that a learner looks for: the state, the round trip, the congestion window, recovery, timers."""
    states = [entry for entry in work if entry.kind == "tcp.state"]
    parts = []
    if states:
        names = [entry.fields["old"] for entry in states] + [states[-1].fields["new"]]
        if names[0] == "LISTEN":
            parts.append(
                f"{states[0].host} makes a new connection ({' and then '.join(names[1:])}), and its listening socket stays in LISTEN"
            )
        else:
            parts.append(f"the state of {states[0].host} changes from {' to '.join(names)}")
    windows = [entry for entry in work if entry.kind == "tcp.cwnd" and entry.fields["old"] != entry.fields["new"]]
    if windows and windows[0].fields["old"] != windows[-1].fields["new"]:
        old, new = windows[0].fields["old"], windows[-1].fields["new"]
        whose = "its congestion window" if parts else f"the congestion window of {windows[0].host}"
        parts.append(f"{whose} changes from {old} to {new} bytes" if old else f"{whose} begins with {new} bytes")
    phases = [entry for entry in work if entry.kind == "tcp.recovery"]
    for entry in work:
        fields = entry.fields
        if entry.kind == "tcp.ecn" and fields["action"] in _MARKS:
            parts.append(_MARKS[fields["action"]])
        elif entry.kind == "tcp.rtt":
            parts.append(f"the round trip took {ms(fields['sample'])}")
        elif entry.kind == "tcp.recovery" and entry is phases[-1]:
            phase = str(fields["phase"])
            parts.append(_PHASES.get(phase) or Look(timeline, entry.index).named() or f"loss recovery: {phase}")
        elif entry.kind == "ip.mtu":
            parts.append(f"the path carries packets of {fields['new']} bytes at most")
    if not parts:
        return ""
    text = _listed(parts)
    return f"{text}." if text.startswith(f"{work[0].host} ") else f"{text[0].upper()}{text[1:]}."


def _caused(timeline: Timeline, work: list[Entry], frame: Frame) -> str:
    """Return which frames the host sent because of a frame, or which timer it set for an answer."""
    host = timeline.events[frame.arrived].host
    numbers = [timeline.frames[entry.frame].number for entry in work if entry.kind == "frame.out" and entry.frame >= 0]
    if numbers:
        names = [str(number) for number in numbers[:NAMED]] + (
            [f"{len(numbers) - NAMED} more"] if len(numbers) > NAMED else []
        )
        return f"Because of it, {host} sends frame{'s' if len(names) > 1 else ''} {_listed(names)}."
    waits = next(
        (entry for entry in work if entry.kind == "timer.set" and entry.fields["timer"] == "delayed-ack"), None
    )
    if waits is not None:
        return f"{host} does not acknowledge it yet: it waits for up to {ms(waits.fields['deadline'] - waits.time)}."
    return ""
