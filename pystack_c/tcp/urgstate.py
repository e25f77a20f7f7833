"""The variables of urgent data (RFC 9293 section 3.8.5). A connection has them once the peer sends some."""

import pystack_c.const as C


class Urgent:
    """The state of the urgent data that the peer sends. See urgent.py."""

    def __init__(self) -> None:
        self.seen = False  # urgent data is pending: EV_PRI
        self.byte = -1  # the last urgent byte, removed from the stream
        self.state = C.OOB_NONE  # one of C.OOB_*
        self.mark_left = -1  # bytes to read before the mark; -1: no mark
