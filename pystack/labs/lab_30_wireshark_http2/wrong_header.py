"""A typical wrong answer: the length includes the nine bytes."""

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def frames(data):
    """Return the frames."""
    found = []
    data = data.removeprefix(PREFACE)
    while len(data) >= 9:
        length = int.from_bytes(data[:3], "big")
        if len(data) < length:
            break
        stream = int.from_bytes(data[5:9], "big") & 0x7FFFFFFF
        found.append((data[3], data[4], stream, length))
        data = data[max(length, 9) :]
    return found
