"""Lab 5: four filters."""


def opens():
    """SYN without ACK."""
    return "tcp[13] & 18 = 2"


def ends():
    """FIN or RST."""
    return "tcp[13] & 5 != 0"


def answers():
    """The total length is more than both headers."""
    return "tcp src port 80 and ip[2:2] - ((ip[0] & 15) << 2) - ((tcp[12] & 240) >> 2) != 0"


def troubles():
    """All types but two."""
    return "icmp[0] != 8 and icmp[0] != 0"
