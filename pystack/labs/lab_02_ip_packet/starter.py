"""Lab 2: say what a UDP datagram becomes if it is too long for one packet.

Write `fragments`. It returns a list with one [total length, offset, more fragments] for each
packet. The total length counts the bytes of the packet with its IP header of 20 bytes. The
offset counts units of 8 bytes from the beginning of what IP carries, which is the UDP header of
8 bytes and the data. More fragments is 1 or 0. A packet has at most `mtu` bytes, and carries as
much as it can.
"""


def fragments(size, mtu):
    """Return the packets of a datagram with `size` bytes of data."""
    return [[20 + 8 + size, 0, 0]]
