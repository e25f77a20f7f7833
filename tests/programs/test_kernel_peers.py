"""Unmodified libraries in this process, on a stack whose peer is the kernel, in both directions."""

import asyncio
import http.server
import socket
import ssl
import threading

import pytest

import pystack
from pystack import aio
from tests.kernel.conftest import KERNEL, STACK, _reason
from tests.programs.test_tls import both, contexts

pytestmark = [pytest.mark.kernel, pytest.mark.skipif(bool(_reason), reason=_reason)]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = f"to {self.client_address[0]}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


@pytest.fixture
def kernel_http(net):
    """A server of the standard library on the kernel's side."""
    server = http.server.ThreadingHTTPServer((KERNEL, 80), Handler, bind_and_activate=False)
    server.socket.close()
    server.socket = net.space.call(socket.socket)
    server.server_bind(), server.server_activate()
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield net
    server.shutdown()
    thread.join(10)
    server.server_close()


def test_requests(kernel_http):
    requests = pytest.importorskip("requests")
    with pystack.patch(), requests.Session() as session:
        session.trust_env = False
        for _ in range(3):
            assert session.get(f"http://{KERNEL}/", timeout=10).text == f"to {STACK}"
        data = bytes(range(256)) * 800
        assert session.post(f"http://{KERNEL}/", data=data, timeout=20).content == data


def test_httpx(kernel_http):
    httpx = pytest.importorskip("httpx")

    async def ask():
        async with httpx.AsyncClient(trust_env=False, timeout=20) as client:
            answers = await asyncio.gather(*(client.get(f"http://{KERNEL}/") for _ in range(5)))
            return {answer.text for answer in answers}

    with pystack.patch(), httpx.Client(trust_env=False, timeout=20) as client:
        assert client.get(f"http://{KERNEL}/").text == f"to {STACK}"
    assert aio.run(ask()) == {f"to {STACK}"}


def test_http_server_and_curl(net):
    with pystack.patch(), http.server.ThreadingHTTPServer((STACK, 80), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            assert net.sh(f"curl -s -m 10 http://{STACK}/").stdout == f"to {KERNEL}"
        finally:
            server.shutdown()
            thread.join(10)


def test_asyncio_streams_and_datagrams_both_ways(net):
    """The calls name a host and a port, and the kernel's sockets are at the other end. Nothing uses the machine's own loopback."""

    async def echo(reader, writer):
        writer.write(await reader.readexactly(5))
        writer.close()

    class Answer(asyncio.DatagramProtocol):
        def connection_made(self, transport):
            self.transport = transport

        def datagram_received(self, data, addr):
            self.transport.sendto(data + addr[0].encode(), addr)

    listener = net.kernel()
    listener.bind((KERNEL, 7))
    listener.listen()

    def call():
        with net.kernel() as sock:
            sock.connect((STACK, 7))
            sock.sendall(b"hello")
            return sock.recv(10)

    def accept():
        conn, peer = listener.accept()
        with conn:
            conn.sendall(peer[0].encode())

    def ask():
        with net.kernel(socket.SOCK_DGRAM) as sock:
            sock.sendto(b"from ", (STACK, 9))
            return sock.recv(100)

    async def main():
        async with await asyncio.start_server(echo, STACK, 7):
            called = await asyncio.to_thread(call)
        accepting = asyncio.ensure_future(asyncio.to_thread(accept))
        reader, writer = await asyncio.open_connection(KERNEL, 7)
        seen = await reader.read()
        writer.close()
        await accepting
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(Answer, local_addr=(STACK, 9))
        answer = await asyncio.to_thread(ask)
        transport.close()
        return called, seen, answer

    expected = b"hello", STACK.encode(), b"from " + KERNEL.encode()
    assert aio.run(asyncio.wait_for(main(), 30)) == expected


@pytest.mark.parametrize("stack_is_server", [True, False], ids=["server", "client"])
def test_blocking_tls_with_the_kernel(net, stack_is_server):
    server, client = contexts()
    data = bytes(range(256)) * 2000
    listener = (net.socket if stack_is_server else net.kernel)()
    listener.bind((STACK if stack_is_server else KERNEL, 443))
    listener.listen()
    caller = (net.kernel if stack_is_server else net.socket)()

    def serve():
        conn, _ = listener.accept()
        with server.wrap_socket(conn, server_side=True) as sock, sock.makefile("rb") as file:
            got = file.read(len(data))
            sock.sendall(got)
            return sock.version()

    def ask():
        caller.connect(listener.getsockname())
        with client.wrap_socket(caller, server_hostname="localhost") as sock, sock.makefile("rb") as file:
            assert isinstance(sock, ssl.SSLSocket)
            sock.sendall(data)
            return file.read(len(data))

    with pystack.patch():
        assert both(serve, ask) == ("TLSv1.3", data)


def test_aiohttp_serves_a_file_and_asks(net, kernel_http, tmp_path):
    """curl fetches a file from aiohttp's server, which uses loop.sendfile, and aiohttp's client opens its own sockets."""
    aiohttp = pytest.importorskip("aiohttp")
    from aiohttp import web

    path = tmp_path / "file"
    path.write_bytes(bytes(range(256)) * 2000)

    async def file(request):
        return web.FileResponse(path)

    async def main():
        app = web.Application()
        app.router.add_get("/", file)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, STACK, 80).start()
        got = await asyncio.to_thread(net.sh, f"curl -s -m 20 -o {tmp_path}/copy http://{STACK}/")
        async with aiohttp.ClientSession() as session, session.get(f"http://{KERNEL}/") as answer:
            text = await answer.text()
        await runner.cleanup()
        return got.returncode, text

    assert aio.run(asyncio.wait_for(main(), 40)) == (0, f"to {STACK}")
    assert (tmp_path / "copy").read_bytes() == path.read_bytes()
