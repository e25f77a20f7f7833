"""Lab 33: a piece at a time, and the end of one direction only."""

LIMIT = 16_384  # bytes


def pump(source, target):
    """Carry one direction."""
    while data := (yield source.recv(LIMIT)):
        yield target.sendall(data)
    target.shutdown()
