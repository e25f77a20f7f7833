"""A typical wrong answer: the answers carry no acknowledgement."""

FULL = 1460  # bytes
DELAY = 40  # ms


def acks(arrivals, answers):
    """Return the times of the pure acknowledgements."""
    found = []
    waiting, due = 0, None
    events = [(time, size) for time, size in arrivals] + []
    for time, size in [*sorted(events, key=lambda event: event[0]), (float("inf"), None)]:
        if due is not None and due < time:
            found.append(due)
            waiting, due = 0, None
        if size is None:
            waiting, due = 0, None
            continue
        waiting += size
        if waiting >= 2 * FULL:
            found.append(time)
            waiting, due = 0, None
        elif due is None:
            due = time + DELAY
    return found
