"""pystack_c: the protocol core. Sans-I/O, deterministic, compiled by Cython.

Nothing in this package touches the world: no clock, no randomness of its own, no sockets, no
threads. Time (`now`, nanoseconds) and the seed come in as arguments. `pystack` drives it.
"""
