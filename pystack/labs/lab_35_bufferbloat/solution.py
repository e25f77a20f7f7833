"""Lab 35: CoDel (RFC 8289). It looks at the time that packets wait, and not at how many wait."""

TARGET = 5_000_000
INTERVAL = 100_000_000


class Aqm:
    """A queue that is managed."""

    def __init__(self):
        self.packets = []
        self.late_at = None  # from this time on, packets have waited too long for an interval
        self.next_drop = None  # None: nothing is dropped at present
        self.drops = 0

    def enqueue(self, packet, now):
        """Take a packet."""
        self.packets.append((now, packet))

    def take(self, now):
        """Take the first packet. Returns it, and whether packets have waited too long for an interval."""
        since, packet = self.packets.pop(0)
        if now - since < TARGET or not self.packets:
            self.late_at = None
            return packet, False
        if self.late_at is None:
            self.late_at = now + INTERVAL
        return packet, now >= self.late_at

    def dequeue(self, now):
        """Return the next packet to send, or None."""
        if not self.packets:
            self.late_at = None
            return None
        packet, late = self.take(now)
        if not late:
            self.next_drop = None
            return packet
        if self.next_drop is None:
            self.drops = 1
            self.next_drop = now + INTERVAL
            return self.take(now)[0] if self.packets else None
        while now >= self.next_drop and late and self.packets:
            self.drops += 1
            self.next_drop += INTERVAL / self.drops**0.5
            packet, late = self.take(now)
        return packet
