"""A typical wrong answer: one line for all streams, so a gap in one of them stops the others."""


def deliver(arrivals):
    """Return what the program gets, and when."""
    found = []
    expected: dict[int, int] = {}
    waiting: list[tuple[int, int]] = []
    for time, stream, number in arrivals:
        if (stream, number) not in waiting and number >= expected.get(stream, 0):
            waiting.append((stream, number))
        if number != expected.get(stream, 0):
            continue
        if any(other != stream and first > expected.get(other, 0) for other, first in waiting):
            continue
        for one in sorted(waiting, key=lambda one: one[1]):
            if one[1] == expected.get(one[0], 0):
                found.append((time, *one))
                expected[one[0]] = one[1] + 1
                waiting.remove(one)
    return found
