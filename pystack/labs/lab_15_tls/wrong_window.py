"""A typical wrong answer: the size of the certificate does not matter."""

from pystack.labs.lab_15_tls import solution


def round_trips(version, resumed, flight, window, mss=1460):
    """Return the number of round trips from connect() to the first byte."""
    return solution.round_trips(version, resumed, 0, window, mss)
