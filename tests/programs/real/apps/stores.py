"""Databases: redis-py, asyncpg, pg8000, psycopg and pymongo."""

import asyncio
import contextlib
import glob
import os
import pwd
import socket
import subprocess
import tempfile
import threading

from tests.programs.real.apps.processes import running

os.environ["PSYCOPG_IMPL"] = "python"
with contextlib.suppress(ImportError):
    import psycopg

# -- Redis -----------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def valkey(files):
    """Debian's Valkey on port 6379."""
    words = ["valkey-server", "--bind", "0.0.0.0", "--protected-mode", "no", "--save", "", "--dir", files]
    with running(words):
        yield


def redis_client(host, files):
    """redis-py: values, a pipeline, and a message to a subscriber."""
    import redis

    with redis.Redis(host, socket_timeout=20) as client:
        client.set("key", b"value")
        assert client.get("key") == b"value"
        big = bytes(range(256)) * 1000
        client.set("big", big)
        assert client.get("big") == big
        with client.pipeline() as pipe:
            for _ in range(100):
                pipe.incr("count")
            assert pipe.execute() == list(range(1, 101))
        with client.pubsub() as events:
            events.subscribe("channel")
            assert events.get_message(timeout=20)["type"] == "subscribe"
            client.publish("channel", "news")
            assert events.get_message(timeout=20)["data"] == b"news"
        client.delete("count")


async def redis_async_client(host, files):
    """redis-py by asyncio: ten coroutines share a pool."""
    from redis import asyncio as redis

    async with redis.Redis(host=host, socket_timeout=20) as client:
        counts = await asyncio.gather(*(client.incr("together") for _ in range(10)))
        assert sorted(counts) == list(range(1, 11))
        await client.delete("together")


# -- PostgreSQL ------------------------------------------------------------------------------------------------------


def postgres_binaries():
    """The folder of the newest PostgreSQL that is installed, or ""."""
    found = glob.glob("/usr/lib/postgresql/*/bin/postgres")
    return os.path.dirname(max(found, key=lambda path: int(path.split("/")[4]))) if found else ""


def make_cluster():
    """Make a database cluster, which the user postgres owns. Returns its folder."""
    user = pwd.getpwnam("postgres")
    folder = tempfile.mkdtemp(prefix="pystack-pg-")
    os.chown(folder, user.pw_uid, user.pw_gid)
    command = [
        f"{postgres_binaries()}/initdb",
        "-D",
        f"{folder}/data",
        "-A",
        "scram-sha-256",
        "--no-sync",
        "-U",
        "postgres",
    ]
    with open(f"{folder}/password", "w") as file:
        file.write("secret")
    os.chmod(f"{folder}/password", 0o644)
    command += [f"--pwfile={folder}/password"]
    subprocess.run(
        command, user=user.pw_uid, group=user.pw_gid, extra_groups=[], capture_output=True, check=True, cwd=folder
    )
    return folder


@contextlib.contextmanager
def postgres(files):
    """Debian's PostgreSQL on port 5432, run by the user postgres, with passwords (SCRAM)."""
    with open(f"{files}/cluster") as file:
        folder = file.read()
    with open(f"{folder}/data/pg_hba.conf", "a") as file:
        file.write("host all all 10.0.0.0/24 scram-sha-256\n")
    user = pwd.getpwnam("postgres")
    words = [f"{postgres_binaries()}/postgres", "-D", f"{folder}/data", "-h", "0.0.0.0", "-k", folder, "-F"]
    with running(words, user=user.pw_uid, group=user.pw_gid, extra_groups=[], cwd=folder):
        yield


QUERY = "SELECT n, 'row ' || n FROM generate_series(1, 500) AS n"
ROWS = [(n, f"row {n}") for n in range(1, 501)]


async def asyncpg_client(host, files):
    """asyncpg: a query, a transaction, rows by COPY."""
    import asyncpg

    conn = await asyncpg.connect(host=host, user="postgres", password="secret", database="postgres", ssl=False)
    assert [tuple(row) for row in await conn.fetch(QUERY)] == ROWS
    async with conn.transaction():
        await conn.execute("CREATE TEMPORARY TABLE items (n int, name text)")
        await conn.copy_records_to_table("items", records=ROWS)
        assert await conn.fetchval("SELECT sum(n) FROM items") == sum(n for n, _ in ROWS)
    await conn.close()


