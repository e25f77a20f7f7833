"""What goes wrong in programs on a stack: nothing hangs, and nothing is lost silently."""

import asyncio
import contextlib
import errno
import queue
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time

import pytest

import pystack
from pystack import socket as ours
from tests.programs.test_tls import both, contexts, raw_pair, tls_pair


@pytest.fixture
def patched(local):
    with pystack.patch():
        yield local


def pair():
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = socket.create_connection(server.getsockname(), timeout=20)
        conn, _ = server.accept()
    client.settimeout(None)
    return client, conn


# -- close in another thread -------------------------------------------------------------------------------------------


def listener():
    sock = socket.create_server(("127.0.0.1", 0))
    return sock, sock.accept, ()


def receiver():
    client, conn = pair()
    return client, lambda: client.recv(1), (conn,)


def datagrams():
    sock = socket.socket(type=socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    return sock, lambda: sock.recvfrom(1), ()


def connecting():
    sock = socket.socket()
    return sock, lambda: sock.connect(("10.1.2.3", 1)), ()


def encrypted():
    conn, client = tls_pair()
    client.settimeout(None)
    return client, lambda: client.recv(1), (conn,)


@pytest.mark.parametrize("make", [listener, receiver, datagrams, connecting, encrypted])
def test_close_in_another_thread_ends_the_wait(patched, make):
    """On the kernel's sockets, the thread would wait for ever."""
    # A route on which no host answers, for `connecting`.
    patched.host.setup("add_route", 0x0A000000, 8, 0, patched.host.stack.ifaces[0])
    sock, wait, others = make()
    outcome = queue.Queue()

    def work():
        try:
            outcome.put(wait())
        except OSError as exc:
            outcome.put(exc.errno)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    with pytest.raises(queue.Empty):
        outcome.get(timeout=0.2)
    sock.close()
    assert outcome.get(timeout=20) == errno.EBADF
    thread.join(20)
    for other in others:
        other.close()


def test_a_reader_of_a_file_of_a_socket_ends_with_the_shutdown(patched):
    """A socket with a file is closed with its file. As on the kernel's sockets, shutdown() ends the wait."""
    client, conn = pair()
    with client, conn, client.makefile("rb") as file:
        result = both(file.readline, lambda: (time.sleep(0.2), client.shutdown(socket.SHUT_RD)))[0]
        assert result == b""


# -- callbacks that raise an error ---------------------------------------------------------------------------------------


def test_errors_of_protocols_end_their_connection_only(patched):
    """asyncio reports the error to the handler of the loop, and closes this connection. The others go on."""
    told = []

    class Server(asyncio.Protocol):
        def connection_made(self, transport):
            self.transport = transport

        def data_received(self, data):
            if data == b"fail":
                raise ZeroDivisionError("in data_received")
            self.transport.write(data)

        def eof_received(self):
            raise LookupError("in eof_received")

    async def main():
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda loop, context: told.append(type(context["exception"])))
        async with await loop.create_server(Server, "127.0.0.1", 0) as server:
            address = server.sockets[0].getsockname()
            good, bad, half = [await asyncio.open_connection(*address) for _ in range(3)]
            bad[1].write(b"fail")
            with contextlib.suppress(ConnectionError):
                assert await bad[0].read() == b""
            half[1].write_eof()
            with contextlib.suppress(ConnectionError):
                assert await half[0].read() == b""
            good[1].write(b"hello")
            assert await good[0].readexactly(5) == b"hello"
            for _, writer in (good, bad, half):
                writer.close()

    asyncio.run(asyncio.wait_for(main(), 30))
    assert told[:2] == [ZeroDivisionError, LookupError]  # (the end of the good connection is another one)


def test_an_error_of_a_readers_callback_is_told_and_the_next_call_comes(patched):
    told, seen = [], []

    async def main():
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda loop, context: told.append(type(context["exception"])))
        client, conn = pair()
        done = loop.create_future()

        def read():
            seen.append(conn.recv(1))
            if len(seen) == 1:
                raise ZeroDivisionError
            done.set_result(None)

        with client, conn:
            loop.add_reader(conn, read)
            client.sendall(b"ab")
            await asyncio.wait_for(done, 20)
            loop.remove_reader(conn)

    asyncio.run(main())
    assert told == [ZeroDivisionError] and seen == [b"a", b"b"]


