"""A typical wrong answer: it puts segments together although something between them is missing."""


def reassemble(isn, segments):
    """Return the stream."""
    stream, end = b"", 0
    for at, data in sorted(((number - isn - 1) % 2**32, data) for number, data in segments):
        data = data[max(end - at, 0) :]
        stream, end = stream + data, max(end, at) + len(data)
    return stream
