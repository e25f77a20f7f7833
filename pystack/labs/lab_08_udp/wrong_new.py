"""A typical wrong answer: a message that is repeated gets a new number, so the receiver cannot know that it has it already."""

TIMEOUT = 200_000_000  # ns


def send_all(sock, messages):
    """Send the messages."""
    number = 0
    for message in messages:
        acknowledged = False
        sock.sendto(bytes([number]) + message)
        while not acknowledged:
            try:
                got = yield sock.within(sock.recvfrom(), TIMEOUT)
                acknowledged = got.data == bytes([number])
            except TimeoutError:
                number += 1
                sock.sendto(bytes([number]) + message)
        number += 1
