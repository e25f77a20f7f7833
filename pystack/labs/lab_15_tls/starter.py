"""Lab 15: predict the round trips until the first byte of the answer.

`version` is None (no TLS), "1.2" or "1.3". `resumed` says whether the session is resumed.
`flight` is the number of bytes in the server's first flight, with its certificates if it sends
any. All other messages fit in one segment. The server may send `window` segments of `mss` bytes
at first, and twice as many in each round after that.
"""


def round_trips(version, resumed, flight, window, mss=1460):
    """Return the number of round trips from connect() to the first byte."""
    return 2
