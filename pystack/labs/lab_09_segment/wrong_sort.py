"""A typical wrong answer: it compares the numbers themselves, so what comes after 0 comes first."""


def reassemble(isn, segments):
    """Return the stream."""
    stream, expected = b"", isn + 1
    for number, data in sorted(segments):
        if number > expected:
            break
        data = data[expected - number :]
        stream, expected = stream + data, expected + len(data)
    return stream
