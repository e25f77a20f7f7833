"""A typical wrong answer: without a match, it takes the last route."""

import ipaddress


def route(routes, address):
    """Return the router."""
    ordered = sorted(routes, key=lambda entry: -int(entry[0].split("/")[1]))
    found = [router for prefix, router in ordered if ipaddress.ip_address(address) in ipaddress.ip_network(prefix)]
    return (found or [ordered[-1][1]])[0]
