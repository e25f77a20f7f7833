"""A typical wrong answer: it takes each acknowledgement as that of the last message."""

TIMEOUT = 200_000_000  # ns


def send_all(sock, messages):
    """Send the messages."""
    for number, message in enumerate(messages):
        acknowledged = False
        sock.sendto(bytes([number]) + message)
        while not acknowledged:
            try:
                yield sock.within(sock.recvfrom(), TIMEOUT)
                acknowledged = True
            except TimeoutError:
                sock.sendto(bytes([number]) + message)
