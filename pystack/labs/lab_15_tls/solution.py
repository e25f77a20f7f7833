"""Lab 15: the connection, the request, the handshake, and the rounds that a long flight needs more."""


def round_trips(version, resumed, flight, window, mss=1460):
    """Return the number of round trips from connect() to the first byte."""
    if version is None:
        return 2
    trips = 2 + (2 if version == "1.2" and not resumed else 1)
    left = -(-flight // mss) - window
    while left > 0:
        trips, window = trips + 1, window * 2
        left -= window
    return trips
