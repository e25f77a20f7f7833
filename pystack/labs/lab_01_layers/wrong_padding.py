"""A typical wrong answer: all that follows the headers is data, also the padding."""


def layers(frame):
    """Return [ethernet, ip, tcp, data], in bytes."""
    ip = (frame[14] & 15) * 4
    tcp = (frame[14 + ip + 12] >> 4) * 4
    return [14, ip, tcp, len(frame) - 14 - ip - tcp]
