"""Lab 35, wrong: the newest packet leaves first, so it has not waited."""


class Aqm:
    """A stack instead of a queue."""

    def __init__(self):
        self.packets = []

    def enqueue(self, packet, now):
        """Take a packet."""
        self.packets.append(packet)

    def dequeue(self, now):
        """Return the next packet to send, or None."""
        return self.packets.pop() if self.packets else None
