"""pystack_c: the protocol core. It is sans-I/O, deterministic, and compiled by Cython.

Nothing in this package touches the outside world: it has no clock, no randomness of its own, no
sockets and no threads. Time (`now`, nanoseconds) and the seed come in as arguments. `pystack` drives it.
"""
