"""A typical wrong answer: a port is used for one flow only, whatever its server is."""


def leaving(table, inside, server, ports):
    """Return the port outside, or None."""
    used = [port for port, _ in table]
    for port in ports:
        if table.get((port, server)) == inside:
            return port
    for port in ports:
        if port not in used:
            table[port, server] = inside
            return port
    return None


def coming(table, port, sender):
    """Return the inside end, or None."""
    return table.get((port, sender))
