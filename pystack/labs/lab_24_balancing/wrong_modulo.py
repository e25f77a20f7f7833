"""A typical wrong answer: the number modulo the length of the list, so nearly all flows move if the list gets shorter."""

import hashlib


def number(text):
    """Return a number for a text."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def choose(flow, backends):
    """Return one of the backends."""
    return sorted(backends)[number(str(flow)) % len(backends)]
