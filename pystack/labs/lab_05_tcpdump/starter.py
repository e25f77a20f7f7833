"""Lab 5: write filters in tcpdump's language.

Each function returns an expression as a string. `tcp[13]` is the byte of the TCP header with
the flags: 1 is FIN, 2 is SYN, 4 is RST, 8 is PSH and 16 is ACK. `icmp[0]` is the type of an
ICMP message: 8 and 0 are the request and the reply of a ping. `ip[2:2]` is the total length of
the packet. The manual page pcap-filter(7) has the language.
"""


def opens():
    """Match the first segment of each connection to any port, and no answer to it."""
    return "tcp"


def ends():
    """Match each segment that ends a connection, or one direction of it: FIN or RST."""
    return "tcp"


def answers():
    """Match each segment from port 80 that carries at least one byte of data."""
    return "tcp src port 80"


def troubles():
    """Match all ICMP messages but those of ping."""
    return "icmp"
