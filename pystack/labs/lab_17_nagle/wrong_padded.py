"""A typical wrong answer: Nagle's algorithm never holds a full segment, so this fills one. The server did not ask for that."""


def send_request(client, header, body):
    """Send the header and the body."""
    yield client.sendall((header + body).ljust(1460, b"\0"))
