"""A typical wrong answer: it closes the connection that it keeps."""


def take(idle, port, connect):
    """Return a connection to `port` that no other request is using."""
    if idle.get(port):
        return idle[port].pop()
    return (yield from connect(port))


def give(idle, port, connection):
    """Take back a connection to `port`."""
    connection.close()
    idle.setdefault(port, []).append(connection)
