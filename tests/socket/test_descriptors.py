"""Whatever happens to a descriptor hurts its own socket alone: closed behind its back, used as a file, collected, raced for."""

import asyncio
import contextlib
import errno
import gc
import logging
import os
import pickle
import select
import selectors
import socket as kernel
import subprocess
import tempfile
import threading
import time
from multiprocessing import reduction

import pytest

from pystack import aio, socket
from tests.support.patience import PATIENCE


def pair(seconds=PATIENCE):
    """Two ends of one connection."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = socket.create_connection(server.getsockname(), timeout=seconds)
        conn, _ = server.accept()
    client.settimeout(None)
    conn.settimeout(seconds)
    return client, conn


def ready(sock, events=select.POLLIN, wait=0):
    """What poll(2) says of a socket's descriptor."""
    poll = select.poll()
    poll.register(sock, events)
    return sum(bits for _, bits in poll.poll(wait))


# -- closed by somebody else -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "close",
    [
        lambda sock: os.close(sock.detach()),
        lambda sock: kernel.socket(fileno=sock.detach()).close(),
        lambda sock: os.close(sock.fileno()),
        lambda sock: kernel.socket(fileno=sock.fileno()).close(),
    ],
    ids=["close-detach", "std-detach", "close-fileno", "std-fileno"],
)
def test_closing_the_number_closes_the_connection_as_in_the_kernel(local, close):
    client, conn = pair()
    close(client)
    assert conn.recv(10) == b""  # the peer sees the end
    conn.close()
    other = pair()  # and the stack goes on
    other[0].sendall(b"x")
    assert other[1].recv(1) == b"x"
    for end in other:
        end.close()
    if client.fileno() != -1:
        with pytest.raises(OSError) as caught:
            client.close()
        assert caught.value.errno == errno.EBADF
    assert local.host.inspect(lambda stack: sum(e.state == 1 for e in stack.endpoints.values())) == 0


def test_a_number_that_is_another_files_by_now_is_not_touched(local):
    """As many changes of readiness as there are: none reads from, writes to, changes or closes the new file."""
    client, conn = pair()
    number = client.fileno()
    mine, far = kernel.socketpair(kernel.AF_UNIX, kernel.SOCK_DGRAM)
    os.close(number)
    os.dup2(mine.fileno(), number)
    try:
        far.send(b"for the new file")
        room = mine.getsockopt(kernel.SOL_SOCKET, kernel.SO_SNDBUF)
        conn.sendall(b"x")
        description = client._handle
        if description is not None and description.description is not None:
            with pytest.raises(OSError):
                for _ in range(1000):  # until the stack has noticed
                    client.recv(10)
                    # It notices at the next change. Without one, the next call would wait forever.
                    with contextlib.suppress(OSError):
                        conn.sendall(b"x")
        with pytest.raises(OSError):
            client.settimeout(PATIENCE)
        with pytest.raises(OSError) as caught:
            client.close()
        assert caught.value.errno == errno.EBADF
        assert os.get_blocking(number)
        assert mine.getsockopt(kernel.SOL_SOCKET, kernel.SO_SNDBUF) == room
        assert mine.recv(100, kernel.MSG_DONTWAIT) == b"for the new file"
        found = socket.socket(fileno=number)  # it is no socket of the stack any more
        assert found.family == kernel.AF_UNIX and type(found) is not type(client)
        found.detach()
    finally:
        os.close(number)
        mine.close()
        far.close()
        conn.close()
    assert local.host.failure is None


def test_what_recv_took_is_given_although_the_descriptor_is_closed(local):
    """The byte was taken from the connection: an error behind it would lose it."""
    client, conn = pair()
    twin = client.dup()
    assert twin.fileno() >= 0
    conn.sendall(b"abc")
    assert ready(twin, wait=5000)
    local.host.lock.acquire()  # nobody notices meanwhile that it is closed
    try:
        os.close(twin.fileno())
        assert client.recv(10) == b"abc"
    finally:
        local.host.lock.release()
    client.sendall(b"d")
    assert conn.recv(10) == b"d"
    with pytest.raises(OSError):
        twin.close()
    client.close()
    conn.close()