def test_an_error_of_a_servers_name_callback_ends_the_handshake_of_both(patched, monkeypatch):
    told = []
    monkeypatch.setattr(sys, "unraisablehook", lambda args: told.append(args.exc_type))
    server, client = contexts()
    server.sni_callback = lambda *arguments: 1 / 0
    conn, sock = raw_pair()
    errors = []

    def side(wrap):
        try:
            wrap()
        except ssl.SSLError as exc:
            errors.append(exc.reason)

    both(
        lambda: side(lambda: server.wrap_socket(conn, server_side=True)),
        lambda: side(lambda: client.wrap_socket(sock, server_hostname="localhost")),
    )
    assert sorted(errors) == ["CALLBACK_FAILED", "SSLV3_ALERT_HANDSHAKE_FAILURE"] and told == [ZeroDivisionError]


# -- the end of the interpreter ----------------------------------------------------------------------------------------

END = """
import asyncio, http.server, socket, sys, threading, urllib.request
import pystack

def serve(loop_ready):
    async def main():
        server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
        loop_ready.set()
        await server.serve_forever()
    asyncio.run(main())

class Handler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args): pass
    def do_GET(self):
        self.wfile.write(b"HTTP/1.0 200 OK\\r\\n\\r\\nhello")

stack = pystack.up(tap=None)
with pystack.patch():
    ready = threading.Event()
    threading.Thread(target=serve, args=(ready,), daemon=True).start()
    ready.wait(20)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}").read())
    client = socket.create_connection(server.server_address)
    client.send(b"GET")
    datagrams = socket.socket(type=socket.SOCK_DGRAM)
    poll = datagrams.fileno()
    HOW
"""


@pytest.mark.parametrize("how, status", [("sys.exit(3)", 3), ("pass", 0), ("1 / 0", 1), ("os._exit(5)", 5)])
def test_a_program_ends_with_open_sockets(how, status):
    """It ends at once, with its own status, and says only what it has to say itself."""
    code = END.replace("HOW", how).replace("import asyncio,", "import asyncio, os,")
    command = [sys.executable, "-W", "ignore", "-u", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (status, "b'hello'\n"), done.stderr
    assert done.stderr.splitlines()[-1:] == (["ZeroDivisionError: division by zero"] if how == "1 / 0" else []), (
        done.stderr
    )


# -- signals --------------------------------------------------------------------------------------------------------------

CALLS = {"recv": receiver, "accept": listener, "recvfrom": datagrams, "tls": encrypted}


@pytest.mark.parametrize("call", CALLS)
def test_a_signal_during_a_call(patched, call):
    """A handler that returns does not end the call, and one that raises an error does. Afterwards the socket is as before."""
    sock, wait, others = CALLS[call]()
    handled = []

    def handler(number, frame):
        handled.append(number)
        if len(handled) == 2:
            signal.setitimer(signal.ITIMER_REAL, 0)
            raise InterruptedError("by the handler")

    before = signal.signal(signal.SIGALRM, handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.1, 0.1)
        with pytest.raises(InterruptedError, match="by the handler"):
            wait()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert len(handled) == 2
    if call == "accept":
        others = (socket.create_connection(sock.getsockname()), wait()[0])
    elif call == "recvfrom":
        sock.sendto(b"x", sock.getsockname())
        assert wait()[0] == b"x"
    else:
        others[0].sendall(b"x")
        assert wait() == b"x"
    for each in (sock, *others):
        each.close()


def test_ctrl_c_in_asyncio(patched):
    """asyncio.run cancels the main task and raises KeyboardInterrupt. The server's port is free again."""
    address = []

    async def main():
        async with await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0) as server:
            address.append(server.sockets[0].getsockname())
            signal.setitimer(signal.ITIMER_REAL, 0.2)
            await server.serve_forever()

    before = signal.signal(signal.SIGALRM, lambda number, frame: signal.raise_signal(signal.SIGINT))
    try:
        with pytest.raises(KeyboardInterrupt):
            asyncio.run(main())
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    socket.create_server(address[0]).close()


