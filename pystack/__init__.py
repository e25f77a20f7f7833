"""pystack: a TCP/IP stack one can read, run, step through and take apart.

The protocol itself is in `pystack_c`; this package is everything that touches the world.
"""
