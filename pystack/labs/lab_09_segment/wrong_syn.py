"""A typical wrong answer: it forgets that the SYN has a number of its own."""


def reassemble(isn, segments):
    """Return the stream."""
    stream = b""
    for at, data in sorted(((number - isn) % 2**32, data) for number, data in segments):
        if at > len(stream):
            break
        stream += data[len(stream) - at :]
    return stream
