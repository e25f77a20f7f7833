"""HTTP/3 by aioquic, on port 443 of UDP."""

import asyncio
import socket
import subprocess

from aioquic.asyncio import QuicConnectionProtocol, connect, serve
from aioquic.h3.connection import H3_ALPN, H3Connection
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection
from aioquic.quic.events import ProtocolNegotiated

BODY = bytes(range(256)) * 600
#: curl's exit status
TIMED_OUT = 28


class Protocol(QuicConnectionProtocol):
    """HTTP/3 on a QUIC connection: as a server it answers each request with BODY, as a client it collects answers."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.http = None
        self.bodies = {}
        self.done = {}

    def quic_event_received(self, event):
        if isinstance(event, ProtocolNegotiated):
            self.http = H3Connection(self._quic)
        for one in self.http.handle_event(event) if self.http is not None else ():
            if self._quic.configuration.is_client:
                self.collect(one)
            elif isinstance(one, HeadersReceived):
                self.http.send_headers(one.stream_id, [(b":status", b"200"), (b"content-length", b"%d" % len(BODY))])
                self.http.send_data(one.stream_id, BODY, end_stream=True)
        self.transmit()

    def collect(self, event):
        if isinstance(event, DataReceived):
            self.bodies[event.stream_id] = self.bodies.get(event.stream_id, b"") + event.data
        if isinstance(event, DataReceived | HeadersReceived) and event.stream_ended:
            self.done[event.stream_id].set_result(self.bodies[event.stream_id])

    async def get(self, host):
        stream = self._quic.get_next_available_stream_id()
        self.done[stream] = asyncio.get_running_loop().create_future()
        fields = [(b":method", b"GET"), (b":scheme", b"https"), (b":authority", host.encode()), (b":path", b"/")]
        self.http.send_headers(stream, fields, end_stream=True)
        self.transmit()
        return await self.done[stream]


async def quic_server(files):
    """aioquic's server."""
    configuration = QuicConfiguration(is_client=False, alpn_protocols=H3_ALPN)
    configuration.load_cert_chain(f"{files}/server.pem", f"{files}/server.pem")
    server = await serve("0.0.0.0", 443, configuration=configuration, create_protocol=Protocol)
    try:
        await asyncio.Event().wait()
    finally:
        server.close()


def client_configuration(host, files):
    """HTTP/3, and the certificate that the client trusts."""
    configuration = QuicConfiguration(is_client=True, alpn_protocols=H3_ALPN, server_name=host)
    configuration.load_verify_locations(f"{files}/ca.pem")
    return configuration


async def quic_client(host, files):
    """aioquic's client on a datagram endpoint for IPv4: five requests at once."""
    loop = asyncio.get_running_loop()
    ((*_, address),) = await loop.getaddrinfo(host, 443, family=socket.AF_INET, type=socket.SOCK_DGRAM)
    connection = QuicConnection(configuration=client_configuration(host, files))
    transport, client = await loop.create_datagram_endpoint(lambda: Protocol(connection), local_addr=("0.0.0.0", 0))
    client.connect(address)
    await client.wait_connected()
    assert await asyncio.gather(*(client.get(host) for _ in range(5))) == [BODY] * 5
    client.close()
    await client.wait_closed()
    transport.close()


async def quic_connect(host, files):
    """aioquic's own `connect`, which wants a socket of IPv6 whatever the address is."""
    async with connect(host, 443, configuration=client_configuration(host, files), create_protocol=Protocol) as client:
        assert await client.get(host) == BODY


def curl_http3(host, files):
    """curl by HTTP/3 alone.

    It is tried again after a timeout. If curl 8.14 has repeated its first packet, because the server was slow, it may send the request
    without the streams of its settings and of its QPACK table (seen in a capture with its keys). The server waits for the table then.
    """
    command = ["curl", "-sS", "--http3-only", "-m", "8", "--cacert", f"{files}/ca.pem", f"https://{host}/"]
    for _ in range(4):
        done = subprocess.run(command, capture_output=True, check=False)
        if done.returncode != TIMED_OUT:
            break
    assert done.returncode == 0 and done.stdout == BODY, done
