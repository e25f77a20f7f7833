"""A typical wrong answer: if a frame arrives twice, the second time counts."""


def first_arrivals(log):
    """Return when each frame arrived first. The keys are in the order in which the frames were sent for the first time."""
    first: dict = {}
    for arrived, frames in log:
        for frame in frames:
            known = first.get(frame)
            first[frame] = arrived if known is None else known if arrived is None else max(known, arrived)
    return first


def over_quic(log):
    """Return when each stream is complete over QUIC."""
    complete: dict = {}
    for (stream, _), arrived in first_arrivals(log).items():
        complete[stream] = max(complete.get(stream, arrived), arrived)
    return complete


def over_tcp(log):
    """Return when each stream is complete over TCP."""
    complete: dict = {}
    until = None
    for (stream, _), arrived in first_arrivals(log).items():
        until = arrived if until is None else max(until, arrived)
        complete[stream] = until
    return complete
