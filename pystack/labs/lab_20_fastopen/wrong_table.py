"""Lab 20, wrong: cookies are drawn by chance and kept in a table."""

import random

COOKIES: dict[str, bytes] = {}


def syn(secret, address, option, data):
    """Return the data for the program, and the option of the SYN-ACK."""
    if option is None:
        return b"", None
    if option and COOKIES.get(address) == option:
        return data, None
    COOKIES[address] = random.randbytes(8)
    return b"", COOKIES[address]
