"""A typical wrong answer: one connection for each port, also if a request is using it."""


def take(idle, port, connect):
    """Return a connection to `port`."""
    if port not in idle:
        idle[port] = yield from connect(port)
    return idle[port]


def give(idle, port, connection):
    """Take back a connection to `port`."""
