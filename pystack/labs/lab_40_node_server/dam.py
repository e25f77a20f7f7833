"""A box on the way that holds acknowledgements back, so that the grader sees what a server sends without them."""

from pystack.sim.middlebox import IN, OUT, Middlebox, Sent


class Dam(Middlebox):
    """Holds back the client's acknowledgements once it is closed, counts the bytes that the server sends then, and notices when it sends data again."""

    kind = "dam"

    def __init__(self) -> None:
        super().__init__()
        self.closed = False
        self.again = False
        self._seen: dict[int, int] = {}

    def close(self) -> None:
        """From now on, hold acknowledgements back, and count."""
        self.closed, self.again, self._seen = True, False, {}

    def sent(self) -> int:
        """Return how many bytes the server has sent since then."""
        return sum(self._seen.values())

    def handle(self, way: int, frame: bytes, now: int) -> Sent:
        """See Middlebox."""
        segment = self.segment(frame)
        if segment is None or not self.closed:
            return [(way, frame)]
        if way == OUT and not segment.length and not segment.opens():
            return []
        if way == IN and segment.length:
            self.again = self.again or segment.seq in self._seen
            self._seen.setdefault(segment.seq, segment.length)
        return [(way, frame)]
