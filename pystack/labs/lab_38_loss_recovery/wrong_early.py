"""A typical wrong answer: one segment above a hole is enough for it."""


def repeat(first, next, sacked, repeated, window):
    """Return the list of the segments to repeat."""
    missing = [number for number in range(first, next) if number not in sacked]
    lost = [number for number in missing if sum(above > number for above in sacked) >= 1]
    on_the_way = sum(number not in lost or number in repeated for number in missing)
    found = [number for number in lost if number not in repeated]
    return found[: max(0, window - on_the_way)]
