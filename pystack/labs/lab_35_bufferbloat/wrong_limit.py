"""A typical wrong answer: a number of packets, which is right for one rate only."""

LIMIT = 16


class Aqm:
    """A queue that is short."""

    def __init__(self):
        self.packets = []

    def enqueue(self, packet, now):
        """Take a packet."""
        if len(self.packets) < LIMIT:
            self.packets.append(packet)

    def dequeue(self, now):
        """Return the next packet to send, or None."""
        return self.packets.pop(0) if self.packets else None
