"""Lab 3, wrong: a silent destination never ends the trace."""


def trace(probe):
    """Return the addresses of the hops."""
    found: list = []
    while True:
        answer = yield from probe(len(found) + 1)
        found.append(answer[0] if answer else None)
        if answer and answer[1] in (0, 3):
            return found
