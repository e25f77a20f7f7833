"""A typical wrong answer: each flow keeps its own port, so two hosts with the same port have the same entry."""


def leaving(table, inside, server, ports):
    """Return the port outside, or None."""
    table[inside[1], server] = inside
    return inside[1]


def coming(table, port, sender):
    """Return the inside end, or None."""
    return table.get((port, sender))
