"""nginx, HAProxy and pystack's proxy with the same settings, in front of the same server."""

import contextlib
import shutil
import socket
import subprocess

from pystack.proxies import HttpProxy, ProxySettings, Upstream
from tests.support.patience import PATIENCE, until
from tests.support.ports import free_port

NAMES = ("nginx", "haproxy", "pystack")
#: seconds, for each timeout in each of them
TIMEOUT = 1

NGINX = """daemon off; master_process off; worker_processes 1; pid {folder}/pid; error_log {folder}/log; {user}
events {{ worker_connections 512; }}
http {{
  access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  client_header_timeout {timeout}; client_body_timeout {timeout}; send_timeout {timeout}; keepalive_timeout 10;
  proxy_connect_timeout {timeout}; proxy_read_timeout {timeout}; proxy_send_timeout {timeout};
  map $http_upgrade $upgraded {{ default upgrade; '' ''; }}
  upstream one {{ server 127.0.0.1:{origin} max_fails=0; server 127.0.0.1:{origin} max_fails=0; keepalive 8; }}
  upstream none {{ server 127.0.0.1:{closed} max_fails=0; }}
  server {{
    listen 127.0.0.1:{port};
    proxy_http_version 1.1; proxy_set_header Host $host; proxy_set_header Connection $upgraded; proxy_set_header Upgrade $http_upgrade;
    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    location / {{ proxy_pass http://one; }}
    location /long {{ proxy_pass http://one; send_timeout 30; }}
    location /refused {{ proxy_pass http://none; }}
    location /h2 {{ return 501; }}
  }}
}}
"""
HAPROXY = """global
  maxconn 200
defaults
  mode http
  timeout connect {timeout}s
  timeout client {timeout}s
  timeout server {timeout}s
  timeout http-request {timeout}s
  timeout tunnel 10s
  retries 2
  option forwardfor
frontend f
  bind 127.0.0.1:{port}
  use_backend none if {{ path_beg /refused }}
  use_backend two if {{ path_beg /h2 }}
  default_backend one
backend one
  server a 127.0.0.1:{origin}
  server b 127.0.0.1:{origin}
backend two
  server d 127.0.0.1:{second} proto h2
backend none
  server c 127.0.0.1:{closed}
"""


def missing(name):
    """Why a peer cannot run, or an empty text."""
    return "" if name == "pystack" or shutil.which(name, path="/usr/sbin:/usr/bin") else f"needs {name}"


def version(name):
    """The version of a peer."""
    if name == "pystack":
        return ""
    command = [name, "-v"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env={"PATH": "/usr/sbin:/usr/bin"})
    text = done.stdout + done.stderr
    return text.split("nginx/")[1].strip() if name == "nginx" else text.split()[2].split("-")[0]


def listens(port):
    """Whether something listens at a port."""
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


@contextlib.contextmanager
def peer(name, thread, origin, second, folder):
    """Run a peer in front of the origin's ports, of HTTP/1.1 and of HTTP/2. Yields its port."""
    import os

    values = {
        "port": free_port(),
        "closed": free_port(),
        "origin": origin,
        "second": second,
        "folder": folder,
        "timeout": TIMEOUT,
    }
    values["user"] = "user root;" if os.getuid() == 0 else ""
    if name == "pystack":
        settings = ProxySettings(
            head_timeout=TIMEOUT, body_timeout=TIMEOUT, send_timeout=TIMEOUT, keepalive_timeout=10,
            connect_timeout=TIMEOUT, response_timeout=TIMEOUT, tunnel_timeout=10, max_fails=0,
        )  # fmt: skip
        both = [Upstream("127.0.0.1", origin, name=letter) for letter in "ab"]
        yield thread.proxy(_Split(("127.0.0.1", 0), both, settings=settings, closed=values["closed"], second=second))
        return
    config = folder / f"{name}.conf"
    config.write_text((NGINX if name == "nginx" else HAPROXY).format(**values))
    command = [name, "-c", str(config)] if name == "nginx" else [name, "-db", "-f", str(config)]
    log = (folder / f"{name}.out").open("w")
    process = subprocess.Popen(command, stdout=log, stderr=log, env={"PATH": "/usr/sbin:/usr/bin"})
    try:
        assert until(lambda: listens(values["port"]), PATIENCE), (folder / f"{name}.out").read_text()
        yield values["port"]
    finally:
        process.terminate()
        process.wait(PATIENCE)
        log.close()


class _Split(HttpProxy):
    """A proxy with other groups of upstreams for /refused and /h2."""

    def __init__(self, listen, upstreams, *, settings, closed, second):
        super().__init__(listen, upstreams, settings=settings)
        self.two = HttpProxy(listen, [Upstream("127.0.0.1", second, http2=True)], settings=settings)
        self.none = HttpProxy(listen, [Upstream("127.0.0.1", closed)], settings=settings)

    def ended(self):
        super().ended()
        self.two.ended()
        self.none.ended()

    async def handle(self, request, reply, client):
        if request.target.startswith(b"/refused"):
            await self.none.handle(request, reply, client)
        elif request.target.startswith(b"/h2"):
            await self.two.handle(request, reply, client)
        else:
            await super().handle(request, reply, client)