def test_calls_come_back_after_everything_was_closed_by_closerange():
    """What a daemon does first; a stack cannot live on, but whoever calls it comes back."""
    code = """
import os, pystack
from pystack import socket
stack = pystack.up(tap=None, name="range")
server = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(server.getsockname())
conn, _ = server.accept()
numbers = [s.fileno() for s in (server, client, conn)]
os.closerange(3, 256)
for call in (lambda: client.sendall(b"x"), lambda: conn.recv(1), client.close, conn.close, server.close):
    try:
        call()
    except OSError:
        pass
print("over", flush=True)
os._exit(0)
"""
    done = subprocess.run(["timeout", "60", *_python(code)], capture_output=True, text=True, timeout=70)
    assert done.stdout == "over\n", done.stderr


# -- collected, raced for --------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:unclosed")
def test_sockets_are_collected_while_others_send_to_them(local):
    """The descriptor of a lost socket goes while the stack tells of its readiness."""
    server = socket.create_server(("127.0.0.1", 0))
    address = server.getsockname()
    ends = []
    stop = threading.Event()

    def send():
        while not stop.is_set():
            for end in list(ends):
                try:
                    end.send(b"x", socket.MSG_DONTWAIT)
                except OSError:
                    continue

    senders = [threading.Thread(target=send) for _ in range(2)]
    for thread in senders:
        thread.start()
    before = len(os.listdir("/proc/self/fd"))
    try:
        for i in range(1500):
            client = socket.create_connection(address, timeout=PATIENCE)
            client.fileno()
            conn, _ = server.accept()
            ends.append(conn)
            if len(ends) > 4:
                ends.pop(0).close()
            cycle = [client]
            cycle.append(cycle)
            del client, cycle
            if i % 10 == 9:
                gc.collect(1)
    finally:
        stop.set()
        for thread in senders:
            thread.join(20)
    assert local.host.failure is None
    for end in ends:
        end.close()
    server.close()
    assert len(os.listdir("/proc/self/fd")) <= before + 10


