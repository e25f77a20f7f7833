"""Lab 8: send, and repeat until the acknowledgement of this message comes."""

TIMEOUT = 200_000_000  # ns


def send_all(sock, messages):
    """Send the messages."""
    for number, message in enumerate(messages):
        acknowledged = False
        sock.sendto(bytes([number]) + message)
        while not acknowledged:
            try:
                got = yield sock.within(sock.recvfrom(), TIMEOUT)
                acknowledged = got.data == bytes([number])
            except TimeoutError:
                sock.sendto(bytes([number]) + message)
