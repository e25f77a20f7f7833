"""A typical wrong answer: it forgets that a name is missing."""

from pystack.labs.lab_14_dns import solution


def resolve(name, ask, cache, now):
    """Return the address of a name, or None."""
    found = yield from solution.resolve(name, ask, cache, now)
    for key, (value, _) in list(cache.items()):
        if value == ("missing", None):
            del cache[key]
    return found
