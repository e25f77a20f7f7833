"""Real programs on loopback, and a relay between them that records the bytes; and the same bytes as frames, cut anywhere."""

import contextlib
import http.server
import os
import pwd
import random
import socket
import subprocess
import tempfile
import threading
import time
from functools import cache

from pystack.stepper import Timeline
from pystack.trace.pcapng import PcapngWriter
from tests.stepper.capture.corpus import Kept
from tests.support import build
from tests.support.ports import free_port

CLIENT, SERVER = 0x0A000001, 0x0A000002
SYN, ACK, PSH = 2, 16, 8


class Relay:
    """Forwards connections to a port of this machine. `said` has (connection, way, bytes) in the order in which they came."""

    def __init__(self, port):
        self.target = port
        self.said = []
        self.lock = threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.threads = []
        self.socks = []
        self._spawn(self._accept)

    def _spawn(self, target, *args):
        thread = threading.Thread(target=target, args=args, daemon=True)
        self.threads.append(thread)
        thread.start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                near, _ = self.listener.accept()
                far = socket.create_connection(("127.0.0.1", self.target), timeout=30)
                number = len(self.socks) // 2
                self.socks += [near, far]
                self._spawn(self._forward, number, 0, near, far)
                self._spawn(self._forward, number, 1, far, near)

    def _forward(self, number, way, source, target):
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                with self.lock:
                    self.said.append((number, way, data))
                    target.sendall(data)
            target.shutdown(socket.SHUT_WR)

    def close(self):
        self.listener.close()
        for sock in self.socks:
            sock.close()


@contextlib.contextmanager
def relayed(port):
    """Yield a relay to a port, once something listens there."""
    until = time.monotonic() + 30
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            break
        assert time.monotonic() < until, f"nothing listens on port {port}"
        time.sleep(0.05)
    relay = Relay(port)
    try:
        yield relay
    finally:
        relay.close()


@contextlib.contextmanager
def running(words, **options):
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options)
    try:
        yield
    finally:
        process.terminate()
        process.wait(30)


# --- what real programs say ------------------------------------------------------------------------------------------


@cache
def http2():
    """nghttpd, asked by nghttp (with padding, priorities and trailers) and by curl."""
    port = free_port()
    page = os.path.join(os.path.dirname(__file__), "wires.py")
    words = [
        "nghttpd",
        "--no-tls",
        "-d",
        os.path.dirname(page),
        "--address=127.0.0.1",
        "--trailer",
        "sum: 1",
        "-n",
        "1",
        str(port),
    ]
    with running(words), relayed(port) as relay:
        url = f"http://127.0.0.1:{relay.port}/"
        big = "x-long: " + "0123456789abcdef" * 1500  # more than a frame, so it goes on in CONTINUATION
        for options in (["-p", "9", "-b", "20"], ["-H", big], ["--max-concurrent-streams=50", "-w", "20"]):
            command = ["nghttp", "-n", *options, f"{url}wires.py", f"{url}corpus.py?a=%22b%22", f"{url}nothing"]
            subprocess.run(command, check=True, timeout=30, capture_output=True)
        command = ["curl", "-s", "--http2-prior-knowledge", "-d", "a=1", f"{url}wires.py", "-o", os.devnull]
        subprocess.run(command, check=True, timeout=30)
        return list(relay.said)


@cache
def websocket(compression="deflate"):
    """The package websockets on both sides: text, binary, pieces, a ping, sizes of all three forms, a close with a reason."""
    from websockets.sync.client import connect
    from websockets.sync.server import serve

    def echo(ws):
        for message in ws:
            ws.send(message)

    with serve(echo, "127.0.0.1", 0, compression=compression, max_size=None) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with relayed(server.socket.getsockname()[1]) as relay:
            with connect(f"ws://127.0.0.1:{relay.port}/chat", compression=compression, max_size=None) as ws:
                for message in (
                    "hello",
                    "hello, once more hello",
                    "Grüße",
                    b"\0\1\2" * 20,
                    "x" * 300,
                    "",
                    "y" * 70_000,
                ):
                    ws.send(message)
                    assert ws.recv(timeout=20) == message
                ws.send(["a message ", "in three ", "pieces"])
                assert ws.recv(timeout=20) == "a message in three pieces"
                assert ws.ping(b"there?").wait(20)
                ws.close(1001, "that is all")
            server.shutdown()
            return list(relay.said)


