"""Lab 18: when does a receiver send an acknowledgement?

`acks` returns the times (ms) at which the receiver sends pure acknowledgements, in their order.
`arrivals` has (time, bytes) of each segment that arrives in order, and `answers` the times at
which the receiver's program sends data of its own, which carries an acknowledgement for
everything that has arrived. No two things happen at the same time.

The rule: a receiver acknowledges at once if two full segments (2 * FULL bytes) or more are not
yet acknowledged. Otherwise it waits, but an acknowledgement may be delayed by DELAY ms at most,
counted from the first segment that it delays.
"""

FULL = 1460  # bytes
DELAY = 40  # ms


def acks(arrivals, answers):
    """Return the times of the pure acknowledgements."""
    return [time for time, _ in arrivals]
