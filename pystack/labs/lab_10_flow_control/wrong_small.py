"""A typical wrong answer: it waits for a full segment, which a small buffer may never have room for."""


def window(free, announced, capacity, mss):
    """Return the window to announce."""
    return free if free - announced >= mss else announced
