"""The real nginx as the proxy of the lab: on a kernel host, by the real clock, between a client and a server of pystack."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pystack.labs.hosts import play
from pystack.sim.network import MS, Network
from pystack.sim.programs import sleep, spawn, stream

GET = b"GET / HTTP/1.1\r\nHost: proxy\r\nConnection: close\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
PROXY, SERVER = "10.0.1.2", "10.0.2.2"
CONFIGURATION = """
daemon off; master_process off; user root; pid nginx.pid; error_log stderr;
events {}
http {
    access_log off;
    client_body_temp_path tmp; proxy_temp_path tmp; fastcgi_temp_path tmp; uwsgi_temp_path tmp; scgi_temp_path tmp;
    server {
        listen 80;
        location / {
            proxy_pass http://10.0.2.2/;
            proxy_set_header X-Forwarded-For $remote_addr;
        }
    }
}
"""


def named() -> list[int]:
    """Make a request through nginx. Returns the third byte of the address that the server sees, and whether X-Forwarded-For names the client (1 or 0)."""
    with Network(1) as net, TemporaryDirectory() as folder:
        client, proxy, server = net.host("client"), net.kernel("proxy"), net.host("server")
        net.link(client, proxy, delay=MS, addrs=("10.0.1.1/24", f"{PROXY}/24"))
        net.link(proxy, server, delay=MS, addrs=("10.0.2.1/24", f"{SERVER}/24"))
        Path(folder, "nginx.conf").write_text(CONFIGURATION)
        proxy.popen(["nginx", "-e", "stderr", "-p", folder, "-c", "nginx.conf"])
        found: list[Any] = []
        listener = stream(server)
        listener.bind("", 80)
        listener.listen()

        def serve() -> Any:
            sock = yield listener.accept()
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                head += yield sock.recv(4096)
            found.extend((sock.endpoint.raddr >> 8 & 255, int(b"X-Forwarded-For: 10.0.1.1\r\n" in head)))
            yield sock.sendall(ANSWER)
            sock.close()

        def ask() -> Any:
            while True:
                sock = stream(client)
                try:
                    yield sock.connect(PROXY, 80)
                    break
                except OSError:  # nginx does not listen yet
                    yield sleep(50 * MS)
            yield sock.sendall(GET)
            return (yield sock.recv_all())

        spawn(net, serve())
        assert play(net, ask()).endswith(b"ok")
    return found
