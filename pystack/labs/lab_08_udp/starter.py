"""Lab 8: make UDP reliable.

`send_all` sends each message with its number, a byte, in front of it: 0, 1, 2 and so on. The
receiver answers each datagram with an acknowledgement: a datagram with that number. It delivers
a message only if its number is the one that it expects next, but it acknowledges others, too.
Datagrams and acknowledgements may be lost, and an acknowledgement may be late. When `send_all`
returns, all messages must be delivered, each once and in order. Send the next message when the
one before is acknowledged.

`sock.sendto(data)` sends a datagram at once. `(yield sock.recvfrom()).data` waits for the next
one. With a limit:

    try:
        got = yield sock.within(sock.recvfrom(), TIMEOUT)
    except TimeoutError:
        ...
"""

TIMEOUT = 200_000_000  # ns


def send_all(sock, messages):
    """Send the messages."""
    for number, message in enumerate(messages):
        sock.sendto(bytes([number]) + message)
    yield sock.recvfrom()
