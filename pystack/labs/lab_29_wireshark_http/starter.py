r"""Lab 29: cut a stream into answers.

`answers` gets what a client has read from one connection, as bytes, and the methods of the
requests that it had sent, such as ["GET", "HEAD"]. It returns a list of (status, body), one for
each request. Each answer begins with a status line and fields, and an empty line ends them:
b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n". Lines end with b"\r\n". Then comes the body
(RFC 9112, section 6.3):

- An answer to HEAD, and one with the status 204 or 304, has none, whatever its fields say.
- With `Transfer-Encoding: chunked` it comes in chunks: the size in hexadecimal, a line's end,
  so many bytes, a line's end. A chunk of size 0 and an empty line end it.
- With `Content-Length: N` it has N bytes.
- Otherwise the body is all that follows, until the connection ends.

The names of fields may be in capital or small letters. The stream is complete.
"""


def answers(stream, methods):
    """Return the answers."""
    return [(200, part) for part in stream.split(b"HTTP/1.1 200")[1:]]
