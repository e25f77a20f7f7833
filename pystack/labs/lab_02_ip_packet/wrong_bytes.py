"""A typical wrong answer: offsets in bytes."""


def fragments(size, mtu):
    """Return the packets of a datagram with `size` bytes of data."""
    room, found = (mtu - 20) // 8 * 8, []
    for at in range(0, 8 + size, room):
        part = min(room, 8 + size - at)
        found.append([20 + part, at, int(at + part < 8 + size)])
    return found
