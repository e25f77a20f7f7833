"""A typical wrong answer: a message that arrives twice is given to the program twice."""


def deliver(arrivals):
    """Return what the program gets, and when."""
    found = []
    expected: dict[int, int] = {}
    waiting: dict[int, set[int]] = {}
    for time, stream, number in arrivals:
        held = waiting.setdefault(stream, set())
        if number >= expected.get(stream, 0):
            held.add(number)
        if number < expected.get(stream, 0):
            found.append((time, stream, number))
        while expected.get(stream, 0) in held:
            number = expected.get(stream, 0)
            held.remove(number)
            found.append((time, stream, number))
            expected[stream] = number + 1
    return found
