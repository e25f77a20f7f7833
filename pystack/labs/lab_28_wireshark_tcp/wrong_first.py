"""Lab 28, wrong: a segment whose first number was there before is a retransmission."""


def count(segments):
    """Return the numbers of retransmissions, duplicate acknowledgements and closed windows."""
    repeated = duplicates = closed = 0
    highest = 0
    begun = set()
    last, before = -1, -1
    for way, number, length, window, sack in segments:
        if way == "data":
            repeated += number in begun
            begun.add(number)
            highest = max(highest, number + length)
        else:
            closed += window == 0
            duplicates += number == last and (sack or window == before) and number < highest
            last, before = number, window
    return repeated, duplicates, closed
