"""The variables of Fast Open (RFC 7413). A socket has them once the application, or the peer of a listener, asks for it."""


class FastOpen:
    """What the application chose, and what became of it. See fastopen.py."""

    def __init__(self) -> None:
        # what the application chose
        self.qlen = 0  # TCP_FASTOPEN: how many may wait; 0: off
        self.key = b""  # TCP_FASTOPEN_KEY
        self.no_cookie = False  # TCP_FASTOPEN_NO_COOKIE
        self.connect = False  # TCP_FASTOPEN_CONNECT
        # one connection
        self.asked = False  # the application asked for data in the SYN, or for a cookie
        self.deferred = False  # the SYN waits for the first write
        self.cookie: bytes | None = None  # the cookie for the SYN,ACK
        self.exp = False  # with the experimental option kind (254)
        self.option = False  # our SYN carried the option
        self.data_acked = False  # the data in our SYN, or in the peer's, was taken
        self.again = False  # our SYN went again, without data
        self.fail = 0  # why it failed (tcpi_fastopen_client_fail)
