"""A typical wrong answer: it does not count the round trip of the connection."""


def round_trips(size, mss=1460, window=10):
    """Return the number of round trips."""
    left = -(-size // mss)
    trips = 0
    while left > 0:
        trips += 1
        left -= window
        window *= 2
    return trips
