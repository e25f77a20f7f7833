"""Lab 22: for each stream, the number that is next, and what waits."""


def deliver(arrivals):
    """Return what the program gets, and when."""
    found = []
    expected: dict[int, int] = {}
    waiting: dict[int, set[int]] = {}
    for time, stream, number in arrivals:
        held = waiting.setdefault(stream, set())
        if number >= expected.get(stream, 0):
            held.add(number)
        while expected.get(stream, 0) in held:
            number = expected.get(stream, 0)
            held.remove(number)
            found.append((time, stream, number))
            expected[stream] = number + 1
    return found
