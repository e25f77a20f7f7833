"""Lab 13: write the state machine of TCP (RFC 9293, figure 5).

`next_state` gets the state of a connection and an event, and returns the new state. The states
are CLOSED, LISTEN, SYN-SENT, SYN-RECEIVED, ESTABLISHED, FIN-WAIT-1, FIN-WAIT-2, CLOSE-WAIT,
CLOSING, LAST-ACK and TIME-WAIT. The events are:

- of the program: "listen", "connect", "close"
- segments that arrive: "SYN", "SYN-ACK", "FIN", "RST", "ACK" (of this side's SYN or FIN),
  "FIN-ACK" (a FIN that also acknowledges this side's FIN)
- "timeout": the time of TIME-WAIT is over

A reset leads to CLOSED, from each state but LISTEN: a listener ignores it, because it has no
connection. An event that does not matter in a state leaves it as it is.
"""

EDGES = {
    ("CLOSED", "listen"): "LISTEN",
    ("CLOSED", "connect"): "SYN-SENT",
    ("SYN-SENT", "SYN-ACK"): "ESTABLISHED",
}


def next_state(state, event):
    """Return the new state."""
    return EDGES.get((state, event), state)
