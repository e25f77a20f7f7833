"""A typical wrong answer: only the destination ends it."""


def trace(probe):
    """Return the addresses of the hops."""
    found = []
    for ttl in range(1, 31):
        answer = yield from probe(ttl)
        found.append(answer[0] if answer else None)
        if answer and answer[1] == 0:
            break
    return found
