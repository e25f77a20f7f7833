"""A typical wrong answer: it repeats what was repeated already."""


def repeat(first, next, sacked, repeated, window):
    """Return the list of the segments to repeat."""
    missing = [number for number in range(first, next) if number not in sacked]
    lost = [number for number in missing if sum(above > number for above in sacked) >= 3]
    on_the_way = sum(number not in lost or number in repeated for number in missing)
    found = lost
    return found[: max(0, window - on_the_way)]
