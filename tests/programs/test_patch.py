"""pystack.patch: a socket for the network is the stack's or an error, and nothing stays patched."""

import abc
import asyncio
import concurrent.futures as threads
import contextlib
import errno
import http.server
import importlib
import multiprocessing
import os
import selectors
import socket
import ssl
import sys
import threading
import urllib.request
import warnings

import pytest

import pystack
from pystack import patching, running
from pystack import socket as ours
from pystack.patching import held
from pystack.sockets import current
from pystack.sockets.handles import lookup

NAMES = [
    ("socket", name)
    for name in (
        "socket", "SocketType", "create_connection", "create_server", "fromfd", "socketpair", "getaddrinfo", "getnameinfo",
        "gethostbyname", "gethostbyname_ex", "gethostbyaddr", "gethostname", "sethostname", "has_ipv6", "close", "dup",
        "getdefaulttimeout", "setdefaulttimeout",
    )
] + [
    ("ssl", "SSLContext"), ("ssl", "SSLSocket"), ("ssl", "socket"), ("ssl", "create_connection"), ("selectors", "DefaultSelector"),
    ("select", "select"), ("asyncio", "new_event_loop"), ("asyncio", "SelectorEventLoop"), ("asyncio.events", "new_event_loop"),
    ("asyncio.unix_events", "SelectorEventLoop"), ("socketserver", "socket"), ("http.client", "socket"),
]  # fmt: skip


def snapshot():
    found = {(module, name): id(getattr(importlib.import_module(module), name)) for module, name in NAMES}
    found["wrap_socket"] = id(ssl.SSLContext.wrap_socket)
    return found | {"hosts": list(current._hosts), "held": held(), "patched": current.patched}


def test_nothing_stays_patched(local):
    before = snapshot()
    with pystack.patch():
        assert snapshot() != before
        with pystack.patch(local), contextlib.suppress(LookupError), pystack.patch():
            raise LookupError
        assert socket.socket is ours.socket
    assert snapshot() == before


def test_each_way_to_open_a_socket(local):
    with pystack.patch():
        assert not socket.has_ipv6
        with (
            socket.create_server(("127.0.0.1", 0)) as server,
            socket.create_connection(server.getsockname()) as client,
            socket.socket(type=socket.SOCK_DGRAM) as datagrams,
            socket.fromfd(client.fileno(), socket.AF_INET, socket.SOCK_STREAM) as copy,
            server.accept()[0] as conn,
        ):
            for sock in (server, client, datagrams, copy, conn):
                assert lookup(sock.fileno()) is not None and isinstance(sock, socket.socket)
            with selectors.DefaultSelector() as selector:
                selector.register(conn, selectors.EVENT_READ)
                assert selector.select(0) == []
                copy.send(b"x")
                assert len(selector.select(5)) == 1
        with pytest.raises(OSError, match="it speaks IPv4") as caught:
            socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
        assert caught.value.errno == errno.EAFNOSUPPORT
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as packets:
            assert lookup(packets.fileno()) is not None and isinstance(packets, socket.socket)
        for pair in (socket.socketpair(), (socket.socket(socket.AF_UNIX),)):
            for sock in pair:
                assert lookup(sock.fileno()) is None
                sock.close()
        with pytest.raises(socket.gaierror):
            socket.getaddrinfo("no.such.name", 80)
        with pytest.raises(OSError, match="it speaks IPv4"):
            socket.create_connection(("::1", 80))


def test_an_unmodified_server_and_client(local):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(f"{type(self.connection) is ours.socket}".encode())

        def log_message(self, *args):
            pass

    with pystack.patch(), http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        with urllib.request.urlopen(f"http://localhost:{server.server_port}/", timeout=10) as answer:
            assert answer.read() == b"True"
        server.shutdown()
        thread.join(10)


def test_loops_that_a_program_makes_are_the_stacks(local):
    from pystack.aio import EventLoop

    async def kind():
        return type(asyncio.get_running_loop())

    with pystack.patch():
        assert asyncio.run(kind()) is EventLoop
        with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
            assert runner.run(kind()) is EventLoop
            assert isinstance(runner.get_loop(), asyncio.SelectorEventLoop)
        own = asyncio.SelectorEventLoop(selectors.SelectSelector())
        assert own.run_until_complete(kind()) is not EventLoop
        own.close()

        class Mine(asyncio.SelectorEventLoop):
            pass

        with asyncio.Runner(loop_factory=Mine) as runner:
            assert runner.run(kind()) is Mine
    assert asyncio.run(kind()) is not EventLoop


def test_a_named_stack_comes_before_the_default_one_and_blocks_nest():
    with (
        running.up(tap=None, name="one") as one,
        running.up(tap=None, name="two") as two,
        pystack.patch(),
    ):
        assert socket.gethostname() == in_a_thread(socket.gethostname) == "two"
        with pystack.patch(one):
            assert socket.gethostname() == in_a_thread(socket.gethostname) == "one"
            with pystack.patch(two):
                assert socket.gethostname() == "two"
            assert socket.gethostname() == "one"
        assert socket.gethostname() == "two"