EVENTS = [
    b": a comment\n\n", b"data: first\n\n", b"event: price\r\nid: 7\r\ndata: 12\r\ndata: 13\r\n\r\n", b"retry: 2500\n\n",
    b"id\nunknown: x\ndata:no space\n\n", b"data: Gr\xc3\xbc\xc3\x9fe\n\n", b"event: empty\n\n", b"retry: soon\ndata\n\n",
]  # fmt: skip


@cache
def sse(chunked=True):
    """A server that sends events, in chunks that end anywhere, and curl."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream; charset=utf-8")
            self.send_header("Transfer-Encoding" if chunked else "Connection", "chunked" if chunked else "close")
            self.end_headers()
            body = b"".join(EVENTS)
            for at in range(0, len(body), 11):
                piece = body[at : at + 11]
                self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece) if chunked else piece)
            self.wfile.write(b"0\r\n\r\n" if chunked else b"")

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with relayed(server.server_port) as relay:
            url = f"http://127.0.0.1:{relay.port}/events"
            subprocess.run(["curl", "-sN", url, "-o", os.devnull], check=True, timeout=30)
            server.shutdown()
            return list(relay.said)


def postgres_binaries():
    """Return the folder of Debian's PostgreSQL, or "" if it is not installed."""
    root = "/usr/lib/postgresql"
    versions = sorted(os.listdir(root), key=float) if os.path.isdir(root) else []
    return f"{root}/{versions[-1]}/bin" if versions else ""


@cache
def postgres():
    """PostgreSQL, asked by psql with a password, and by asyncpg with prepared statements; errors, a notice, COPY."""
    with tempfile.TemporaryDirectory() as folder:
        return _postgres(folder)


def _postgres(folder, context=None):
    import asyncio

    import asyncpg

    binaries, port = postgres_binaries(), free_port()
    user = pwd.getpwnam("postgres")
    who = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": [], "cwd": folder}
    os.chmod(folder, 0o777)
    password = os.path.join(folder, "password")
    with open(password, "w") as file:
        file.write("secret")
    words = [
        f"{binaries}/initdb",
        "-D",
        f"{folder}/data",
        "-A",
        "scram-sha-256",
        f"--pwfile={password}",
        "-U",
        "postgres",
    ]
    subprocess.run([*words, "--no-sync"], check=True, timeout=120, capture_output=True, **who)
    words = [f"{binaries}/postgres", "-D", f"{folder}/data", "-h", "127.0.0.1", "-p", str(port), "-k", folder, "-F"]
    if context is not None:
        os.chown(f"{folder}/key", user.pw_uid, user.pw_gid)
        words += ["-c", "ssl=on", "-c", f"ssl_cert_file={folder}/cert", "-c", f"ssl_key_file={folder}/key"]
    with running(words, **who), relayed(port) as relay:
        queries = (
            "SELECT 1 AS one, NULL AS nothing, 'text' AS word",
            "CREATE TEMPORARY TABLE items (n int, name text)",
            "COPY items FROM STDIN",
            "INSERT INTO items VALUES (3, 'c')",
            "SELECT * FROM items ORDER BY n",
            "SELECT broken",
            "DO $$ BEGIN RAISE NOTICE 'listen'; END $$",
            "COPY items TO STDOUT",
        )
        script = ";\n".join(queries).replace("STDIN;", "STDIN;\n1\ta\n2\tb\n\\.\n") + ";\n"
        env = {**os.environ, "PGPASSWORD": "secret", "PGSSLMODE": "prefer"}
        command = ["psql", "-h", "127.0.0.1", "-p", str(relay.port), "-U", "postgres", "-X", "-q"]
        ready = time.monotonic() + 30
        while subprocess.run([*command, "-c", "SELECT 1"], env=env, capture_output=True, timeout=30).returncode:
            assert time.monotonic() < ready
            time.sleep(0.1)
        if context is not None:
            del relay.said[:]
        else:
            subprocess.run(command, input=script.encode(), env=env, check=True, timeout=30, capture_output=True)

        async def ask():
            conn = await asyncpg.connect(
                host="127.0.0.1",
                port=relay.port,
                user="postgres",
                password="secret",
                database="postgres",
                ssl=context or False,
            )
            statement = await conn.prepare("SELECT $1::int + n AS sum FROM generate_series(1, 3) AS n", name="sums")
            assert [row["sum"] for row in await statement.fetch(10)] == [11, 12, 13]
            async with conn.transaction():
                assert await conn.fetchval("SELECT 'x' || $1::text", "y") == "xy"
            await conn.close()

        asyncio.run(asyncio.wait_for(ask(), 30))
        return list(relay.said)


