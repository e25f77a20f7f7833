"""A typical wrong answer: it does not pass on the end."""

LIMIT = 16_384  # bytes


def pump(source, target):
    """Carry one direction."""
    while data := (yield source.recv(LIMIT)):
        yield target.sendall(data)
