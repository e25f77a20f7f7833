"""Servers of a few lines for virtual time, where a server in C cannot run: Redis's protocol and PostgreSQL's."""

import asyncio
import struct


async def redis_server(files):
    """The commands that apps/stores.py uses, in version 3 of the protocol."""
    values, channels = {}, {}

    def answer(words, writer):
        command, *rest = words[0].upper(), *words[1:]
        if command == b"SET":
            values[rest[0]] = rest[1]
            return b"+OK\r\n"
        if command == b"GET":
            return bulk(values.get(rest[0]))
        if command == b"INCRBY":
            values[rest[0]] = b"%d" % (int(values.get(rest[0], 0)) + int(rest[1]))
            return b":" + values[rest[0]] + b"\r\n"
        if command == b"DEL":
            return b":%d\r\n" % (values.pop(rest[0], None) is not None)
        if command == b"SUBSCRIBE":
            channels.setdefault(rest[0], []).append(writer)
            return b">3\r\n" + bulk(b"subscribe") + bulk(rest[0]) + b":1\r\n"
        if command == b"PUBLISH":
            for one in channels.get(rest[0], ()):
                one.write(b">3\r\n" + bulk(b"message") + bulk(rest[0]) + bulk(rest[1]))
            return b":%d\r\n" % len(channels.get(rest[0], ()))
        if command == b"HELLO":
            return (
                b"%3\r\n"
                + b"".join(map(bulk, (b"server", b"small", b"version", b"7.0.0")))
                + bulk(b"proto")
                + b":3\r\n"
            )
        return b"+OK\r\n" if command == b"CLIENT" else b"-ERR unknown command\r\n"

    def bulk(data):
        return b"$-1\r\n" if data is None else b"$%d\r\n%b\r\n" % (len(data), data)

    async def serve(reader, writer):
        queue = None  # the commands of a transaction
        while line := await reader.readline():
            words = []
            for _ in range(int(line[1:])):
                length = int((await reader.readline())[1:])
                words.append((await reader.readexactly(length + 2))[:-2])
            if words[0] == b"MULTI":
                queue = []
                writer.write(b"+OK\r\n")
            elif words[0] == b"EXEC":
                writer.write(b"*%d\r\n" % len(queue) + b"".join(answer(one, writer) for one in queue))
                queue = None
            elif queue is not None:
                queue.append(words)
                writer.write(b"+QUEUED\r\n")
            else:
                writer.write(answer(words, writer))
            await writer.drain()
        for writers in channels.values():
            if writer in writers:
                writers.remove(writer)
        writer.close()

    async with await asyncio.start_server(serve, "0.0.0.0", 6379) as server:
        await server.serve_forever()


class Postgres:
    """One connection of PostgreSQL's protocol, version 3: it trusts everybody, and answers each SELECT with 500 rows."""

    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer
        self.query = ""

    def send(self, kind, body=b""):
        """Send a message."""
        self.writer.write(kind + struct.pack(">i", 4 + len(body)) + body)

    async def run(self):
        """Serve until the client leaves."""
        await self.start()
        while kind := await self.reader.read(1):
            (length,) = struct.unpack(">i", await self.reader.readexactly(4))
            body = await self.reader.readexactly(length - 4)
            if kind == b"X":
                break
            self.message(kind, body)
            await self.writer.drain()
        self.writer.close()

    async def start(self):
        """Refuse TLS, and let the client in."""
        while True:
            length, code = struct.unpack(">ii", await self.reader.readexactly(8))
            await self.reader.readexactly(length - 8)
            if code == 196608:
                break
            self.writer.write(b"N")
        self.send(b"R", struct.pack(">i", 0))
        for name, value in ((b"client_encoding", b"UTF8"), (b"server_version", b"15.0"), (b"integer_datetimes", b"on")):
            self.send(b"S", name + b"\0" + value + b"\0")
        self.send(b"K", struct.pack(">ii", 1, 2))
        self.send(b"Z", b"I")

    def message(self, kind, body):
        """Answer one message of the client."""
        if kind in (b"P", b"Q"):
            self.query = body.split(b"\0")[1 if kind == b"P" else 0].decode()
        rows = self.query.upper().startswith("SELECT")
        if kind == b"P":
            self.send(b"1")
        elif kind == b"B":
            self.send(b"2")
        elif kind == b"D":
            if body[:1] == b"S":
                self.send(b"t", struct.pack(">h", 0))
            self.fields() if rows else self.send(b"n")
        elif kind == b"E":
            self.results(rows)
        elif kind == b"C":
            self.send(b"3")
        elif kind == b"Q":
            if rows:
                self.fields()
            self.results(rows)
        if kind in (b"Q", b"S"):
            self.send(b"Z", b"I")

    def fields(self):
        """Two columns of text."""
        columns = [name + b"\0" + struct.pack(">ihihih", 0, 0, 25, -1, -1, 0) for name in (b"n", b"text")]
        self.send(b"T", struct.pack(">h", 2) + b"".join(columns))

    def results(self, rows):
        """The rows, and the end of a command."""
        for number in range(1, 501) if rows else ():
            values = [str(number).encode(), b"row %d" % number]
            self.send(b"D", struct.pack(">h", 2) + b"".join(struct.pack(">i", len(one)) + one for one in values))
        self.send(b"C", b"SELECT 500\0" if rows else b"SET\0")


async def postgres_server(files):
    """PostgreSQL's protocol on port 5432."""

    async def serve(reader, writer):
        await Postgres(reader, writer).run()

    async with await asyncio.start_server(serve, "0.0.0.0", 5432) as server:
        await server.serve_forever()


TEXTS = [(str(n), f"row {n}") for n in range(1, 501)]


async def asyncpg_rows(host, files):
    """asyncpg reads 500 rows of text."""
    import asyncpg

    conn = await asyncpg.connect(host=host, user="postgres", database="postgres", ssl=False)
    assert [tuple(row) for row in await conn.fetch("SELECT 500 rows")] == TEXTS
    await conn.close(timeout=10)


def pg8000_rows(host, files):
    """pg8000 reads 500 rows of text."""
    import pg8000.native

    conn = pg8000.native.Connection("postgres", host=host, database="postgres", timeout=20)
    assert [tuple(row) for row in conn.run("SELECT 500 rows")] == TEXTS
    conn.close()
