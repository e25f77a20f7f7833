"""Lab 3: one hop more each time, until an answer is no "time exceeded"."""


def trace(probe):
    """Return the addresses of the hops."""
    found = []
    for ttl in range(1, 31):
        answer = yield from probe(ttl)
        found.append(answer[0] if answer else None)
        if answer and answer[1] in (0, 3):
            break
    return found
