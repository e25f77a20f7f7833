"""Says what a frame of a capture meant, in sentences: `--why` at a frame of a capture, where no stack gave reasons.

Everything is inferred from the frames, so each sentence says what was seen, and what follows from it.
"""

from typing import TYPE_CHECKING, Any

from pystack.stepper.capture import after
from pystack.stepper.capture.packet import ACK, FIN, RST, SYN
from pystack.stepper.capture.words import sentences
from pystack.stepper.explain import contents
from pystack.stepper.explain.base import Explanation, count_of, ms
from pystack.stepper.plot.data import short

if TYPE_CHECKING:
    from pystack.stepper.capture.timeline import CaptureTimeline
    from pystack.stepper.records import Entry, Frame

#: finding -> the mechanism of pystack.stepper.explain
_MECHANISMS = {
    "retransmission": "retransmission", "fast_retransmission": "fast-retransmit", "spurious_retransmission": "retransmission",
    "out_of_order": "data", "duplicate_ack": "ack", "lost_segment": "loss", "ack_lost_segment": "loss", "zero_window": "zero-window",
    "zero_window_probe": "zero-window", "zero_window_probe_ack": "zero-window", "window_update": "window-update", "window_full": "window",
    "keep_alive": "keep-alive", "closed_probe": "zero-window", "keep_alive_ack": "keep-alive", "reused_ports": "handshake",
}  # fmt: skip


def of_event(timeline: "CaptureTimeline", entry: "Entry") -> Explanation:
    """Explain an event of a capture."""
    if str(entry.kind) == "tcp.inferred":
        found = _finding(timeline, entry)
        if entry.fields["name"] == "duplicate_ack":
            found = _reports(timeline.frames[entry.frame], _twice(timeline, entry)) or found
        return Explanation(_MECHANISMS[_name(entry)], found)
    return of_frame(timeline, timeline.frames[entry.frame])


def of_frame(timeline: "CaptureTimeline", frame: "Frame") -> Explanation:
    """Explain a frame of a capture."""
    segment, findings, trip, sack = None, [], None, None
    for index in range(frame.event, frame.arrived):
        entry = timeline.events[index]
        kind = str(entry.kind)
        if kind == "tcp.out":
            segment = entry
        elif kind == "tcp.inferred":
            findings.append(entry)
        elif kind == "tcp.rtt":
            trip = entry
        elif kind == "tcp.sack":
            sack = entry
    sent = timeline.events[frame.event].fields
    if "judged" in sent:
        return Explanation(
            "told",
            f"{frame.host} sends this to {frame.to}: {short(frame.summary)}.",
            f"It was captured at {sent['place']}, and the same segment at {sent['judged']}, too. "
            f"The connection is explained by the segments at {sent['judged']}.",
        )
    if segment is None:
        mechanism, said = sentences(frame)
        if not said:
            said = [f"{frame.host} sends this to {frame.to}: {short(frame.summary)}."]
        rest = after.pieces(timeline, frame) if mechanism == "fragment" else ""
        return Explanation(mechanism, *said, rest, after.answer(timeline, frame))
    mechanism, meaning = _meaning(frame, segment)
    twice = sack is not None and sack.fields.get("twice", False)
    if twice:
        findings = [entry for entry in findings if entry.fields["name"] != "duplicate_ack"]
    said = [_finding(timeline, entry) for entry in findings]
    if findings:
        mechanism = _MECHANISMS[_name(findings[0])]
    answered = ""
    if trip is not None:
        answered = (
            f"It acknowledges all up to the end of frame {trip.fields['frame'] + 1}, "
            f"{ms(trip.fields['sample'])} after that frame was captured."
        )
    flight = segment.fields["bytes_in_flight"]
    fly = ""
    if flight > 0:
        fly = f"After it, {count_of(flight)} of {frame.host} {'has' if flight == 1 else 'have'} no acknowledgement yet."
    data = contents.carries(timeline, frame) if segment.fields["length"] else ""
    if segment.fields.get("phase") == "middle":
        meaning += (
            " The capture does not have the beginning of this connection. So bytes are counted from this segment, and it is not known how the "
            "windows are scaled."
        )
    return Explanation(
        mechanism, meaning, data, *said, _reports(frame, sack), answered, fly, after.segment(timeline, segment)
    )