def in_a_thread(function):
    """The result of a function in a new thread, which has a context of its own."""
    return threads.ThreadPoolExecutor(1).submit(function).result(20)


def test_blocks_of_threads_end_in_any_order_and_each_has_its_own_stack():
    entered, leave, names = threading.Event(), threading.Event(), []
    before = snapshot()

    def other(stack):
        with pystack.patch(stack):
            names.append(socket.gethostname())
            entered.set()
            leave.wait(20)
            names.append(socket.gethostname())

    with running.up(tap=None, name="one") as one, running.up(tap=None, name="two") as two:
        thread = threading.Thread(target=other, args=(two,))
        with pystack.patch(one):
            thread.start()
            assert entered.wait(20)
            assert socket.gethostname() == "one"
        assert socket.socket is ours.socket  # the other thread still has its block
        leave.set()
        thread.join(20)
        assert names == ["two", "two"]
    assert snapshot() == before


def test_without_a_stack_a_socket_raises():
    with pystack.patch(), pytest.raises(OSError, match="no pystack stack is running here") as caught:
        socket.socket()
    assert caught.value.errno == errno.ENETDOWN


def test_the_kernels_sockets_of_a_program_are_instances_of_its_class(local):
    """trio, for one, takes only a socket.socket, and makes a socketpair() for itself."""

    class Own(socket.socket):
        pass

    pair = socket.socketpair()
    with pair[0], pair[1], pystack.patch():
        with socket.socket() as sock, socket.socket(socket.AF_UNIX) as unix, ours.socket(type=ours.SOCK_DGRAM) as other:
            for each in (*pair, sock, unix, other):
                assert isinstance(each, socket.socket) and isinstance(each, socket.SocketType)
            for nothing in (None, socket, 5, ours.socket):
                assert not isinstance(nothing, socket.socket)

        class Mine(abc.ABC, socket.socket):
            pass

        with Mine() as mine:
            assert isinstance(mine, Mine) and isinstance(mine, socket.socket)
            assert not isinstance(pair[0], Mine) and not isinstance(sock, Mine)
    assert isinstance(pair[0], socket.socket) and not isinstance(sock, socket.socket) and not isinstance(pair[0], Own)


def test_addresses_of_ipv6_are_text_for_the_c_library(local):
    """It reads and writes them without a network. (Our function was put into the module `_socket`, too, and called itself.)"""
    with pystack.patch():
        assert socket.getnameinfo(("::1", 80, 0, 0), socket.NI_NUMERICHOST | socket.NI_NUMERICSERV) == ("::1", "80")
        assert socket.getaddrinfo("::1", 80, type=socket.SOCK_STREAM)[0][4] == ("::1", 80, 0, 0)
        with pytest.raises(OverflowError):
            socket.getnameinfo(("::1", 0, 0xFFFFFFFF), 0)


def test_the_error_of_a_file_that_is_none_is_the_standard_librarys(local):
    assert ours._GiveupOnSendfile is socket._GiveupOnSendfile


def test_importing_patches_nothing():
    assert held() == [] and "pystack.patching" in sys.modules
    assert socket.socket is patching.kernel_socket.__globals__["_KernelSocket"]


def test_sendfile_and_a_fork_in_a_patched_program(local, tmp_path):
    """os.sendfile sends the file. In a child process, each call says that the stack is the parent's."""
    path = tmp_path / "file"
    path.write_bytes(b"content")
    with pystack.patch(), socket.create_server(("127.0.0.1", 0)) as server, path.open("rb") as file:
        with socket.create_connection(server.getsockname()) as client, server.accept()[0] as conn:
            assert os.sendfile(conn.fileno(), file.fileno(), 3, 100) == 4 and client.recv(100) == b"tent"
            assert conn.sendfile(file) == 7 and client.recv(100) == b"content"
            texts = errors_in_a_child(lambda: conn.sendall(b"x"), lambda: socket.create_server(("127.0.0.1", 0)))
    assert len(texts) == 2 and all("belongs to the parent process" in text for text in texts)


def errors_in_a_child(*calls):
    """The texts of the OSErrors that these functions raise in a child process."""

    def work():
        texts = []
        for call in calls:
            try:
                call()
            except OSError as exc:
                texts.append(str(exc))
        send.send(texts)

    fork = multiprocessing.get_context("fork")
    receive, send = fork.Pipe(False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # 3.12: this process has threads
        child = fork.Process(target=work)
        child.start()
    assert receive.poll(20)
    texts = receive.recv()
    child.join(20)
    return texts


@pytest.mark.parametrize("wrong", [5, "stack", object()])
def test_patch_takes_a_stack(wrong):
    original = socket.socket
    with pytest.raises(TypeError, match=r"the stack that up\(\) returned"):
        pystack.patch(wrong).__enter__()
    assert socket.socket is original
