"""A typical wrong answer: it sets the cork and never removes it."""


def send_request(client, header, body):
    """Send the header and the body."""
    client.setsockopt(6, 3, 1)
    yield client.sendall(header)
    yield client.sendall(body)
