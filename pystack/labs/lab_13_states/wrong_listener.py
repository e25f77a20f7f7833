"""A typical wrong answer: a reset ends a listener, too."""

from pystack.labs.lab_13_states import solution


def next_state(state, event):
    """Return the new state."""
    return "CLOSED" if event == "RST" else solution.next_state(state, event)
