"""A typical wrong answer: it looks at the length of the frame, but a header with options is long, too."""

from pystack.labs.lab_05_tcpdump.solution import ends, opens, troubles

__all__ = ["answers", "ends", "opens", "troubles"]


def answers():
    """Longer than the three headers without options."""
    return "tcp src port 80 and greater 55"
