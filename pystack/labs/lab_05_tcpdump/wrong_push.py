"""A typical wrong answer: it takes PSH as "has data", which only the last segment of a write has."""

from pystack.labs.lab_05_tcpdump.solution import ends, opens, troubles

__all__ = ["answers", "ends", "opens", "troubles"]


def answers():
    """PSH."""
    return "tcp src port 80 and tcp[13] & 8 != 0"