# -- a slow reader ---------------------------------------------------------------------------------------------------------


def test_a_slow_reader_holds_up_only_its_own_writer(patched):
    """The writer waits in drain() with a bounded buffer, others are served meanwhile, and all bytes arrive in order."""
    data = bytes(range(251)) * 40_000
    most = 0
    left = asyncio.Event()

    async def serve(reader, writer):
        nonlocal most
        if await reader.readline() == b"all\n":
            for at in range(0, len(data), 10_000):
                writer.write(data[at : at + 10_000])
                most = max(most, writer.transport.get_write_buffer_size())
                await writer.drain()
            left.set()
        else:
            writer.write(b"pong\n")
        writer.close()

    async def main():
        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            where = server.sockets[0].getsockname()
            slow, slow_writer = await asyncio.open_connection(*where, limit=1000)
            slow_writer.write(b"all\n")
            got = bytearray(await slow.readexactly(10))
            for _ in range(20):  # the slow one reads nothing meanwhile
                reader, writer = await asyncio.open_connection(*where)
                writer.write(b"ping\n")
                assert await reader.readline() == b"pong\n"
                writer.close()
            assert not left.is_set()
            while piece := await slow.read(50_000):
                got += piece
                if len(got) < 100_000:
                    await asyncio.sleep(0.01)
            slow_writer.close()
            assert left.is_set()
            return got

    assert asyncio.run(asyncio.wait_for(main(), 60)) == data
    assert most < 100_000


def test_a_slow_reader_of_a_writer_that_blocks(patched):
    """sendall with a timeout ends with TimeoutError while nothing is read. What it has taken is delivered, in order."""
    data = bytes(range(251)) * 40_000
    client, conn = pair()
    with client, conn:
        client.settimeout(0.2)
        sent = 0
        with pytest.raises(TimeoutError):
            while sent < len(data):
                sent += client.send(data[sent : sent + 100_000])
        assert 0 < sent < len(data)
        client.settimeout(30)

        def read():
            got = bytearray(conn.recv(1000))
            time.sleep(0.1)
            while piece := conn.recv(1 << 20):
                got += piece
            return got

        def write():
            client.sendall(data[sent:])
            client.shutdown(socket.SHUT_WR)

        _, got = both(write, read)
        assert got == data


# -- loops in threads -------------------------------------------------------------------------------------------------------


def test_two_loops_in_two_threads_talk_over_one_stack(patched):
    """A server in one loop, its clients in another, and a third thread that blocks."""
    address = queue.Queue()
    stop = threading.Event()

    async def echo(reader, writer):
        with contextlib.closing(writer):
            while data := await reader.read(1000):
                writer.write(data)
                await writer.drain()

    async def serve():
        async with await asyncio.start_server(echo, "127.0.0.1", 0) as server:
            assert type(server.sockets[0]._sock) is ours.socket
            address.put(server.sockets[0].getsockname())
            while not stop.is_set():
                await asyncio.sleep(0.02)

    async def talk(where, number):
        reader, writer = await asyncio.open_connection(*where)
        for count in range(20):
            text = b"%d %d\n" % (number, count)
            writer.write(text)
            assert await reader.readline() == text
        writer.close()
        await writer.wait_closed()
        return number

    async def clients(where):
        return await asyncio.wait_for(asyncio.gather(*[talk(where, number) for number in range(10)]), 60)

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    where = address.get(timeout=20)
    try:
        with socket.create_connection(where, timeout=30) as blocking:
            blocking.sendall(b"blocking")
            assert both(lambda: asyncio.run(clients(where)), lambda: blocking.recv(100)) == (
                list(range(10)),
                b"blocking",
            )
    finally:
        stop.set()
        thread.join(20)
    assert not thread.is_alive()
