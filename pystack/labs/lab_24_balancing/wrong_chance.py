"""A typical wrong answer: each packet is a throw of the dice."""

import hashlib
import random


def number(text):
    """Return a number for a text."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def choose(flow, backends):
    """Return one of the backends."""
    return random.choice(backends)
