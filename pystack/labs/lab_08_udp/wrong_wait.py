"""A typical wrong answer: it waits for ever for an acknowledgement that is lost."""


def send_all(sock, messages):
    """Send the messages."""
    for number, message in enumerate(messages):
        sock.sendto(bytes([number]) + message)
        while (yield sock.recvfrom()).data != bytes([number]):
            pass
