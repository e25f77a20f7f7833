"""A typical wrong answer: it takes the server of a referral as the answer."""

ROOT = "10.1.0.1"


def resolve(name, ask, cache, now):
    """Return the address of a name, or None."""
    kind, value, life = yield from ask(ROOT, name)
    return value[1] if kind == "referral" else value
