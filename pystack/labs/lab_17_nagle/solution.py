"""Lab 17: one write for one request, so there is no second small segment that has to wait."""


def send_request(client, header, body):
    """Send the header and the body."""
    yield client.sendall(header + body)
