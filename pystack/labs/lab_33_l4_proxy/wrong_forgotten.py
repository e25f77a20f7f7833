"""A typical wrong answer: without yield, nothing is sent."""

LIMIT = 16_384  # bytes


def pump(source, target):
    """Carry one direction."""
    while data := (yield source.recv(LIMIT)):
        target.sendall(data)
    target.shutdown()
