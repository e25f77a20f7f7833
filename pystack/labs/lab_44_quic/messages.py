"""Messages with numbers, and what takes them out of streams."""

from pystack.testing.lab import Lab

SIZE = 1000  # bytes of a message


def message(number: int, size: int = SIZE) -> bytes:
    """Return a message."""
    return number.to_bytes(4, "big") * (size // 4)


class Taker:
    """Takes the messages of each stream, in their order. `latency` is how long each took until it was there (ns)."""

    def __init__(self, lab: Lab, size: int = SIZE):
        self.lab, self.size = lab, size
        self.buffers: dict[int, bytes] = {}
        self.sent: dict[int, int] = {}
        self.latency: dict[int, int] = {}

    def take(self, stream: int, data: bytes) -> None:
        """Take what has arrived of a stream."""
        have = self.buffers.get(stream, b"") + data
        while len(have) >= self.size:
            number = int.from_bytes(have[:4], "big")
            assert have[: self.size] == message(number, self.size)
            self.latency[number] = self.lab.net.now - self.sent[number]
            have = have[self.size :]
        self.buffers[stream] = have
