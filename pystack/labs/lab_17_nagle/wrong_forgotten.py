"""A typical wrong answer: without `yield`, the second call is made and never done."""


def send_request(client, header, body):
    """Send the header and the body."""
    yield client.sendall(header)
    client.sendall(body)
