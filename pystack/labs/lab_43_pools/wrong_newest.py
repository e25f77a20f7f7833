"""A typical wrong answer: the request that came last is the next."""

from collections import deque


class Pool:
    """At most `limit` connections, which requests share."""

    def __init__(self, connect, limit, ticket):
        self.connect, self.limit, self.ticket = connect, limit, ticket
        self.idle: deque = deque()  # open connections that no request uses
        self.taken = 0  # places of the requests that have, or open, a connection
        self.waiting: deque = deque()  # tickets of the requests without a place

    def run(self, work, idempotent):
        """Make a request, and return its result."""
        try:
            return (yield from self.once(work))
        except OSError:
            if not idempotent:
                raise
        return (yield from self.once(work))

    def once(self, work):
        """Make a request, without repeating it."""
        yield from self.take_place()
        try:
            connection = yield from self.open()
            try:
                result = yield from work(connection)
            except OSError:
                connection.close()
                raise
            except Exception:
                self.idle.append(connection)
                raise
            self.idle.append(connection)
            return result
        finally:
            self.leave_place()

    def take_place(self):
        """Wait for a place."""
        if self.taken < self.limit:
            self.taken += 1
        else:
            ticket = self.ticket()
            self.waiting.append(ticket)
            yield ticket  # the request before leaves its place to this one

    def leave_place(self):
        """Give the place to the request that has waited longest."""
        if self.waiting:
            self.waiting.pop().call()
        else:
            self.taken -= 1

    def open(self):
        """Return an idle connection that is usable, or a new one."""
        while self.idle:
            connection = self.idle.popleft()
            if connection.usable():
                return connection
            connection.close()
        return (yield from self.connect())
