"""A typical wrong answer: it does not end at the destination."""


def trace(probe):
    """Return the addresses of the hops."""
    found = []
    for ttl in range(1, 31):
        answer = yield from probe(ttl)
        found.append(answer[0] if answer else None)
    return found
