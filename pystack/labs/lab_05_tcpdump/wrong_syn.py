"""A typical wrong answer: the SYN of the server's answer matches, too."""

from pystack.labs.lab_05_tcpdump.solution import answers, ends, troubles

__all__ = ["answers", "ends", "opens", "troubles"]


def opens():
    """SYN."""
    return "tcp[13] & 2 != 0"
