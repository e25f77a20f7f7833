"""A typical wrong answer: it holds more than it may."""

LIMIT = 16_384  # bytes


def pump(source, target):
    """Carry one direction."""
    while data := (yield source.recv(1 << 20)):
        yield target.sendall(data)
    target.shutdown()
