"""A typical wrong answer: the destination itself is missing."""


def trace(probe):
    """Return the addresses of the hops."""
    found = []
    for ttl in range(1, 31):
        answer = yield from probe(ttl)
        if answer and answer[1] in (0, 3):
            break
        found.append(answer[0] if answer else None)
    return found