def _reports(frame: "Frame", sack: "Entry | None") -> str:
    """Say what the SACK blocks of a segment report."""
    if sack is None:
        return ""
    if sack.fields.get("twice"):
        return (
            f"Its first SACK block names bytes that are acknowledged already (D-SACK): they reached {frame.host} twice, so {frame.to} had sent them again "
            "without need, or the network has copied them (RFC 2883 4)."
        )
    blocks = len(sack.fields["blocks"])
    which = "Its SACK block names" if blocks == 1 else f"Its {blocks} SACK blocks name"
    return f"{which} what reached {frame.host} beyond a gap, so {frame.to} need not send that again (RFC 2018 4)."


def _meaning(frame: "Frame", entry: "Entry") -> tuple[str, str]:
    """Return the mechanism and a sentence for what the segment says."""
    fields = entry.fields
    flags, length = fields["flags"], fields["length"]
    host, to = frame.host, frame.to
    begin, ack = fields["relative_seq"], fields["relative_ack"]
    phase = fields.get("phase", "")
    if flags & RST:
        return "reset", _RESETS.get(phase, _RESETS["open"]).format(host=host, to=to)
    if flags & SYN:
        numbers = f"says that the sequence numbers of {host} begin at {fields['seq']}"
        takes = f", and that it takes segments with at most {fields['mss']} bytes of data" if "mss" in fields else ""
        if flags & ACK:
            text = f"{host} accepts the connection that {to} opens: its SYN-ACK acknowledges the SYN of {to}, {numbers}{takes}."
            return "handshake", text
        port = entry.subject.partition("-")[2].partition(" ")[0].rpartition(":")[2]
        where = f"to port {port} of {to}" if not to.endswith(f":{port}") else f"to {to}"
        early = f" It already carries {count_of(length)} of data." if length else ""
        return "handshake", f"{host} opens a connection {where} with a SYN, which {numbers}{takes}.{early}"
    data = f"bytes {begin}:{begin + length}" if length else ""
    if flags & FIN:
        rest = f" It carries the last {data}." if data else ""
        other = " It can still receive."
        if phase == "acks-fin":
            other = f" It also acknowledges the FIN of {to}, so neither side sends more data."
        return "close", f"{host} has no more data for {to}: the segment has a FIN.{rest}{other}"
    if data:
        return "data", f"{host} sends {data} to {to}, and expects byte {ack} next."
    room = (
        f" It has room for {count_of(fields['room'], 'more byte')} (the window)." if fields.get("room", 0) > 0 else ""
    )
    if phase == "completes":
        text = f"{host} acknowledges the SYN of {to}. This third segment completes the handshake, so the connection is open."
        return "handshake", text + room
    if phase == "acks-fin":
        return "close", f"{host} acknowledges the FIN of {to}, and all data before it. {to} will send no more data."
    return "ack", f"{host} acknowledges all that {to} sent before byte {ack}.{room}"


#: what a RST does, by the phase of the connection (capture.tcp.PHASES)
_RESETS = {
    "refused": "{host} refuses the connection with a RST: no program listens on that port, or a filter answers in its name (RFC 9293 section 3.10.7.1).",
    "given-up": "{host} gives its attempt up with a RST, before {to} has answered.",
    "half-open": "{host} ends the connection with a RST before it was open: it does not want it any more, or has never asked for it.",
    "open": "{host} ends the connection with {to} at once, with a RST. Its program has closed or ended without reading all data, or {host} does not know the "
    "connection any more. What is not yet read or acknowledged may be lost (RFC 9293 section 3.10.7.4).",
    "over": "{host} sends a RST, although both sides have sent a FIN already: something arrived for a connection that it does not know any more.",
}


