"""Lab 19: write a pool of connections.

Whoever has a request calls `take`, uses the connection, and calls `give` when the answer is
there. `idle` is a dict of your own, empty at the start, which both functions get: keep in it
what you like. `yield from connect(port)` opens a new connection to the server's port, which
takes a round trip. Several requests may be under way at the same time, to several ports, and
each needs a connection for itself.
"""


def take(idle, port, connect):
    """Return a connection to `port` that no other request is using."""
    return (yield from connect(port))


def give(idle, port, connection):
    """Take back a connection to `port`."""
    connection.close()
