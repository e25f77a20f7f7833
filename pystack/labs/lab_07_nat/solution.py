"""Lab 7: an entry for each flow, by the port and the server."""


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
    return table.get((port, sender))
