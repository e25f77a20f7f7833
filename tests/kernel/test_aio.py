"""pystack.aio with a kernel as the peer: who reads the device while a loop waits, and what happens when the stack ends."""

import asyncio
import errno
import threading
import time

import pytest

from pystack import aio
from tests.kernel.test_tcp import connected
from tests.support.patience import PATIENCE


def test_the_loop_itself_leads(net):
    """What comes out of the device is read by the loop's thread: no descriptor, no other thread in between."""
    conn, client = connected(net)
    conn.setblocking(False)
    host = net.running.host
    seen = []

    def send():
        limit = time.monotonic() + PATIENCE
        while host.leader is None or host.leader.event_fd < 0:
            if time.monotonic() > limit:
                return
            time.sleep(0.0005)
        seen.append(host.leader)
        client.sendall(b"x")

    async def main():
        loop = asyncio.get_running_loop()
        for _ in range(20):
            thread = threading.Thread(target=send)
            thread.start()
            assert await loop.sock_recv(conn, 10) == b"x"
            thread.join()

    with asyncio.Runner(loop_factory=lambda: aio.EventLoop(host)) as runner:
        runner.run(asyncio.wait_for(main(), 2 * PATIENCE))
    assert len(seen) == 20


def test_a_stack_that_ends_is_told_to_every_socket(net):
    conn, _ = connected(net)
    conn.setblocking(False)

    async def main():
        loop = asyncio.get_running_loop()
        threading.Timer(0.1, net.running.close, [0]).start()
        with pytest.raises(OSError) as caught:
            await loop.sock_recv(conn, 10)
        assert caught.value.errno == errno.ENETDOWN
        # The loop goes on for everything else, and does not spin.
        before = time.process_time()
        await asyncio.sleep(0.3)
        assert time.process_time() - before < 0.2

    with asyncio.Runner(loop_factory=lambda: aio.EventLoop(net.running.host)) as runner:
        runner.run(asyncio.wait_for(main(), PATIENCE))


def test_a_page_over_tls(net, tmp_path):
    """The loop's own TLS on a socket of the stack, the kernel's client."""
    import ssl

    from tests.trace.test_keylog import certificate

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate(tmp_path))
    listener = net.socket()
    listener.bind(("", 443))
    listener.listen()
    listener.setblocking(False)

    async def answer(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello")
        await writer.drain()
        writer.close()

    async def main():
        async with await asyncio.start_server(answer, sock=listener, ssl=context):
            return await asyncio.to_thread(net.sh, "curl -sk --max-time 20 https://10.0.0.2/")

    with asyncio.Runner(loop_factory=lambda: aio.EventLoop(net.running.host)) as runner:
        assert runner.run(asyncio.wait_for(main(), PATIENCE)).stdout == "hello"
