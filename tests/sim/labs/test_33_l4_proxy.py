"""The relay of pystack.proxies, which is an asyncio program, between the hosts of lab 33."""

import pytest

from pystack.labs.lab_33_l4_proxy.paths import COPY, R1, R2
from pystack.sim.network import Network
from pystack.testing.lab import pattern


def test_the_relay_program_holds_one_copy_buffer():
    """The client's writes block after the four buffers of the sockets and the relay's own one."""
    asyncio = pytest.importorskip("asyncio")
    pytest.importorskip("h11", reason="needs the extra `proxy`")
    from pystack.proxies import ProxySettings, TcpRelay, Upstream

    net = Network(1)
    config = {"profile": "lab", "tcp_rmem": 65_536, "tcp_wmem": 65_536}
    client, proxy, server = (net.host(name, **config) for name in "cps")
    net.link(client, proxy, delay=R1 // 2, addrs=("10.0.1.1/24", "10.0.1.2/24"))
    net.link(proxy, server, delay=R2 // 2, addrs=("10.0.2.1/24", "10.0.2.2/24"))
    net.introduce()

    async def serve():
        from socket import create_server

        with create_server(("", 80)) as listener:
            listener.setblocking(False)
            sock, _ = await asyncio.get_running_loop().sock_accept(listener)
            with sock:
                await asyncio.sleep(3600)

    async def write():
        from socket import socket

        await asyncio.sleep(1)
        sock = socket()
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, ("10.0.1.2", 80))
        taken = 0
        for _ in range(400):
            try:
                taken += sock.send(pattern(65_536))
            except BlockingIOError:
                await asyncio.sleep(0.1)
        sock.close()
        return taken

    relay = TcpRelay(("", 80), [Upstream("10.0.2.2", 80)], settings=ProxySettings(buffer_size=COPY))
    taken = net.run({client: write}, background={server: serve, proxy: relay})[client]
    most = 4 * 65_536 + COPY
    # The relay waits until its socket is writable, which is so only if a third of the buffer is free, as on Linux. So that third may
    # stay empty, and the socket has taken a part of the piece that the relay holds.
    assert most - 65_536 // 3 - COPY <= taken <= most + 5 * 1460


def test_the_relay_program_passes_everything_on():
    """Control: with a server that reads, the same client is never blocked for long. Each direction ends for itself."""
    asyncio = pytest.importorskip("asyncio")
    pytest.importorskip("h11", reason="needs the extra `proxy`")
    from pystack.proxies import TcpRelay, Upstream

    net = Network(1)
    client, proxy, server = (net.host(name, profile="lab") for name in "cps")
    net.link(client, proxy, delay=R1 // 2, addrs=("10.0.1.1/24", "10.0.1.2/24"))
    net.link(proxy, server, delay=R2 // 2, addrs=("10.0.2.1/24", "10.0.2.2/24"))

    async def count(reader, writer):
        data = await reader.read(-1)  # up to the end of the client's direction
        writer.write(b"%d" % len(data))
        writer.close()

    async def serve():
        async with await asyncio.start_server(count, "", 80) as listener:
            await listener.serve_forever()

    async def ask():
        await asyncio.sleep(1)
        reader, writer = await asyncio.open_connection("10.0.1.2", 80)
        writer.write(bytes(1 << 20))
        writer.write_eof()
        answer = await reader.read(-1)
        writer.close()
        return answer

    relay = TcpRelay(("", 80), [Upstream("10.0.2.2", 80)])
    assert net.run({client: ask}, background={server: serve, proxy: relay})[client] == b"%d" % (1 << 20)
    assert relay.counts == {"relay-ended": 1}
