"""A typical wrong answer: TLS 1.2 as fast as TLS 1.3."""

from pystack.labs.lab_15_tls import solution


def round_trips(version, resumed, flight, window, mss=1460):
    """Return the number of round trips from connect() to the first byte."""
    return solution.round_trips(version and "1.3", resumed, flight, window, mss)
