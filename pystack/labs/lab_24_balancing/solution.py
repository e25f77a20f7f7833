"""Lab 24: each backend draws a number for the flow, and the highest one wins (rendezvous hashing)."""

import hashlib


def number(text):
    """Return a number for a text."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def choose(flow, backends):
    """Return one of the backends."""
    return max(backends, key=lambda backend: number(f"{flow} {backend}"))
