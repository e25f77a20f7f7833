"""Lab 16: find the largest packet that a path carries.

`answer, mtu = yield from probe(size)` sends a packet of `size` bytes that must not be
fragmented. The answers are

- "arrived": it has reached the other end.
- "too big": a router could not forward it. `mtu` is the MTU that the router names, or 0 if it
  is an old router that names none.
- "silence": nothing came back within 2 s.

`discover` returns the largest size that arrives. A packet of `low` bytes always does, and one
of more than `high` bytes cannot leave this host. Each probe takes time, so send few: at most
one for each router that names its MTU and one more, or 12 if a router is old or silent.
"""


def discover(probe, low, high):
    """Return the MTU of the path."""
    answer, mtu = yield from probe(high)
    return high
