"""A typical wrong answer: it repeats everything at once."""


def repeat(first, next, sacked, repeated, window):
    """Return the list of the segments to repeat."""
    missing = [number for number in range(first, next) if number not in sacked]
    lost = [number for number in missing if sum(above > number for above in sacked) >= 3]
    found = [number for number in lost if number not in repeated]
    return found