def test_dup_and_close_race_with_recv_and_send(local):
    """Two threads use a socket while a third makes and closes descriptors of it: nothing is lost, nothing stops."""
    client, conn = pair(20)
    total = 3_000_000
    got = bytearray()
    stop = threading.Event()
    errors = []

    def send():
        data = bytes(range(256)) * (total // 256)
        for at in range(0, len(data), 100):
            conn.sendall(data[at : at + 100])
        conn.shutdown(socket.SHUT_WR)

    def receive():
        try:
            while data := client.recv(77):
                got.extend(data)
        except OSError as exc:
            errors.append(exc)

    def churn():
        while not stop.is_set():
            for sock in (client, conn):
                twin = sock.dup()
                twin.fileno()
                twin.close()

    threads = [threading.Thread(target=work) for work in (send, receive)]
    third = threading.Thread(target=churn)
    for thread in (third, *threads):
        thread.start()
    for thread in threads:
        thread.join(5 * PATIENCE)
    stop.set()
    third.join(20)
    assert errors == [] and local.host.failure is None
    assert bytes(got) == bytes(range(256)) * (total // 256)
    client.close()
    conn.close()


@pytest.mark.filterwarnings("ignore:unclosed")
def test_a_finalizer_waits_for_no_lock(local):
    """One thread asks for a number (and so for the stack's lock), another one loses a socket while it has that lock."""
    client, conn = pair()
    lost = [socket.socket() for _ in range(50)]
    for sock in lost:
        sock.fileno()
    inside = threading.Event()
    go = threading.Event()

    def look(stack):
        inside.set()
        go.wait(5)
        lost.clear()  # finalizers run here, under the lock of the stack
        return True

    results = []
    holder = threading.Thread(target=lambda: results.append(local.host.inspect(look)))
    holder.start()
    assert inside.wait(PATIENCE)
    asking = threading.Thread(target=lambda: results.append(client.dup().detach()))
    asking.start()
    time.sleep(0.05)
    go.set()
    for thread in (holder, asking):
        thread.join(PATIENCE)
        assert not thread.is_alive()
    assert len(results) == 2
    for number in results:
        if number is not True:
            os.close(number)
    client.close()
    conn.close()


# -- used as a file ------------------------------------------------------------------------------------------------------


def test_writing_to_the_descriptor_is_an_error_not_a_loss(local):
    client, conn = pair()
    with tempfile.TemporaryFile() as file:
        file.write(bytes(1000))
        file.flush()
        for write in (
            lambda: os.write(client.fileno(), b"x"),
            lambda: os.sendfile(client.fileno(), file.fileno(), 0, 1000),
        ):
            with pytest.raises(BrokenPipeError):
                write()
    done = subprocess.run(["/bin/echo", "hello"], stdout=client.fileno(), stderr=subprocess.PIPE)
    assert done.returncode != 0
    client.close()
    assert conn.recv(10) == b""
    conn.close()


def test_handing_a_socket_to_another_process_is_an_error(local):
    """Python's own ways to do it say so at once."""
    client, conn = pair()
    for hand_over in (
        lambda: subprocess.run(["/bin/echo", "hello"], stdout=client, timeout=10),
        lambda: subprocess.run(["/bin/cat"], stdin=client, stdout=subprocess.DEVNULL, timeout=10),
        lambda: reduction._reduce_socket(client),
    ):
        with pytest.raises(OSError, match="cannot be handed to another process") as caught:
            hand_over()
        assert caught.value.errno == errno.EOPNOTSUPP
    with pytest.raises(TypeError, match="cannot pickle"):
        pickle.dumps(client)
    conn.sendall(b"data")
    assert client.recv(10) == b"data"
    client.close()
    conn.close()


def test_reading_from_the_descriptor_is_told_and_takes_nothing(local, caplog):
    client, conn = pair()
    conn.sendall(b"data")
    assert ready(client, wait=5000)
    assert os.read(client.fileno(), 100) == b""
    with caplog.at_level(logging.WARNING, logger="pystack.socket"):
        assert client.recv(100) == b"data"
    assert "other code read from descriptor" in caplog.text
    conn.sendall(b"more")
    assert ready(client, wait=5000)
    assert client.recv(100) == b"more"
    assert not ready(client)
    client.close()
    conn.close()


def test_readiness_both_ways_again_and_again(local):
    """Edge-triggered too: writable, full, writable again; readable, empty, readable again."""
    client, conn = pair()
    client.setblocking(False)
    epoll = select.epoll()
    epoll.register(client, select.EPOLLIN | select.EPOLLOUT | select.EPOLLET)
    assert epoll.poll(1) == [(client.fileno(), select.EPOLLOUT)]
    for _ in range(3):
        size = 0
        with pytest.raises(BlockingIOError):
            while True:
                size += client.send(bytes(1 << 16))
        assert not ready(client, select.POLLOUT)
        while size:
            size -= len(conn.recv(1 << 20))
        assert ready(client, select.POLLOUT, 5000) == select.POLLOUT
        assert [bits & select.EPOLLOUT for _, bits in epoll.poll(5)] == [select.EPOLLOUT]
        conn.sendall(b"x")
        assert [bits & select.EPOLLIN for _, bits in epoll.poll(5)] == [select.EPOLLIN]
        assert client.recv(10) == b"x"
        assert not ready(client)
    epoll.close()
    client.close()
    conn.close()


LOOPS = [asyncio.SelectorEventLoop, aio.EventLoop]


@pytest.mark.parametrize("loop", LOOPS, ids=["asyncio", "pystack.aio"])
@pytest.mark.parametrize("offset", [0, 5000])
def test_sendfile_of_event_loops(local, loop, offset):
    size = 300_000
    data = os.urandom(size)

    async def main():
        running = asyncio.get_running_loop()
        with tempfile.TemporaryFile() as file:
            file.write(data)
            file.seek(0)
            client, conn = pair()
            for sock in (client, conn):
                sock.setblocking(False)

            async def read():
                got = bytearray()
                while piece := await running.sock_recv(conn, 1 << 16):
                    got += piece
                return bytes(got)

            reading = asyncio.ensure_future(read())
            assert await running.sock_sendfile(client, file, offset) == size - offset
            assert file.tell() == size
            _, writer = await asyncio.open_connection(sock=client)
            writer.write(b"then the transport's: ")
            if loop is not aio.EventLoop:
                file.seek(0)  # what asyncio does without os.sendfile begins where the file is, if the offset is 0
            assert await running.sendfile(writer.transport, file, offset) == size - offset
            writer.close()
            assert await reading == data[offset:] + b"then the transport's: " + data[offset:]
            conn.close()

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(asyncio.wait_for(main(), 30))


# -- the stack ends --------------------------------------------------------------------------------------------------------


def test_descriptors_show_that_the_stack_has_stopped(local):
    client, conn = pair()
    assert not ready(client)
    woken = []
    epoll = select.epoll()
    epoll.register(client, select.EPOLLIN)
    selector = selectors.PollSelector()
    selector.register(conn, selectors.EVENT_READ)
    waits = [
        threading.Thread(target=lambda: woken.append(select.select([client], [], [], PATIENCE)[0] == [client])),
        threading.Thread(target=lambda: woken.append(epoll.poll(PATIENCE) == [(client.fileno(), select.EPOLLIN)])),
        threading.Thread(target=lambda: woken.append(len(selector.select(PATIENCE)) == 1)),
    ]
    for thread in waits:
        thread.start()
    time.sleep(0.1)
    local.close(flush=0)
    for thread in waits:
        thread.join(PATIENCE)
    assert woken == [True] * 3
    for sock in (client, conn):
        with pytest.raises(OSError) as caught:
            sock.recv(1)
        assert caught.value.errno == errno.ENETDOWN
    epoll.close()
    client.close()
    conn.close()


def _python(code):
    import sys

    return [sys.executable, "-c", code]


@pytest.mark.filterwarnings("ignore:unclosed")
@pytest.mark.parametrize("how", ["lost", "closed", "twin"])
def test_a_descriptor_is_closed_only_under_the_lock_of_its_stack(local, how):
    """Another thread may be telling of its readiness at this very moment: whoever has the lock still finds it open."""
    client, conn = pair()
    number = client.fileno()
    twin = client.dup()
    if how == "twin":
        number = twin.fileno()
    inside = threading.Event()
    go = threading.Event()
    found = []

    def look(stack):
        inside.set()
        go.wait(10)
        try:
            os.fstat(number)
            found.append("open")
        except OSError:
            found.append("closed")

    holder = threading.Thread(target=lambda: local.host.inspect(look))
    holder.start()
    assert inside.wait(PATIENCE)
    closing = threading.Thread(target=(twin if how == "twin" else client).close)
    if how == "lost":
        closing = threading.Thread(target=gc.collect, args=(0,))
        del client
    closing.start()
    time.sleep(0.1)
    go.set()
    holder.join(PATIENCE)
    closing.join(PATIENCE)
    assert found == ["open"]
    limit = time.monotonic() + PATIENCE
    while time.monotonic() < limit:
        try:
            os.fstat(number)
        except OSError:
            break
        time.sleep(0.01)
    else:
        raise AssertionError("it is never closed")
    twin.close()
    if how == "twin":
        client.close()
    conn.close()
    assert local.host.failure is None
