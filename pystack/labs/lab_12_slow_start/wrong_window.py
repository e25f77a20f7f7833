"""A typical wrong answer: it waits until the window alone holds the whole answer, and forgets what earlier rounds have sent."""


def round_trips(size, mss=1460, window=10):
    """Return the number of round trips."""
    trips = 2
    while window < -(-size // mss):
        trips += 1
        window *= 2
    return trips
