"""Lab 38: which segments should a sender with SACK repeat now?

Segments have numbers. `first` is the first one that is not acknowledged, and `next` is the one
that would be sent next, so `first` to `next - 1` have been sent. `sacked` is the set of those
that the receiver has beyond `first`, and `repeated` the set of those that were repeated
already.

A segment counts as lost if it is not in `sacked` and at least three segments above it are.
Fewer can be mere reordering.

`window` is the number of segments that may be on the way. On the way is each segment that was
sent and is neither in `sacked` nor lost, and also each repeated one that is not in `sacked`.
Repeat lost segments that were not repeated yet, the lowest first, while fewer than `window` are
on the way.
"""


def repeat(first, next, sacked, repeated, window):
    """Return the list of the segments to repeat."""
    return [number for number in range(first, next) if number not in sacked]
