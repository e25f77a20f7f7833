"""A typical wrong answer: it compares whole bytes, so it ignores the last bits of a prefix such as /20."""


def route(routes, address):
    """Return the router."""
    best, found = -1, -1
    for prefix, router in routes:
        network, bits = prefix.split("/")
        count = int(bits) // 8
        if network.split(".")[:count] == address.split(".")[:count] and int(bits) > best:
            best, found = int(bits), router
    return found
