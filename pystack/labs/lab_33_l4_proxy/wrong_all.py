"""A typical wrong answer: it waits for the end before it sends anything."""


def pump(source, target):
    """Carry one direction."""
    parts = []
    while data := (yield source.recv(16_384)):
        parts.append(data)
    yield target.sendall(b"".join(parts))
    target.shutdown()
