"""Lab 9, wrong: the next segment must begin exactly where the stream ends."""


def reassemble(isn, segments):
    """Return the stream."""
    parts = {(number - isn - 1) % 2**32: data for number, data in segments}
    stream = b""
    while len(stream) in parts:
        stream += parts[len(stream)]
    return stream
