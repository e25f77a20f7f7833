"""Says what a frame of a capture meant, in sentences: `--why` at a frame of a capture, where no stack gave reasons.

Everything is inferred from the frames, so each sentence says what was seen, and what follows from it.
"""

from typing import TYPE_CHECKING, Any

from pystack.stepper.capture.packet import ACK, FIN, RST, SYN
from pystack.stepper.capture.words import sentences
from pystack.stepper.explain.base import Explanation, ms
from pystack.stepper.plot.data import short

if TYPE_CHECKING:
    from pystack.stepper.capture.timeline import CaptureTimeline
    from pystack.stepper.records import Entry, Frame

#: finding -> the mechanism of pystack.stepper.explain
_MECHANISMS = {
    "retransmission": "retransmission", "fast_retransmission": "fast-retransmit", "spurious_retransmission": "retransmission",
    "out_of_order": "data", "duplicate_ack": "ack", "lost_segment": "loss", "ack_lost_segment": "loss", "zero_window": "zero-window",
    "zero_window_probe": "zero-window", "zero_window_probe_ack": "zero-window", "window_update": "window-update", "window_full": "window",
    "keep_alive": "keep-alive", "keep_alive_ack": "keep-alive", "reused_ports": "handshake",
}  # fmt: skip


def of_event(timeline: "CaptureTimeline", entry: "Entry") -> Explanation:
    """Explain an event of a capture."""
    if str(entry.kind) == "tcp.inferred":
        return Explanation(_MECHANISMS[entry.fields["name"]], _finding(timeline, entry))
    return of_frame(timeline, timeline.frames[entry.frame])


def of_frame(timeline: "CaptureTimeline", frame: "Frame") -> Explanation:
    """Explain a frame of a capture."""
    segment, findings, trip = None, [], None
    for index in range(frame.event, frame.arrived):
        entry = timeline.events[index]
        kind = str(entry.kind)
        if kind == "tcp.out":
            segment = entry
        elif kind == "tcp.inferred":
            findings.append(entry)
        elif kind == "tcp.rtt":
            trip = entry
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
        return Explanation(mechanism, f"{frame.host} sends this to {frame.to}: {short(frame.summary)}.", *said)
    mechanism, meaning = _meaning(frame, segment)
    said = [_finding(timeline, entry) for entry in findings]
    if findings:
        mechanism = _MECHANISMS[findings[0].fields["name"]]
    answered = ""
    if trip is not None:
        answered = (
            f"It acknowledges all up to the end of frame {trip.fields['frame'] + 1}, "
            f"{ms(trip.fields['sample'])} after that frame was captured."
        )
    flight = segment.fields["bytes_in_flight"]
    fly = f"After it, {flight} bytes of {frame.host} have no acknowledgement yet." if flight > 0 else ""
    return Explanation(mechanism, meaning, *said, answered, fly)


def _meaning(frame: "Frame", entry: "Entry") -> tuple[str, str]:
    """Return the mechanism and a sentence for what the segment says."""
    fields = entry.fields
    flags, length = fields["flags"], fields["length"]
    host, to = frame.host, frame.to
    begin, ack = fields["relative_seq"], fields["relative_ack"]
    if flags & RST:
        return "reset", f"{host} aborts the connection with {to}: it sends a RST."
    if flags & SYN and flags & ACK:
        return "handshake", f"{host} accepts the connection that {to} opens: its SYN also acknowledges the SYN of {to}."
    if flags & SYN:
        early = f" It already carries {length} bytes of data." if length else ""
        return "handshake", f"{host} opens a connection to {to} with a SYN.{early}"
    data = f"bytes {begin}:{begin + length}" if length else ""
    if flags & FIN:
        rest = f" It carries the last {data}." if data else ""
        return "close", f"{host} has no more data for {to}: the segment has a FIN.{rest}"
    if data:
        return "data", f"{host} sends {data} to {to}, and expects byte {ack} next."
    return "ack", f"{host} acknowledges all that {to} sent before byte {ack}."


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
    return _SENTENCES[facts["name"]].format(**values)


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
    "lost_segment": "The {missing} bytes before it are not in the capture: they were lost on the way here, come later, or were not captured.",
    "ack_lost_segment": "It acknowledges {beyond} bytes that are not in the capture, so {host} received what the capture missed.",
    "zero_window": "Its window is zero: {host} has no room for more data, so {to} must stop (RFC 9293 section 3.8.6).",
    "zero_window_probe": "It is a probe of the zero window of {to}: one byte, whose answer says whether there is room now "
    "(RFC 9293 section 3.8.6.1).",
    "zero_window_probe_ack": "It answers the probe of the zero window: there is still no room.",
    "window_update": "It is a window update: only the window changed, from {old} to {new} bytes.",
    "window_full": "It fills the window of {window} bytes that {to} offered, so {host} must wait for an ACK or a window update.",
    "keep_alive": "It is a keep-alive: its number is one below the next byte, so {to} must answer if it is alive (RFC 9293 section 3.8.4).",
    "keep_alive_ack": "It answers the keep-alive: {host} is alive.",
    "reused_ports": "Another connection had the same addresses and ports before. Its first sequence number was a different one.",
}
