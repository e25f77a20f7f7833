"""Lab 16: believe a router as far as it says something, and halve the range if none does."""


def discover(probe, low, high):
    """Return the MTU of the path."""
    size = high
    while low < high:
        answer, mtu = yield from probe(size)
        if answer == "arrived":
            low = size
        elif answer == "too big" and low <= mtu < size:
            high = size = mtu
            continue
        else:
            high = size - 1
        size = (low + high + 1) // 2
    return low
