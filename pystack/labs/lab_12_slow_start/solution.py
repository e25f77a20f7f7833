"""Lab 12: one round trip for the connection, and then rounds until all segments are sent."""


def round_trips(size, mss=1460, window=10):
    """Return the number of round trips."""
    left = -(-size // mss)  # segments, the last of which may be a small one
    trips = 1  # SYN and SYN-ACK; the request leaves with the ACK
    while left > 0:
        trips += 1
        left -= window
        window *= 2
    return trips
