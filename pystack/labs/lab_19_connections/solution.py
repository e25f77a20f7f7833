"""Lab 19: a list of idle connections for each port."""


def take(idle, port, connect):
    """Return a connection to `port` that no other request is using."""
    if idle.get(port):
        return idle[port].pop()
    return (yield from connect(port))


def give(idle, port, connection):
    """Take back a connection to `port`."""
    idle.setdefault(port, []).append(connection)
