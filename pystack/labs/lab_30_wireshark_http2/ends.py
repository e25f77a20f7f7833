"""A client and a server that speak HTTP/2 in TLS on simulated sockets."""

import ssl
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from pystack.labs.tls import SimTls, certificate
from pystack.testing.lab import MS, Lab, lab_net

R = 50 * MS
PORT, SMALL = 443, 1000


def network() -> Lab:
    """Build the network: a client `a` and a server `b`, half a round trip apart each way."""
    return lab_net(R // 2, tcp_nagle=False, server={"tcp_init_cwnd": 100})


@cache
def server_context() -> ssl.SSLContext:
    """Return the server's settings of TLS, with a new certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory() as folder:
        context.load_cert_chain(*certificate(Path(folder)))
    context.set_alpn_protocols(["h2"])
    return context


def client_context(keys: Path) -> ssl.SSLContext:
    """Return the client's settings of TLS. It writes its keys to a file, as browsers do if SSLKEYLOGFILE is set."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.set_alpn_protocols(["h2"])
    context.keylog_filename = str(keys)
    return context


def http2(client: bool) -> Any:
    """Return one end of a connection of HTTP/2."""
    from h2.config import H2Configuration
    from h2.connection import H2Connection

    end = H2Connection(H2Configuration(client_side=client, header_encoding="utf-8"))
    end.initiate_connection()
    return end


class Run:
    """One run. `plain` is what the client sent before TLS encrypted it, `got` counts the DATA bytes that it received.

    `size` is that of an answer. `together`: all requests at once. `updates`: the client sends WINDOW_UPDATE. `folder` gets the capture and the keys.
    """

    def __init__(self, folder: Path, size: int = SMALL, count: int = 3, together: bool = True, updates: bool = True):
        self.lab = lab = network()
        self.size, self.count, self.together, self.updates = size, count, together, updates
        self.plain, self.got, self.ended, self.time = b"", 0, 0, 0
        lab.net.annotated_capture(str(folder / "capture.pcapng"), lab.a.port())
        lab.spawn(self.serve(lab.listener(PORT)))
        lab.spawn(self.ask(client_context(folder / "keys")))
        lab.net.run_until_idle()
        lab.net.close()

    def ask(self, context):
        """Run the client."""
        tls = SimTls((yield from self.lab.client(PORT)), context, False)
        yield from tls.handshake()
        end = http2(True)
        asked = 0
        while self.ended < self.count:
            while asked < self.count and (self.together or asked == self.ended):
                head = {":method": "GET", ":path": f"/{asked}", ":scheme": "https", ":authority": "server"}
                end.send_headers(2 * asked + 1, list(head.items()), end_stream=True)
                asked += 1
            yield from self.send(tls, end)
            for event in end.receive_data((yield from tls.do(tls.tls.read, 65_536))):
                self.take(end, event)
        self.time = self.lab.net.now
        yield from self.send(tls, end)
        tls.sock.close()

    def take(self, end, event):
        """Take an event of HTTP/2."""
        name = type(event).__name__
        if name == "DataReceived":
            self.got += len(event.data)
            if self.updates:
                end.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        self.ended += name == "StreamEnded"

    def send(self, tls, end):
        """Send what the client's end of HTTP/2 wants to send."""
        data = end.data_to_send()
        self.plain += data
        if data:
            yield from tls.do(tls.tls.write, data)

    def serve(self, listener):
        """Run the server: it sends of each answer what the windows allow."""
        tls = SimTls((yield listener.accept()), server_context(), True)
        yield from tls.handshake()
        end = http2(False)
        left: dict[int, int] = {}
        while data := (yield from tls.do(tls.tls.read, 65_536)):
            for event in end.receive_data(data):
                if type(event).__name__ == "RequestReceived":
                    end.send_headers(event.stream_id, [(":status", "200")])
                    left[event.stream_id] = self.size
            for stream in left:
                self.fill(end, stream, left)
            if out := end.data_to_send():
                yield from tls.do(tls.tls.write, out)
        tls.sock.close()

    def fill(self, end, stream, left):
        """Put what the windows allow into DATA frames."""
        while left[stream] and (room := min(end.local_flow_control_window(stream), end.max_outbound_frame_size)):
            part = min(room, left[stream])
            left[stream] -= part
            end.send_data(stream, bytes(part), end_stream=not left[stream])
