"""Lab 21: write SYN cookies.

A server that keeps nothing about a SYN sends a number, and gets it back in the third segment of
the handshake. `make` returns this number, which has 32 bits. `check` gets a number that has
come back. It returns the client's MSS if `make` made this number, and otherwise None.

- `flow` is a text with both addresses and ports. A number for one flow must not be right for
  another one.
- The MSS is one of the table SIZES. A number has room for its index, and not for more.
- `minute` counts the minutes. A number is right in its own minute and in the next one, and not
  later.
- Nobody can make numbers without `secret`.

`keyed` returns a number of 30 bits that nobody can compute without the secret.
"""

import hashlib
import hmac

SIZES = [536, 1300, 1440, 1460]


def keyed(secret, text):
    """Return a number of 30 bits for a text."""
    return int.from_bytes(hmac.new(secret, text.encode(), hashlib.sha256).digest()[:4], "big") >> 2


def make(secret, flow, minute, mss):
    """Return the number."""
    return 0


def check(secret, flow, minute, number):
    """Return the MSS, or None."""
    return 536
