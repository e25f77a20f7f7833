"""Lab 13: figure 5 as a table, and a reset ends each connection."""

EDGES = {
    ("CLOSED", "listen"): "LISTEN",
    ("CLOSED", "connect"): "SYN-SENT",
    ("LISTEN", "SYN"): "SYN-RECEIVED",
    ("LISTEN", "close"): "CLOSED",
    ("SYN-SENT", "SYN-ACK"): "ESTABLISHED",
    ("SYN-SENT", "SYN"): "SYN-RECEIVED",
    ("SYN-SENT", "close"): "CLOSED",
    ("SYN-RECEIVED", "ACK"): "ESTABLISHED",
    ("SYN-RECEIVED", "close"): "FIN-WAIT-1",
    ("ESTABLISHED", "close"): "FIN-WAIT-1",
    ("ESTABLISHED", "FIN"): "CLOSE-WAIT",
    ("FIN-WAIT-1", "ACK"): "FIN-WAIT-2",
    ("FIN-WAIT-1", "FIN"): "CLOSING",
    ("FIN-WAIT-1", "FIN-ACK"): "TIME-WAIT",
    ("FIN-WAIT-2", "FIN"): "TIME-WAIT",
    ("CLOSING", "ACK"): "TIME-WAIT",
    ("CLOSE-WAIT", "close"): "LAST-ACK",
    ("LAST-ACK", "ACK"): "CLOSED",
    ("TIME-WAIT", "timeout"): "CLOSED",
}


def next_state(state, event):
    """Return the new state."""
    if event == "RST" and state != "LISTEN":
        return "CLOSED"
    return EDGES.get((state, event), state)
