"""A typical wrong answer: it relies on the routers."""

from pystack.labs.lab_16_mtu import solution


def discover(probe, low, high):
    """Return the MTU of the path."""
    answer, mtu = yield from probe(high)
    if answer == "silence":
        return low
    return (yield from solution.discover(probe, low, high))
