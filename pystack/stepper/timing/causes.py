"""The causes that a span of time can have, and why it was waited for. Both lists are closed."""

#: where time passes: cause -> what it means
CAUSES = {
    "propagation": "a frame was on its way; the delay of the link",
    "serialization": "a frame's bits were being sent at the rate of the link",
    "queueing": "a frame waited while the frames ahead of it were being sent",
    "shaping": "a frame waited in a queueing discipline that limits the rate",
    "jitter": "a frame arrived later than the rate and the delay of the link say",
    "on the way": "a frame was on its way, and the recording does not say what it met there",
    "client thinking": "the program on the host that asks slept, or did other work",
    "server thinking": "a program on another host slept, or did other work",
    "TLS computing": "a program computed keys, signatures or the check of a certificate for a handshake of TLS (RFC 8446)",
    "delayed ACK": "an acknowledgement was held back, in the hope that data would carry it (RFC 9293 3.8.6.3)",
    "RTO": "nobody acknowledged data, until the retransmission timer expired (RFC 6298)",
    "tail loss probe": "nobody acknowledged the last data, until the probe timer expired (RFC 8985 7)",
    "reordering wait": "segments seemed to be lost, but could still arrive late (RFC 8985 6.2)",
    "zero-window probe": "the window was closed, until the persist timer expired (RFC 9293 3.8.6.1)",
    "pacing": "the pace of the congestion control allowed the next segment only then",
    "keep-alive": "the connection was idle, until the keep-alive timer expired (RFC 9293 3.8.4)",
    "ARP retry": "nobody answered an ARP request, until it was repeated (RFC 1122 2.3.2.1)",
    "timer": "another timer had to expire",
    "driver": "the stack's driver had other work (only in real time)",
    "peer": "the other side thought, or its frames waited somewhere: nobody recorded it",
    "unknown": "the recording does not say",
}

#: the groups in which views draw causes: name -> (words for a legend, causes); all other causes are "other"
GROUPS: dict[str, tuple[str, tuple[str, ...]]] = {
    "way": ("on its way", ("propagation", "on the way", "peer")),
    "bits": ("being sent", ("serialization",)),
    "queue": ("waits on a link", ("queueing", "shaping", "jitter", "ARP retry")),
    "program": ("a program works", ("client thinking", "server thinking", "TLS computing")),
    "held": ("held back", ("delayed ACK", "pacing", "keep-alive")),
    "loss": ("a loss is found out", ("RTO", "tail loss probe", "reordering wait", "zero-window probe")),
    "other": ("something else", ()),
}


def group(cause: str) -> str:
    """Return the name of the group of a cause."""
    return next((name for name, (_, causes) in GROUPS.items() if cause in causes), "other")


#: why the time was waited for: the wait that was open, walking backwards
WHYS = {
    "connection": "the handshake of a connection",
    "SYN retransmission": "the handshake was repeated",
    "backlog": "the listener dropped the SYN, because its queue of connections was full",
    "filter": "a packet filter or an address translation dropped a packet, so it had to be retransmitted",
    "ARP": "the address of the next hop was being asked for",
    "name lookup": "a name was being looked up",
    "TLS handshake": "the messages of a handshake of TLS were on their way",
    "Nagle": "a small segment waited for the acknowledgement of the one before it",
    "cork": "the program had set TCP_CORK",
    "congestion window": "the congestion window was full",
    "receive window": "the receiver's window was full",
    "zero window": "the receiver's window was closed",
    "silly window": "the window had no room for a segment of a useful size",
    "pacing": "the pace of the congestion control held the data back",
    "send buffer": "the program had more data, but the socket's send buffer was full",
    "route": "there was no route to the other side",
    "loss, retransmission timeout": "a segment was lost, and the retransmission timer found out",
    "loss, tail probe": "the last segments were lost, and a probe found out",
    "loss, fast retransmit": "a segment was lost, and acknowledgements of later ones showed it",
    "loss": "a lost segment had to be retransmitted",
    "path MTU": "a packet was too large for a link on the path, so its data had to be retransmitted in smaller ones",
    "head of line": "bytes had arrived, but earlier ones were missing",
    "reassembly": "a part of a datagram had arrived, but not its other fragments",
    "proxy buffer": "a program that passes data on had some of it, but waited for more before it sent it",
    "reading late": "data had arrived, but the program did not read it",
    "": "nothing else was waited for",
}

#: name of a timer -> cause
TIMERS = {
    "retransmission": "RTO",
    "loss-probe": "tail loss probe",
    "reordering": "reordering wait",
    "persist": "zero-window probe",
    "keep-alive": "keep-alive",
    "delayed-ack": "delayed ACK",
    "pacing": "pacing",
    "arp": "ARP retry",
}
