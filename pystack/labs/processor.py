"""Seconds of processor time."""


def own_seconds() -> float:
    """Return those of this process."""
    return _seconds("RUSAGE_SELF")


def children_seconds() -> float:
    """Return those of this process's children that have ended."""
    return _seconds("RUSAGE_CHILDREN")


def _seconds(whose: str) -> float:
    import resource  # a browser does not have it

    used = resource.getrusage(getattr(resource, whose))
    return used.ru_utime + used.ru_stime
