"""A typical wrong answer: a UDP header in each fragment."""


def fragments(size, mtu):
    """Return the packets of a datagram with `size` bytes of data."""
    room, found = (mtu - 28) // 8 * 8, []
    for at in range(0, size, room):
        part = min(room, size - at)
        found.append([28 + part, at // 8, int(at + part < size)])
    return found
