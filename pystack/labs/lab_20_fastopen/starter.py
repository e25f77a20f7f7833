"""Lab 20: the server's side of TCP Fast Open.

`syn` gets what a SYN brings: the client's `address`, its Fast Open `option`, and its `data`. It
returns two things: the data that the server's program gets at once, and the option of the
SYN-ACK. The option is None if there is none, b"" in a SYN that asks for a cookie, and otherwise
a cookie of 8 bytes.

- A client gets data through only with the cookie that the server has given to its address. A
  cookie for another address, an invented one, or none does not count: then the data are b"",
  because the client will send them again after the handshake.
- A client that asks for a cookie gets one, and so does a client whose cookie is wrong. A client
  whose cookie is right, or that does not use Fast Open, gets no option.
- The server keeps no table of cookies. It computes a cookie again whenever it needs it. Nobody
  else can: `secret` is known to the server only.
"""

import hashlib
import hmac


def keyed(secret, text):
    """Return 8 bytes that nobody can compute without the secret."""
    return hmac.new(secret, text.encode(), hashlib.sha256).digest()[:8]


def syn(secret, address, option, data):
    """Return the data for the program, and the option of the SYN-ACK."""
    return data, None
