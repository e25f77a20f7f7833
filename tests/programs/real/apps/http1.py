"""HTTP/1.1: the standard library's server and client, and the clients that block."""

import asyncio
import contextlib
import ssl
import subprocess
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

#: a body that fills many segments
BODY = bytes(range(256)) * 600


class Handler(BaseHTTPRequestHandler):
    """Answer a GET with a short page, and a POST with its own body."""

    protocol_version = "HTTP/1.1"

    def reply(self, body):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        self.reply(b"<p>hello</p>")

    def do_POST(self):
        self.reply(self.rfile.read(int(self.headers["Content-Length"])))

    def log_message(self, *args):
        pass


@contextlib.contextmanager
def serving(port, context=None):
    """Serve on a port, in a thread."""
    with ThreadingHTTPServer(("", port), Handler) as server:
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


def http_server(files):
    """http.server on port 80."""
    return serving(80)


def https_server(files):
    """http.server behind TLS on port 443."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{files}/server.pem")
    return serving(443, context)


def urllib_client(host, files):
    """The standard library's client."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"http://{host}/", timeout=20) as answer:
        assert answer.read() == b"<p>hello</p>"
    with opener.open(f"http://{host}/", data=BODY, timeout=20) as answer:
        assert answer.read() == BODY


def requests_client(host, files):
    """Three requests on one connection with TLS."""
    import requests

    with requests.Session() as session:
        session.trust_env = False
        session.verify = f"{files}/ca.pem"
        for _ in range(2):
            assert session.get(f"https://{host}/", timeout=20).text == "<p>hello</p>"
        assert session.post(f"https://{host}/", data=BODY, timeout=20).content == BODY


def urllib3_client(host, files):
    """Requests of four threads through one pool."""
    import urllib3

    with urllib3.PoolManager(maxsize=4, timeout=20) as pool:
        found = []
        threads = [
            threading.Thread(target=lambda: found.append(pool.request("GET", f"http://{host}/").data)) for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found == [b"<p>hello</p>"] * 4
        assert pool.request("POST", f"http://{host}/", body=BODY).data == BODY


def httpx_client(host, files):
    """The client that blocks, with TLS."""
    import httpx

    with httpx.Client(
        trust_env=False, timeout=20, verify=ssl.create_default_context(cafile=f"{files}/ca.pem")
    ) as client:
        assert client.get(f"https://{host}/").text == "<p>hello</p>"
        assert client.post(f"https://{host}/", content=BODY).content == BODY


async def httpx_async_client(host, files):
    """Five requests at once with TLS, by asyncio."""
    import httpx

    context = ssl.create_default_context(cafile=f"{files}/ca.pem")
    async with httpx.AsyncClient(trust_env=False, timeout=20, verify=context) as client:
        answers = await asyncio.gather(*(client.get(f"https://{host}/") for _ in range(5)))
        assert {answer.text for answer in answers} == {"<p>hello</p>"}
        assert (await client.post(f"https://{host}/", content=BODY)).content == BODY


def curl(host, files):
    """Debian's curl: a page, and an upload."""
    command = ["curl", "-sS", "-m", "20"]
    assert subprocess.run([*command, f"http://{host}/"], capture_output=True, check=True).stdout == b"<p>hello</p>"
    upload = [*command, "--data-binary", "@-", "-H", "Expect:", f"http://{host}/"]
    assert subprocess.run(upload, input=BODY, capture_output=True, check=True).stdout == BODY


def chromium(host, files):
    """Debian's Chromium loads the page and prints its document."""
    command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    command += [f"--user-data-dir={files}/chromium", "--dump-dom", f"http://{host}/"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=50)
    assert "<p>hello</p>" in done.stdout, done.stderr