def _finding(timeline: "CaptureTimeline", entry: "Entry") -> str:
    """Return the sentence for one finding, with the values that decided."""
    facts: dict[str, Any] = entry.fields
    frame = timeline.frames[entry.frame]
    values = {**facts, "host": frame.host, "to": frame.to}
    for name in facts.keys() & {"first", "acked_by", "highest"}:
        values[name] = facts[name] + 1
    if "since" in facts:
        values["since"] = ms(facts["since"])
    if "windows" in facts:
        values["old"], values["new"] = facts["windows"]
    for key in facts.keys() & {"missing", "beyond"}:
        values[key] = count_of(facts[key])
    return _SENTENCES[_name(entry)].format(**values)


def _name(entry: "Entry") -> str:
    """Return the name of a finding. A keep-alive into a closed window is a probe of it."""
    name = str(entry.fields["name"])
    return "closed_probe" if name == "keep_alive" and entry.fields.get("closed") else name


def _twice(timeline: "CaptureTimeline", entry: "Entry") -> "Entry | None":
    """Return the event of the SACK blocks in the frame of a finding if they say that data arrived twice."""
    for index in range(entry.index + 1, timeline.frames[entry.frame].arrived):
        later = timeline.events[index]
        if later.kind == "tcp.sack" and later.fields.get("twice"):
            return later
    return None


_SENTENCES = {
    "retransmission": "It is a retransmission: the capture has these bytes (or later ones) already, the highest in frame {highest}, {since} "
    "before. No two duplicate ACKs came just before it, so a timeout or a tail probe is the likely cause.",
    "fast_retransmission": "It is a fast retransmission: {to} had sent {dupacks} duplicate ACKs, the last one {since} before "
    "(RFC 5681 section 3.2).",
    "spurious_retransmission": "It is a spurious retransmission: {to} had acknowledged all of these bytes in frame {acked_by}, so it has them.",
    "out_of_order": "It is out of order: a segment with higher numbers (frame {highest}) was captured {since} before, which is less than a "
    "round trip. The network exchanged them, or its first copy was lost before it came here.",
    "duplicate_ack": "It is duplicate ACK number {number} of the one in frame {first}: a segment arrived at {host} that did not fill the next "
    "gap (RFC 5681 section 2).",
    "lost_segment": "The capture misses {missing} of {host} before it: lost on the way here, late, or not captured.",
    "ack_lost_segment": "It acknowledges {beyond} of {to} that the capture does not have, so {host} received what the capture missed (a FIN counts as a byte).",
    "zero_window": "Its window is zero: {host} has no room for more data, so {to} must stop (RFC 9293 section 3.8.6).",
    "zero_window_probe": "It is a probe of the zero window of {to}: one byte, whose answer says whether there is room now "
    "(RFC 9293 section 3.8.6.1).",
    "zero_window_probe_ack": "It answers the probe of the zero window: there is still no room.",
    "window_update": "It is a window update: only the window changed, from {old} to {new} bytes.",
    "window_full": "It fills the window of {window} bytes that {to} offered, so {host} must wait for an ACK or a window update.",
    "keep_alive": "It is a keep-alive: its number is one below the next byte, so {to} must answer if it is alive (RFC 9293 section 3.8.4).",
    "closed_probe": "It is a probe of the closed window of {to}: its number is one below the next byte, so {to} must answer, and the answer says whether there is "
    "room now (RFC 9293 section 3.8.6.1). tshark calls it a keep-alive, which has the same form.",
    "keep_alive_ack": "It answers the keep-alive: {host} is alive.",
    "reused_ports": "Another connection had the same addresses and ports before. Its first sequence number was a different one.",
}
