"""TCP (RFC 9293 section 3.1)."""

from pystack.stepper.dissect import application, tcp_options
from pystack.stepper.dissect import layout as t
from pystack.stepper.dissect.tree import Node
from pystack.stepper.dissect.udp import port

#: (abbreviation, name, letters, meaning if it is set)
FLAGS = (
    ("ae", "Accurate ECN", "AE", "part of the ACE counter, or asks for AccECN (RFC 9768)"),
    ("cwr", "Congestion window reduced", "CWR", "the sender has reacted to the congestion mark (RFC 3168 6.1.2)"),
    ("ece", "ECN-echo", "ECE", "a congestion mark arrived; on a SYN: asks for ECN (RFC 3168 6.1)"),
    ("urg", "Urgent", "URG", "the urgent pointer is valid"),
    ("ack", "Acknowledgment", "ACK", "the acknowledgment number is valid"),
    ("push", "Push", "PSH", "hand the data to the application now"),
    ("reset", "Reset", "RST", "the connection is aborted, or does not exist"),
    ("syn", "Synchronize", "SYN", "opens the connection: this is the initial sequence number; takes one number"),
    ("fin", "Finish", "FIN", "no more data from this side; takes one number"),
)


def flags_text(value: int) -> str:
    """Return the control bits by name."""
    found = [letter for n, (_, _, letter, _) in enumerate(FLAGS) if value >> (len(FLAGS) - 1 - n) & 1]
    return ", ".join(reversed(found)) or "none"


HEADER = t.c.Struct(
    t.field(16, "tcp.srcport", "Source port", port, "the sender's end of the connection"),
    t.field(16, "tcp.dstport", "Destination port", port, "the receiver's end of the connection"),
    t.field(32, "tcp.seq", "Sequence number", str, "of the first byte of data, or of the SYN"),
    t.field(32, "tcp.ack", "Acknowledgment number", str, "the next byte that the sender of this segment expects"),
    t.field(4, "tcp.hdr_len", "Header length", lambda value: f"{value * 4} bytes ({value})", "in words of 4 bytes, options included"),
    t.group(
        "tcp.flags", "Flags",
        t.field(3, "tcp.flags.res", "Reserved", str, t.if_set("should be zero")),
        *(t.field(1, f"tcp.flags.{abbrev}", name, t.flag, t.if_set(meaning)) for abbrev, name, _, meaning in FLAGS),
        text=lambda value: f"0x{value:03x} ({flags_text(value & 0x1FF)})", meaning="control bits",
    ),
    t.field(16, "tcp.window_size_value", "Window", str, "the sender's free receive space, before scaling (RFC 7323 2)"),
    t.field(16, "tcp.checksum", "Checksum", t.hexa(4)),
    t.field(16, "tcp.urgent_pointer", "Urgent pointer", str),
)  # fmt: skip


def dissect(data: bytes, base: int, end: int, above: t.Above) -> list[Node]:
    """Dissect the segment at `base`."""
    try:
        nodes = t.read(HEADER, data, base, min(base + 20, end))
    except t.Truncated as cut:
        return [t.header("TCP", "tcp", [*cut.nodes, t.ends_early(cut, above, base, end)], base, end)]
    source, target, seq, ack, words, flags, window, field, urgent = (int(node.value) for node in nodes)  # type: ignore[arg-type]
    nodes[7].meaning = t.checksum_text(data, base, end, field, above.pseudo) if above.whole else above.why
    nodes[8].meaning = (
        "the end of the urgent data, counted from the sequence number"
        if flags & 0x20
        else "ignored, because URG is not set"
    )
    if not flags & 0x10:
        nodes[3].meaning = "ignored, because ACK is not set"
    hlen = words * 4
    text = f"{source} > {target} [{flags_text(flags & 0x1FF)}] seq {seq}" + (f" ack {ack}" if flags & 0x10 else "")
    if hlen < 20:
        nodes.append(t.wrong(f"a header of {hlen} bytes is shorter than 20 (RFC 9293 3.1)", base + 12, base + 13))
        return [t.header("TCP", "tcp", nodes, base, base + 20, text)]
    stop = min(base + hlen, end)
    if stop > base + 20:
        nodes.append(tcp_options.dissect(data, base + 20, stop, bool(flags & 0x02)))
    if base + hlen > end:
        if above.whole:
            nodes.append(t.wrong(f"a header of {hlen} bytes, but only {end - base} are there", base + 12, base + 13))
        elif above.cut:
            nodes.append(t.note("ends here: the quote or the capture holds only the start of the header", end, end))
    if end > stop:
        nodes.append(t.raw(data, stop, end, "tcp.payload", "Payload"))
    text += f" win {window} len {end - stop + above.missing}"
    known = [] if above.fragment else application.above_tcp(data, stop, end, source, target)
    return [t.header("TCP", "tcp", nodes, base, stop, text), *known]
