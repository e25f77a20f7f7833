"""Lab 35: write the queue in front of a slow link, so that it stays short.

`enqueue` gets a packet when it arrives, and `dequeue` is called when the link can send the next
one. `now` is the time in ns. A packet has its length in bytes, `packet.size`. A packet that you
do not return, because you throw it away, is dropped.

The queue must

- let a burst of 15 packets pass,
- keep the order of the packets,
- keep the link busy,
- and let packets wait for only a short time in the long run, on links of any rate, also if
  several senders use it.

The queue does not know the rate of the link. CoDel (RFC 8289) does it like this: a packet that
is at the head has waited too long if it has waited for TARGET or longer and others wait behind
it. If this is so for each packet of an INTERVAL, the packet at the head is dropped, and the
next one is sent. As long as packets wait too long, more are dropped: the second one an INTERVAL
after the first one, the next one INTERVAL / sqrt(2) after that, then INTERVAL / sqrt(3), and so
on. The first packet that has not waited too long ends this.
"""

TARGET = 5_000_000
INTERVAL = 100_000_000


class Aqm:
    """A queue that is managed."""

    def __init__(self):
        self.packets = []

    def enqueue(self, packet, now):
        """Take a packet."""
        self.packets.append((now, packet))

    def dequeue(self, now):
        """Return the next packet to send, or None."""
        if not self.packets:
            return None
        since, packet = self.packets.pop(0)
        return packet