def certificate(folder):
    """Make a key and a certificate with openssl. Returns the options of its servers."""
    words = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-subj",
        "/CN=server",
    ]
    made = ["-keyout", f"{folder}/key", "-out", f"{folder}/cert"]
    subprocess.run([*words, *made], check=True, timeout=60, capture_output=True)
    return ["-key", f"{folder}/key", "-cert", f"{folder}/cert"]


@cache
def tls(suite):
    """openssl's server, asked by curl. Returns what they said, and curl's keys."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        server = [
            "openssl",
            "s_server",
            "-accept",
            f"127.0.0.1:{port}",
            "-groups",
            "P-384",
            "-www",
            *certificate(folder),
        ]
        new = suite.startswith("TLS_")
        # openssl takes tags of 8 bytes for insecure
        weak = f"{'DEFAULT' if new else suite}:@SECLEVEL=0"
        chosen = ["-tls1_3", "-ciphersuites", suite] if new else ["-tls1_2"]
        server += [*chosen, "-cipher", weak]
        wanted = ["--ciphers", weak, *(["--tls13-ciphers", suite] if new else [])]
        with running(server, stdin=subprocess.DEVNULL), relayed(port) as relay:
            ask = ["curl", "-sk", *wanted, f"https://127.0.0.1:{relay.port}/", "-o", os.devnull]
            subprocess.run(ask, check=True, timeout=30, env={**os.environ, "SSLKEYLOGFILE": f"{folder}/log"})
            with open(f"{folder}/log", "rb") as file:
                return list(relay.said), file.read()


@cache
def resumed(version, early=b"", agrees=True):
    """openssl's server and client: a connection, and a second one with the session of the first, perhaps with early data."""
    port = free_port()
    request = b"GET / HTTP/1.0\r\n\r\n"
    with tempfile.TemporaryDirectory() as folder:
        server = ["openssl", "s_server", "-accept", f"127.0.0.1:{port}", version, "-www", *certificate(folder)]
        server += ["-early_data"] if agrees and version == "-tls1_3" else []
        client = ["openssl", "s_client", "-ign_eof", "-keylogfile", f"{folder}/log", version, "-connect"]
        with running(server, stdin=subprocess.DEVNULL), relayed(port) as relay:
            for number, options in enumerate((["-sess_out", f"{folder}/session"], ["-sess_in", f"{folder}/session"])):
                if number and early:
                    with open(f"{folder}/early", "wb") as file:
                        file.write(early)
                    options += ["-early_data", f"{folder}/early"]
                words = [*client, f"127.0.0.1:{relay.port}", *options]
                subprocess.run(words, input=request, check=True, timeout=30, capture_output=True)
            with open(f"{folder}/log", "rb") as file:
                return list(relay.said), file.read()


@cache
def postgres_tls(version):
    """PostgreSQL asked by asyncpg over TLS, which follows an SSLRequest. Returns what they said, and the keys."""
    import ssl

    with tempfile.TemporaryDirectory() as folder:
        certificate(folder)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.minimum_version = context.maximum_version = version
        context.keylog_filename = f"{folder}/log"
        said = _postgres(folder, context)
        with open(f"{folder}/log", "rb") as file:
            return said, file.read()


@cache
def mongo():
    """A server of MongoDB's protocol, and pymongo: documents of all types, a cursor of several batches, an error."""
    import pymongo
    from bson import Decimal128, Int64, ObjectId, Regex, Timestamp
    from nx_27017.handler import NeoSQLiteHandler
    from nx_27017.server import run_server_threaded

    port = free_port()
    handler = NeoSQLiteHandler(":memory:")
    threading.Thread(target=run_server_threaded, args=("127.0.0.1", port, handler), daemon=True).start()
    with relayed(port) as relay:
        address = f"mongodb://127.0.0.1:{relay.port}/?directConnection=true"
        with pymongo.MongoClient(address, serverSelectionTimeoutMS=20_000) as client:
            items = client.base.items
            items.insert_many([{"n": n, "text": f"row {n}"} for n in range(150)])
            assert len(list(items.find({}).batch_size(60))) == 150
            many = {
                "double": 1.5, "text": "Grüße", "inner": {"a": [1, 2, {"b": None}]}, "bytes": b"\0\1", "id": ObjectId(),
                "yes": True, "time": Timestamp(5, 6), "regex": Regex("^a", "i"), "long": Int64(1 << 40),
                "number": Decimal128("1.25"), "empty": {}, "none": [],
            }  # fmt: skip
            client.base.command("ping", comment=many)
            with contextlib.suppress(pymongo.errors.OperationFailure):
                client.base.command("noSuchCommand")
        return list(relay.said)


