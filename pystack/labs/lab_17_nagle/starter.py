"""Lab 17: send a request without the wait.

Your team's library sends a request in two calls. Change `send_request` so that an exchange
takes one round trip. The server must get the same bytes: the header, then the body. You can
change only this side.

A call of a socket is an operation: `yield client.sendall(data)` waits until it is done.
`client.setsockopt(6, option, value)` sets an option of TCP: 1 is TCP_NODELAY, and 3 is
TCP_CORK.
"""


def send_request(client, header, body):
    """Send the header and the body."""
    yield client.sendall(header)
    yield client.sendall(body)
