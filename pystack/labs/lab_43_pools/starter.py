"""Lab 43: write a pool of connections.

`Pool(connect, limit, ticket)` is made once, and many requests use it at the same time. A
request calls `result = yield from pool.run(work, idempotent)`.

- `connection = yield from connect()` opens a connection, and needs a round trip. It raises
  OSError if the database cannot be reached.
- `connection.usable()` is False if the database has closed it. `connection.close()` closes it.
- `result = yield from work(connection)` makes the request. `run` returns its result, and raises
  its exceptions again.
- `one = ticket()` makes a ticket. `yield one` waits until another request calls `one.call()`,
  so a list of tickets is a queue.

The rules:

1. At most `limit` connections exist at the same time, those that are being opened included. A
   connection is used again after its request.
2. A request that cannot have a connection waits. The one that has waited longest is the next.
3. If `work` raises OSError (TimeoutError and ConnectionResetError are such errors), the
   connection is broken: close it, and never use it again. If `work` raises another exception,
   the connection is in order. Whatever happens, the place is free for the next request, and one
   that waits learns about it.
4. A request that fails with OSError is repeated once, on another connection, if it is
   idempotent. Otherwise it is never repeated, because the database may have executed it.
5. Before a connection is used again, ask whether it is usable. If it is not, close it and take
   another one.
"""


class Pool:
    """At most `limit` connections, which requests share."""

    def __init__(self, connect, limit, ticket):
        self.connect, self.limit, self.ticket = connect, limit, ticket

    def run(self, work, idempotent):
        """Make a request, and return its result."""
        connection = yield from self.connect()
        result = yield from work(connection)
        connection.close()
        return result
