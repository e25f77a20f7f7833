"""Lab 3: write traceroute.

`answer = yield from probe(ttl)` sends one echo request with this TTL. The answer is None if
nothing came within 2 s, or a pair of the sender's address and the ICMP type: 0 is the echo
reply of the destination, 11 is "time exceeded" of a router, and 3 is "destination unreachable".

`trace` returns a list with one address for each TTL from 1 on, and None if nothing came. It
ends with the destination, or with a router that says that the destination is unreachable, or
after 30 hops.
"""


def trace(probe):
    """Return the addresses of the hops."""
    address, kind = yield from probe(1)
    return [address]
