"""A typical wrong answer: an update of the window counts as a duplicate."""


def count(segments):
    """Return the numbers of retransmissions, duplicate acknowledgements and closed windows."""
    repeated = duplicates = closed = 0
    highest = 0
    last, _before = -1, -1
    for way, number, length, window, _sack in segments:
        if way == "data":
            repeated += number + length <= highest
            highest = max(highest, number + length)
        else:
            closed += window == 0
            duplicates += number == last and number < highest
            last, _before = number, window
    return repeated, duplicates, closed
