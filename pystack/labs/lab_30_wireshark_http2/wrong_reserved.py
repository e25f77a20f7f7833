"""A typical wrong answer: the reserved bit counts."""

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def frames(data):
    """Return the frames."""
    found = []
    data = data.removeprefix(PREFACE)
    while len(data) >= 9:
        length = int.from_bytes(data[:3], "big")
        if len(data) < 9 + length:
            break
        stream = int.from_bytes(data[5:9], "big")
        found.append((data[3], data[4], stream, length))
        data = data[9 + length :]
    return found
