"""Lab 2: pieces of a multiple of 8 bytes, and the rest."""


def fragments(size, mtu):
    """Return the packets of a datagram with `size` bytes of data."""
    carried = 8 + size  # the UDP header is in the first fragment
    if 20 + carried <= mtu:
        return [[20 + carried, 0, 0]]
    room = (mtu - 20) // 8 * 8
    found, at = [], 0
    while carried - at > mtu - 20:
        found.append([20 + room, at // 8, 1])
        at += room
    return [*found, [20 + carried - at, at // 8, 0]]
