"""A typical wrong answer: the first route that matches."""

import ipaddress


def route(routes, address):
    """Return the router."""
    for prefix, router in routes:
        if ipaddress.ip_address(address) in ipaddress.ip_network(prefix):
            return router
    return -1
