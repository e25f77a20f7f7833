"""A typical wrong answer: it takes back what it has announced while little is free."""


def window(free, announced, capacity, mss):
    """Return the window to announce."""
    return free if free - announced >= min(mss, capacity // 2) else 0
