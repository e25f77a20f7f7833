"""Lab 6: the longest prefix of all that match."""


def number(address):
    """Return an address as a number of 32 bits."""
    a, b, c, d = map(int, address.split("."))
    return a << 24 | b << 16 | c << 8 | d


def route(routes, address):
    """Return the router."""
    best, found = -1, -1
    for prefix, router in routes:
        network, bits = prefix.split("/")
        rest = 32 - int(bits)
        if number(network) >> rest == number(address) >> rest and int(bits) > best:
            best, found = int(bits), router
    return found
