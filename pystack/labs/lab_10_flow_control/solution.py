"""Lab 10: the old window, until the step is worth it."""


def window(free, announced, capacity, mss):
    """Return the window to announce."""
    if free - announced >= min(mss, capacity // 2):
        return free
    return announced
