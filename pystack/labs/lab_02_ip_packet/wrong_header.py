"""A typical wrong answer: no UDP header."""


def fragments(size, mtu):
    """Return the packets of a datagram with `size` bytes of data."""
    room, found = (mtu - 20) // 8 * 8, []
    for at in range(0, size, room):
        part = min(room, size - at)
        found.append([20 + part, at // 8, int(at + part < size)])
    return found
