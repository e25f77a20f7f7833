"""Lab 33: write a relay.

`pump` is a program that carries one direction, from the socket `source` to the socket `target`.
The relay starts it twice, once for each direction of a connection.

- Every byte passes, in order, as soon as it has arrived.
- `pump` holds at most LIMIT bytes itself. If the target does not take more, it reads no more.
- If the source has ended, the target must learn that, while the other direction goes on: a
  client may end its direction first, and then wait for the answer.

    data = yield source.recv(count)     waits for data: up to `count` bytes, or b"" at the end
    yield target.sendall(data)          waits until the target has taken everything
    target.shutdown()                   ends the direction to the target
    target.close()                      ends both directions
"""

LIMIT = 16_384  # bytes


def pump(source, target):
    """Carry one direction."""
    data = yield source.recv(LIMIT)
    yield target.sendall(data)
