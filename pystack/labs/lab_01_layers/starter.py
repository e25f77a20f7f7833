"""Lab 1: say which bytes of a frame belong to which layer.

Write `layers`. It gets a frame (bytes) that holds Ethernet, IPv4 and TCP, and returns four
numbers of bytes: Ethernet, IP, TCP, data. Ethernet has 14 bytes. Byte 0 of the IP header has
the version in its upper four bits, and the length of the header in words of four bytes in its
lower four bits. Bytes 2 and 3 have the length of the whole packet. Byte 12 of the TCP header
has the length of that header in words of four bytes in its upper four bits. A network card pads
frames that are shorter than 60 bytes with zeros, which belong to none of the four.
"""


def layers(frame):
    """Return [ethernet, ip, tcp, data], in bytes."""
    return [14, 20, 20, len(frame) - 54]
