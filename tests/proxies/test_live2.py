"""The proxy in front of real servers of HTTP/2: nghttpd and nginx, with prior knowledge and over TLS, on the kernel's loopback."""

import contextlib
import hashlib
import os
import shutil
import ssl
import subprocess

import pytest

from pystack.proxies import HttpProxy, Upstream
from tests.proxies.peers import listens
from tests.proxies.test_live import HERE, curl
from tests.support.patience import PATIENCE, until
from tests.support.ports import free_port

PATH = "/usr/sbin:/usr/bin"
pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
NGINX = """daemon off; master_process off; worker_processes 1; pid {folder}/pid; error_log {folder}/log; {user}
events {{ worker_connections 512; }}
http {{
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s; client_max_body_size 100m;
  log_format main "$server_protocol $connection $connection_requests $request_uri $http_x_forwarded_for"; access_log {folder}/access main;
  keepalive_requests {requests}; http2_max_concurrent_streams 16;
  server {{
    listen 127.0.0.1:{port} {tls}; http2 on; root {folder};
    {certificate}
    location /ok {{ return 200 "ok"; }}
    location /upload {{ proxy_pass http://127.0.0.1:{port}/ok; }}
  }}
}}
"""


@contextlib.contextmanager
def nginx(folder, leaf=None, requests=1000):
    """nginx with HTTP/2. Yields its port."""
    if shutil.which("nginx", path=PATH) is None:
        pytest.skip("needs nginx")
    values = {"folder": folder, "port": free_port(), "requests": requests, "tls": "ssl" if leaf else ""}
    values["certificate"] = f"ssl_certificate {leaf}; ssl_certificate_key {leaf};" if leaf else ""
    values["user"] = "user root;" if os.getuid() == 0 else ""
    (folder / "nginx.conf").write_text(NGINX.format(**values))
    with running(["nginx", "-c", str(folder / "nginx.conf")], values["port"], folder):
        yield values["port"]


@contextlib.contextmanager
def running(command, port, folder):
    """A server that listens at the port, until the end of the block."""
    with (folder / "out").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env={"PATH": PATH})
        try:
            assert until(lambda: listens(port), PATIENCE), (folder / "out").read_text()
            yield process
        finally:
            process.terminate()
            process.wait(PATIENCE)


def lines(folder, count):
    """The lines of nginx's log, once there are so many: (protocol, connection, request on it, path, X-Forwarded-For)."""
    read = lambda: (folder / "access").read_text().splitlines()  # noqa: E731
    until(lambda: len(read()) >= count)
    return [tuple(line.split()) for line in read()]


def trusting(ca):
    return ssl.create_default_context(cafile=str(ca))


@pytest.mark.parametrize("tls", [False, True], ids=["prior knowledge", "ALPN"])
def test_nginx(thread, tmp_path, certificates, tls):
    leaf, ca = certificates
    with nginx(tmp_path, leaf if tls else None) as port:
        context = trusting(ca) if tls else None
        proxy = thread.proxy(HttpProxy(HERE, [Upstream("127.0.0.1", port, tls=context, tls_name="site", http2=True)]))
        urls = [f"http://127.0.0.1:{proxy}/ok?{n}" for n in range(5)]
        assert curl(*urls) == "ok" * 5
        found = lines(tmp_path, 5)
        assert {line[0] for line in found} == {"HTTP/2.0"} and len({line[1] for line in found}) == 1
        assert [line[3:] for line in found] == [(f"/ok?{n}", "127.0.0.1") for n in range(5)]


def test_long_bodies_of_nginx(thread, tmp_path):
    data = os.urandom(1 << 20) * 20
    (tmp_path / "file").write_bytes(data)
    with nginx(tmp_path) as port:
        proxy = thread.proxy(HttpProxy(HERE, [Upstream("127.0.0.1", port, http2=True)]))
        curl("-o", tmp_path / "got", f"http://127.0.0.1:{proxy}/file")
        assert hashlib.sha256((tmp_path / "got").read_bytes()).digest() == hashlib.sha256(data).digest()
        assert curl("-I", f"http://127.0.0.1:{proxy}/file").startswith("HTTP/1.1 200")
        assert curl("-T", tmp_path / "file", f"http://127.0.0.1:{proxy}/upload") == "ok"
        assert curl(
            "-H", "If-None-Match: *", "-w", "%{http_code}", "-o", "/dev/null", f"http://127.0.0.1:{proxy}/file"
        ) in ("304", "200")


@pytest.mark.skipif(shutil.which("h2load") is None, reason="needs h2load")
def test_nginx_that_ends_its_connections_loses_no_request(thread, tmp_path):
    """It sends GOAWAY after each 20 requests, with others under way, and permits 16 streams of a connection."""
    with nginx(tmp_path, requests=20) as port:
        made = HttpProxy(HERE, [Upstream("127.0.0.1", port, http2=True)])
        proxy = thread.proxy(made)
        command = ["h2load", "-n", "600", "-c", "3", "-m", "20", f"http://127.0.0.1:{proxy}/ok"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert "600 succeeded, 0 failed, 0 errored" in done.stdout, done.stdout
        assert made.group.upstreams[0].opened >= 30 and made.refusals == {}
    assert len(lines(tmp_path, 600)) == 600


def test_nginx_without_http2_gets_http1(thread, tmp_path, certificates):
    """The server chooses by ALPN."""
    leaf, ca = certificates
    with nginx(tmp_path, leaf) as port:
        text = (tmp_path / "nginx.conf").read_text()
        assert "http2 on;" in text
    (tmp_path / "nginx.conf").write_text(text.replace("http2 on;", "http2 off;"))
    with running(["nginx", "-c", str(tmp_path / "nginx.conf")], port, tmp_path):
        upstream = Upstream("127.0.0.1", port, tls=trusting(ca), tls_name="site", http2=True)
        proxy = thread.proxy(HttpProxy(HERE, [upstream]))
        assert curl(f"http://127.0.0.1:{proxy}/ok", f"http://127.0.0.1:{proxy}/ok") == "okok"
        assert not upstream.http2 and {line[0] for line in lines(tmp_path, 2)} == {"HTTP/1.1"}


@pytest.mark.skipif(shutil.which("nghttpd", path=PATH) is None, reason="needs nghttpd")
def test_nghttpd_with_trailers(thread, tmp_path):
    (tmp_path / "file").write_bytes(bytes(200_000))
    port = free_port()
    command = [
        "nghttpd",
        "--no-tls",
        "-a",
        "127.0.0.1",
        "-d",
        str(tmp_path),
        "--trailer",
        "x-sum: 7",
        "-m",
        "8",
        str(port),
    ]
    with running(command, port, tmp_path):
        proxy = thread.proxy(HttpProxy(HERE, [Upstream("127.0.0.1", port, http2=True)]))
        got = curl("--http2-prior-knowledge", "-D", "-", "-o", "/dev/null", f"http://127.0.0.1:{proxy}/file")
        assert got.startswith("HTTP/2 200") and "x-sum: 7" in got
        assert curl(f"http://127.0.0.1:{proxy}/none", "-o", "/dev/null", "-w", "%{http_code}") == "404"
        if shutil.which("h2load"):
            command = ["h2load", "-n", "200", "-c", "4", "-m", "10", f"http://127.0.0.1:{proxy}/file"]
            done = subprocess.run(command, capture_output=True, text=True, timeout=60)
            assert "200 succeeded, 0 failed, 0 errored" in done.stdout, done.stdout
