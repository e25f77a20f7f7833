"""A typical wrong answer: a FIN carries an ACK as well, so its flags are not equal to 1."""

from pystack.labs.lab_05_tcpdump.solution import answers, opens, troubles

__all__ = ["answers", "ends", "opens", "troubles"]


def ends():
    """The flags are FIN, or RST."""
    return "tcp[13] = 1 or tcp[13] = 4"