def pg8000_client(host, files):
    """pg8000, which is all Python."""
    import pg8000.native

    with contextlib.closing(
        pg8000.native.Connection("postgres", host=host, password="secret", database="postgres", timeout=20)
    ) as conn:
        assert [tuple(row) for row in conn.run(QUERY)] == ROWS
        conn.run("CREATE TEMPORARY TABLE items (n int)")
        conn.run("INSERT INTO items VALUES (:n)", n=7)
        assert conn.run("SELECT n FROM items") == [[7]]


def psycopg_client(host, files):
    """psycopg through a relay: libpq opens its sockets by itself, so it connects to a Unix socket, and Python to the server."""
    with relay(host, 5432, f"{files}/.s.PGSQL.5432"):
        with psycopg.connect(host=files, user="postgres", password="secret", dbname="postgres") as conn:
            assert psycopg.pq.__impl__ == "python"
            assert conn.execute(QUERY).fetchall() == ROWS
            with conn.cursor() as cursor:
                cursor.execute("CREATE TEMPORARY TABLE items (n int, name text)")
                with cursor.copy("COPY items FROM STDIN") as copy:
                    for row in ROWS:
                        copy.write_row(row)
                assert cursor.execute("SELECT count(*) FROM items").fetchone() == (500,)


def psycopg_alone(host, files):
    """libpq connects to a Unix socket, and psycopg waits for the kernel's descriptor."""
    path = f"{files}/.s.PGSQL.5432"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        psycopg.connect(host=files, user="postgres", dbname="postgres")


@contextlib.contextmanager
def relay(host, port, path):
    """Pass the connections to a Unix socket on to a host and a port."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)

    def pump(source, target):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)

    def one():
        local, _ = listener.accept()
        with local, socket.create_connection((host, port), timeout=20) as remote:
            back = threading.Thread(target=pump, args=(remote, local))
            back.start()
            pump(local, remote)
            back.join()

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        thread = threading.Thread(target=one)
        thread.start()
        yield
        thread.join()


# -- MongoDB ---------------------------------------------------------------------------------------------------------


async def nx_27017(files):
    """NX-27017 on port 27017: a server of MongoDB's protocol in Python, which keeps its documents in SQLite."""
    from nx_27017.handler import NeoSQLiteHandler
    from nx_27017.server import run_server

    await run_server("0.0.0.0", 27017, NeoSQLiteHandler(":memory:"))


@contextlib.contextmanager
def nx_27017_threads(files):
    """Its other form, with a thread for each connection."""
    from nx_27017.handler import NeoSQLiteHandler
    from nx_27017.server import run_server_threaded

    handler = NeoSQLiteHandler(":memory:")
    threading.Thread(target=run_server_threaded, args=("0.0.0.0", 27017, handler), daemon=True).start()
    yield


def pymongo_client(host, files):
    """pymongo: documents in, out and changed, a cursor of several batches, an aggregation."""
    import pymongo

    with pymongo.MongoClient(host, 27017, serverSelectionTimeoutMS=20_000) as client:
        items = client.base.items
        items.drop()
        assert len(items.insert_many([{"n": n, "text": f"row {n}"} for n in range(500)]).inserted_ids) == 500
        assert [item["n"] for item in items.find({}).sort("n", 1).batch_size(100)] == list(range(500))
        assert items.update_one({"n": 7}, {"$set": {"text": "seven"}}).modified_count == 1
        assert items.find_one({"n": 7})["text"] == "seven"
        assert items.count_documents({"n": {"$lt": 10}}) == 10


async def pymongo_async_client(host, files):
    """pymongo by asyncio."""
    import pymongo

    async with pymongo.AsyncMongoClient(host, 27017, serverSelectionTimeoutMS=20_000) as client:
        items = client.base.others
        await items.insert_many([{"n": n} for n in range(100)])
        assert len([item async for item in items.find({})]) == 100
        await items.drop()
