"""A typical wrong answer: it looks at the port only, so everybody can send to a host that has a mapping."""


def leaving(table, inside, server, ports):
    """Return the port outside, or None."""
    for port in ports:
        if table.get((port, server)) == inside:
            return port
    for port in ports:
        if (port, server) not in table:
            table[port, server] = inside
            return port
    return None


def coming(table, port, sender):
    """Return the inside end, or None."""
    for (known, _), inside in table.items():
        if known == port:
            return inside
    return None
