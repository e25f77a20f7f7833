"""Lab 27: which datagram caused an ICMP error?

`offender` gets an IPv4 packet as bytes, from its first byte on. If it is an ICMP error of type
3 that quotes a UDP datagram, `offender` returns (source address, source port, destination
address, destination port) of this datagram. Addresses are texts such as "10.0.0.1". In all
other cases it returns None.

The header of IPv4: byte 0 has the version in its upper 4 bits and the header's length, in units
of 4 bytes, in its lower 4 bits. Byte 9 is the protocol (1 is ICMP, 17 is UDP), bytes 12 to 15
are the source address, and 16 to 19 the destination. Behind the header of an ICMP error, which
has 8 bytes (byte 0 is the type), is the quoted packet. A UDP header begins with the source port
and the destination port, 2 bytes each.
"""


def offender(packet):
    """Return (source, port, destination, port), or None."""
    return None
