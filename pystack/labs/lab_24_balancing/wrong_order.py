"""A typical wrong answer: it depends on the order of the list."""

import hashlib


def number(text):
    """Return a number for a text."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def choose(flow, backends):
    """Return one of the backends."""
    return backends[number(str(flow)) % len(backends)]
