"""A typical wrong answer: each packet is as long as the MTU, also if the next offset is then no multiple of 8."""


def fragments(size, mtu):
    """Return the packets of a datagram with `size` bytes of data."""
    room, found = mtu - 20, []
    for at in range(0, 8 + size, room):
        part = min(room, 8 + size - at)
        found.append([20 + part, at // 8, int(at + part < 8 + size)])
    return found
