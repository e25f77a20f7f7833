"""A typical wrong answer: it closes both directions when one has ended."""

LIMIT = 16_384  # bytes


def pump(source, target):
    """Carry one direction."""
    while data := (yield source.recv(LIMIT)):
        yield target.sendall(data)
    target.close()
