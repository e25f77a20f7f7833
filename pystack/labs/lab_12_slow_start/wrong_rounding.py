"""A typical wrong answer: it ignores the last segment if that is a small one."""


def round_trips(size, mss=1460, window=10):
    """Return the number of round trips."""
    left = size // mss
    trips = 1
    while left > 0:
        trips += 1
        left -= window
        window *= 2
    return trips
