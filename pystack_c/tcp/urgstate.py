"""The variables of urgent data (RFC 9293 section 3.8.5). A connection has them once the peer sends some."""

import pystack_c.const as C


class Urgent:
    """What the application has to know about the peer's urgent data. See urgent.py."""

    def __init__(self) -> None:
        self.seen = False  # tell the application (EV_PRI)
        self.byte = -1  # the last urgent byte, taken out of the stream
        self.state = C.OOB_NONE  # where that byte is, one of C.OOB_*
        self.mark_left = -1  # bytes to read until the mark; -1: no mark
