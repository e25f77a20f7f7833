"""The variables of Fast Open (RFC 7413). A socket has them once the application, or the peer of a listener, asks for it."""


class FastOpen:
    """The options that the application set, and the state of one opening. See fastopen.py."""

    def __init__(self) -> None:
        # The options of the application.
        self.qlen = 0  # TCP_FASTOPEN: the limit of pending connections; 0: off
        self.key = b""  # TCP_FASTOPEN_KEY
        self.no_cookie = False  # TCP_FASTOPEN_NO_COOKIE
        self.connect = False  # TCP_FASTOPEN_CONNECT
        # One connection.
        self.asked = False  # the application requested Fast Open, or a cookie
        self.deferred = False  # the SYN waits for the first write
        self.cookie: bytes | None = None  # the cookie for the SYN-ACK
        self.exp = False  # use the experimental option kind (254)
        self.option = False  # our SYN carried the option
        self.data_acked = False  # the data in our SYN was acknowledged, or that in the peer's was accepted
        self.again = False  # our SYN was retransmitted without Fast Open
        self.fail = 0  # why it failed (tcpi_fastopen_client_fail)
