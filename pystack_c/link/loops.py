"""How a bridge notices a loop of links: a frame that it flooded comes back at another port, or an address changes its port again and again.

Without a loop, neither happens: a flooded frame leaves by the other ports and never returns, and a host moves rarely. A bridge
that recognizes the frame can drop it. So a loop, in which frames would circulate and multiply for ever, costs a bounded number of frames.
"""

from hashlib import blake2b
from typing import Any

S = 1_000_000_000
#: a flooded frame is remembered for this many ns
REMEMBERED = 1 * S
#: the most frames, and the most addresses, that are remembered
MOST = 4096
#: an address that changes its port so often within FLAP_TIME is reported
FLAPS, FLAP_TIME = 5, 1 * S


class LoopGuard:
    """The flooded frames of the last second, and the addresses that changed their ports."""

    def __init__(self) -> None:
        #: digest of a frame -> (the port at which it arrived first, the time). The oldest one is the first
        self.frames: dict[bytes, tuple[Any, int]] = {}
        #: key of an address -> (the time of its first move, the moves since then)
        self.moves: dict[bytes, tuple[int, int]] = {}
        self.returned = 0
        self.flapping = 0

    def returns(self, frame: bytes, port: Any, now: int) -> bool:
        """Return True if this frame, which is about to be flooded, is one that was flooded already and arrived at another port then."""
        digest = blake2b(frame, digest_size=16).digest()
        seen = self.frames.get(digest)
        if seen is not None and now - seen[1] <= REMEMBERED and seen[0] is not port:
            self.returned += 1
            return True
        if seen is not None:
            del self.frames[digest]
        elif len(self.frames) >= MOST:
            del self.frames[next(iter(self.frames))]
        self.frames[digest] = (port, now)
        return False

    def flaps(self, address: bytes, now: int) -> bool:
        """Count that an address changed its port. Returns True at the change that makes it a flapping one, and not again at once."""
        since, count = self.moves.pop(address, (now, 0))
        if now - since > FLAP_TIME:
            since, count = now, 0
        count += 1
        if count < FLAPS and len(self.moves) >= MOST:
            del self.moves[next(iter(self.moves))]
        if count < FLAPS:
            self.moves[address] = (since, count)
            return False
        self.flapping += 1
        return True
