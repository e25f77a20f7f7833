"""A typical wrong answer: what is there twice is in the stream twice."""


def reassemble(isn, segments):
    """Return the stream."""
    placed = sorted(((number - isn - 1) % 2**32, data) for number, data in segments)
    stream, end = b"", 0
    for at, data in placed:
        if at > end:
            break
        stream, end = stream + data, at + len(data)
    return stream
