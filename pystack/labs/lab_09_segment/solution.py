"""Lab 9: the place of each segment in the stream, modulo 2**32, and then one after the other."""


def reassemble(isn, segments):
    """Return the stream."""
    placed = sorted(((number - isn - 1) % 2**32, data) for number, data in segments)
    stream = b""
    for at, data in placed:
        if at > len(stream):
            break
        stream += data[len(stream) - at :]
    return stream
