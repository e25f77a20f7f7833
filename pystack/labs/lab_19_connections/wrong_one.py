"""Lab 19, wrong: one idle connection for each port is kept, and others are forgotten."""


def take(idle, port, connect):
    """Return a connection to `port` that no other request is using."""
    if port in idle:
        return idle.pop(port)
    return (yield from connect(port))


def give(idle, port, connection):
    """Take back a connection to `port`."""
    idle[port] = connection
