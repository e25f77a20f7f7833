"""Figure 5 of RFC 9293, the diagram of TCP's states, and the edges that this stack has besides."""

from pystack_c.tcp.snapshot import STATE_NAMES
from pystack_c.tcp.state import TRANSITIONS

#: the edges of the figure, and what is written on each: the event, and what TCP does about it
FIGURE = {
    ("CLOSED", "LISTEN"): "passive OPEN: create TCB",
    ("CLOSED", "SYN-SENT"): "active OPEN: create TCB, send SYN",
    ("LISTEN", "CLOSED"): "CLOSE: delete TCB",
    ("LISTEN", "SYN-RECEIVED"): "received SYN: send SYN,ACK",
    ("LISTEN", "SYN-SENT"): "SEND: send SYN",
    ("SYN-SENT", "CLOSED"): "CLOSE: delete TCB",
    ("SYN-SENT", "SYN-RECEIVED"): "received SYN: send SYN,ACK",
    ("SYN-SENT", "ESTABLISHED"): "received SYN,ACK: send ACK",
    ("SYN-RECEIVED", "LISTEN"): "received RST, if LISTEN came before (note 1)",
    ("SYN-RECEIVED", "ESTABLISHED"): "received the ACK of the SYN",
    ("SYN-RECEIVED", "FIN-WAIT-1"): "CLOSE: send FIN",
    ("ESTABLISHED", "FIN-WAIT-1"): "CLOSE: send FIN",
    ("ESTABLISHED", "CLOSE-WAIT"): "received FIN: send ACK",
    ("FIN-WAIT-1", "FIN-WAIT-2"): "received the ACK of the FIN",
    ("FIN-WAIT-1", "CLOSING"): "received FIN: send ACK",
    ("FIN-WAIT-2", "TIME-WAIT"): "received FIN: send ACK",
    ("CLOSING", "TIME-WAIT"): "received the ACK of the FIN",
    ("CLOSE-WAIT", "LAST-ACK"): "CLOSE: send FIN",
    ("LAST-ACK", "CLOSED"): "received the ACK of the FIN",
    ("TIME-WAIT", "CLOSED"): "timeout of 2 MSL: delete TCB",
}


def edges() -> dict[tuple[str, str], tuple[str, bool]]:
    """Return all edges of the diagram, with the cause, and whether the figure has it."""
    found = {pair: (cause, True) for pair, cause in FIGURE.items()}
    for (old, new), cause in TRANSITIONS.items():
        found.setdefault((STATE_NAMES[old], STATE_NAMES[new]), (cause, False))
    return found
