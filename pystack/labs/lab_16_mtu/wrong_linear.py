"""A typical wrong answer: one byte less each time."""


def discover(probe, low, high):
    """Return the MTU of the path."""
    for size in range(high, low, -1):
        answer, mtu = yield from probe(size)
        if answer == "arrived":
            return size
    return low
