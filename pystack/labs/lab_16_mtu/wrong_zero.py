"""A typical wrong answer: it believes a router that names no MTU."""

from pystack.labs.lab_16_mtu import solution


def discover(probe, low, high):
    """Return the MTU of the path."""
    size = high
    while True:
        answer, mtu = yield from probe(size)
        if answer == "arrived":
            return size
        if answer == "silence":
            return (yield from solution.discover(probe, low, high))
        size = mtu
