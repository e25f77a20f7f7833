"""Lab 9: make the stream from segments.

Write `reassemble`. It gets the sequence number of the SYN, and the segments with data, as they
arrived: a list of (sequence number, data). Segments may be missing, twice there, and in any
order. One may begin in the middle of another one, and the numbers pass from 2**32 - 1 to 0. It
returns the bytes of the stream up to the first byte that is missing.
"""


def reassemble(isn, segments):
    """Return the stream."""
    return b"".join(data for number, data in segments)
