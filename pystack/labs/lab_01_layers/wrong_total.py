"""A typical wrong answer: the total length of IP without the TCP header, but with the IP header, as the length of the data."""


def layers(frame):
    """Return [ethernet, ip, tcp, data], in bytes."""
    ip = (frame[14] & 15) * 4
    tcp = (frame[14 + ip + 12] >> 4) * 4
    return [14, ip, tcp, int.from_bytes(frame[16:18], "big") - tcp]
