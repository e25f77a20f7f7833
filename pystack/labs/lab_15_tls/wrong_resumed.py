"""A typical wrong answer: a resumed session of TLS 1.3 needs no round trip."""

from pystack.labs.lab_15_tls import solution


def round_trips(version, resumed, flight, window, mss=1460):
    """Return the number of round trips from connect() to the first byte."""
    return solution.round_trips(version, resumed, flight, window, mss) - (version == "1.3" and resumed)
