"""A typical wrong answer: it looks at the client's address only."""

import hashlib


def number(text):
    """Return a number for a text."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def choose(flow, backends):
    """Return one of the backends."""
    return max(backends, key=lambda backend: number(f"{flow[0]} {backend}"))
