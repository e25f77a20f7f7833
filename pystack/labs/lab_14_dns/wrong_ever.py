"""A typical wrong answer: it keeps everything for ever."""

from pystack.labs.lab_14_dns import solution


def resolve(name, ask, cache, now):
    """Return the address of a name, or None."""
    return (yield from solution.resolve(name, ask, cache, lambda: 0))
