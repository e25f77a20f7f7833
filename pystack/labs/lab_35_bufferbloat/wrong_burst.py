"""A typical wrong answer: each packet that has waited too long is dropped at once."""

TARGET = 5_000_000


class Aqm:
    """A queue that is managed."""

    def __init__(self):
        self.packets = []

    def enqueue(self, packet, now):
        """Take a packet."""
        self.packets.append((now, packet))

    def dequeue(self, now):
        """Return the next packet to send, or None."""
        while self.packets:
            since, packet = self.packets.pop(0)
            if now - since < TARGET or not self.packets:
                return packet
        return None
