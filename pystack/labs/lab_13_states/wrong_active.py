"""A typical wrong answer: the side that closes first does not wait."""

from pystack.labs.lab_13_states import solution

EDGES = {
    **solution.EDGES,
    ("FIN-WAIT-2", "FIN"): "CLOSED",
    ("FIN-WAIT-1", "FIN-ACK"): "CLOSED",
    ("CLOSING", "ACK"): "CLOSED",
}


def next_state(state, event):
    """Return the new state."""
    return "CLOSED" if event == "RST" else EDGES.get((state, event), state)
