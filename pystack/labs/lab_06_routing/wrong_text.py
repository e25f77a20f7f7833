"""A typical wrong answer: it compares the beginning of the text, for which 10.1 is the beginning of 10.10, too."""


def route(routes, address):
    """Return the router."""
    best, found = -1, -1
    for prefix, router in routes:
        network, bits = prefix.split("/")
        beginning = ".".join(network.split(".")[: int(bits) // 8])
        if address.startswith(beginning) and int(bits) > best:
            best, found = int(bits), router
    return found