# --- the same as frames ----------------------------------------------------------------------------------------------


def frames(said, port, chooser=None, most=1460, sport=40_000):
    """Return frames with these bytes. With `chooser`, the segments end anywhere; else they are as large as they can be."""
    found = []
    state = {}

    def segment(number, way, flags, data=b""):
        seqs = state[number]
        ends = (CLIENT, sport + number, SERVER, port)
        ends = ends if way == 0 else (*ends[2:], *ends[:2])
        packet = build.tcp(*ends, flags, seqs[way], seqs[1 - way] if flags & ACK else 0, data)
        seqs[way] = (seqs[way] + len(data) + bool(flags & SYN)) & 0xFFFFFFFF
        found.append(build.ether(build.ipv4(ends[0], ends[2], 6, packet)))

    for number, way, data in said:
        if number not in state:
            state[number] = [0xFFFFFF00, 0x1000]  # the numbers of one side wrap
            segment(number, 0, SYN)
            segment(number, 1, SYN | ACK)
            segment(number, 0, ACK)
        at = 0
        while at < len(data):
            size = chooser.choice((1, 2, 3, 7, 20, 100, 1000)) if chooser else most
            segment(number, way, PSH | ACK, data[at : at + size])
            at += size
    return found


def pcapng(found, keys=b""):
    """Return a capture of frames, with the keys of TLS."""
    out = Kept()
    writer = PcapngWriter(out)
    if keys:
        writer.secrets(keys)
    iface = writer.interface("eth0")
    for number, frame in enumerate(found):
        writer.packet(iface, 1_700_000_000_000_000_000 + number * 1_000_000, frame)
    writer.close()
    return out.data


def timeline(said, port, seed=None, most=1460):
    """Return the timeline of a capture of these bytes."""
    chooser = random.Random(seed) if seed is not None else None
    return Timeline.of(pcapng(frames(said, port, chooser, most)))


@cache
def h2():
    """The package h2 on both sides, with frames that nghttp does not send: pings, resets, a push, padding, GOAWAY with a text."""
    from h2.config import H2Configuration
    from h2.connection import H2Connection

    client, server = (
        H2Connection(H2Configuration(client_side=side, header_encoding="utf-8")) for side in (True, False)
    )
    said = []

    def talk():
        for way, one, other in ((0, client, server), (1, server, client)):
            if data := one.data_to_send():
                said.append((0, way, data))
                other.receive_data(data)

    client.initiate_connection()
    server.initiate_connection()
    talk()
    head = [(":method", "GET"), (":scheme", "http"), (":authority", "shop.test"), (":path", "/orders")]
    for stream in (1, 3, 5, 7):
        client.send_headers(stream, [*head, ("cookie", f"a={stream}"), ("x-name", "Grüße")], end_stream=stream != 7)
    client.ping(b"12345678")
    client.send_data(7, b"padded", pad_length=11)
    talk()
    server.push_stream(1, 2, [*head[:3], (":path", "/style.css")])
    server.send_headers(2, [(":status", "200")])
    server.send_data(2, b"body {}", end_stream=True)
    server.send_headers(1, [(":status", "200"), ("content-type", "text/plain")])
    server.send_data(1, b"hello " * 30, end_stream=True, pad_length=5)
    server.reset_stream(3, 0xB)
    client.prioritize(5, weight=16, depends_on=1, exclusive=True)
    client.increment_flow_control_window(5000)
    client.increment_flow_control_window(700, 5)
    client.update_settings({1: 8192, 4: 100_000, 5: 20_000, 6: 9000, 0x99: 7})
    talk()
    server.send_headers(5, [(":status", "404"), ("x-empty", "")], end_stream=True)
    talk()
    server.close_connection(error_code=2, additional_data=b"maintenance", last_stream_id=5)
    talk()
    return said
