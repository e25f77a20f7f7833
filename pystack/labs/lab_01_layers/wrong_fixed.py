"""A typical wrong answer: a TCP header of 20 bytes in each frame."""


def layers(frame):
    """Return [ethernet, ip, tcp, data], in bytes."""
    return [14, 20, 20, int.from_bytes(frame[16:18], "big") - 40]
