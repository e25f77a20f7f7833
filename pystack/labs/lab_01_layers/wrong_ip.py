"""Lab 1, wrong: the IP header has 20 bytes, and only the TCP header may have options."""


def layers(frame):
    """Return [ethernet, ip, tcp, data], in bytes."""
    tcp = (frame[46] >> 4) * 4
    total = int.from_bytes(frame[16:18], "big")
    return [14, 20, tcp, total - 20 - tcp]
