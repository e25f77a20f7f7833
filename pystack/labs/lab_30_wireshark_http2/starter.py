r"""Lab 30: find the frames of HTTP/2.

`frames` gets what one side of a connection has sent, as bytes, after TLS decrypted it. It
returns a list of (type, flags, stream, length), one for each whole frame (RFC 9113, section
4.1).

- A client first sends the preface, the 24 bytes of PREFACE, which are no frame. A server sends
  none.
- A frame begins with nine bytes: 3 for the length, 1 for the type, 1 for the flags, and 4 for
  the stream. The highest byte comes first.
- The highest bit of the stream's four bytes is reserved and does not count.
- The length is that of what follows the nine bytes.
- The last frame may be cut off. It does not count then.
"""

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def frames(data):
    """Return the frames."""
    length, kind, flags, stream = data[2], data[3], data[4], data[8]
    return [(kind, flags, stream, length)]
