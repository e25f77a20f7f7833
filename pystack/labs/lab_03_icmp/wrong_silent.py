"""A typical wrong answer: it ends at the first hop that does not answer."""


def trace(probe):
    """Return the addresses of the hops."""
    found = []
    for ttl in range(1, 31):
        answer = yield from probe(ttl)
        if answer is None:
            break
        found.append(answer[0])
        if answer[1] in (0, 3):
            break
    return found
