"""curl and h2load through the proxies, over the kernel's loopback."""

import hashlib
import re
import shutil
import ssl
import subprocess
import time

import pytest

from pystack.proxies import ForwardProxy, HttpProxy, ProxySettings, SocksProxy, TcpRelay, Upstream
from pystack.proxies.http import server_context
from tests.proxies.origin import LONG
from tests.support.patience import PATIENCE
from tests.support.ports import free_port

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
HERE = ("127.0.0.1", 0)


def curl(*args, code=0):
    """What curl writes. Its exit status must be `code`."""
    done = subprocess.run(["curl", "-sS", "--max-time", "60", *map(str, args)], capture_output=True, timeout=90)
    assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
    return done.stdout.decode("latin-1")


def field(origin, name):
    """The values of a field that the server got."""
    heads = b"".join(origin.heads).decode().lower()
    return re.findall(rf"^{name}: (.*?)\r$", heads, re.M)


def test_http1(thread, origin):
    server, port = origin
    proxy = thread.proxy(HttpProxy(HERE, [Upstream("127.0.0.1", port)]))
    assert curl(f"http://127.0.0.1:{proxy}/ok", f"http://127.0.0.1:{proxy}/ok?a=b") == "okok"
    assert server.connections == 1  # kept alive on both sides
    assert [head.split(b" ")[1] for head in server.heads] == [b"/ok", b"/ok?a=b"]
    assert field(server, "via") == ["1.1 pystack"] * 2 and field(server, "x-forwarded-for") == ["127.0.0.1"] * 2
    assert field(server, "forwarded")[0] == f'for=127.0.0.1;by=127.0.0.1;host="127.0.0.1:{proxy}";proto=http'


def test_an_error_for_head_has_no_body(thread):
    proxy = thread.proxy(HttpProxy(HERE, [Upstream("127.0.0.1", free_port())]))
    head = curl("-I", f"http://127.0.0.1:{proxy}/ok")
    assert head.startswith("HTTP/1.1 502 Bad Gateway") and "content-length: 35" in head


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("buffered", [65_536, 0])
def test_a_long_body_arrives_whole(thread, origin, tmp_path, chunked, buffered):
    server, port = origin
    settings = ProxySettings(request_buffer=buffered, response_buffer=buffered)
    proxy = thread.proxy(HttpProxy(HERE, [Upstream("127.0.0.1", port)], settings=settings))
    (tmp_path / "body").write_bytes(bytes(range(256)) * 8192)
    extra = ["-H", "Transfer-Encoding: chunked"] if chunked else []
    assert curl("-T", tmp_path / "body", *extra, f"http://127.0.0.1:{proxy}/ok") == "ok"
    assert hashlib.sha256(server.bodies[0]).digest() == hashlib.sha256((tmp_path / "body").read_bytes()).digest()


@pytest.mark.parametrize("buffered", [65_536, 0])
def test_a_long_response_arrives_whole(thread, origin, tmp_path, buffered):
    server, port = origin
    proxy = thread.proxy(
        HttpProxy(HERE, [Upstream("127.0.0.1", port)], settings=ProxySettings(response_buffer=buffered))
    )
    curl("-o", tmp_path / "got", f"http://127.0.0.1:{proxy}/long")
    assert (tmp_path / "got").stat().st_size == LONG


def test_tls_and_http2(thread, origin, certificates, tmp_path):
    server, port = origin
    leaf, ca = certificates
    proxy = thread.proxy(HttpProxy(HERE, [Upstream("127.0.0.1", port)], tls=server_context(str(leaf))))
    where = ["--cacert", ca, "--resolve", f"site:{proxy}:127.0.0.1"]
    for version, shown in (("--http2", "2"), ("--http1.1", "1.1")):
        got = curl(version, *where, "-w", "%{http_version}", f"https://site:{proxy}/ok")
        assert got == "ok" + shown
    assert field(server, "forwarded")[0].endswith("proto=https") and field(server, "via") == [
        "2.0 pystack",
        "1.1 pystack",
    ]
    (tmp_path / "body").write_bytes(b"0123456789abcdef" * 65536)
    assert curl("--http2", *where, "-T", tmp_path / "body", f"https://site:{proxy}/ok") == "ok"
    assert server.bodies[-1] == (tmp_path / "body").read_bytes()
    curl("--http2", *where, "-o", tmp_path / "got", f"https://site:{proxy}/long")
    assert (tmp_path / "got").stat().st_size == LONG


def test_http2_with_prior_knowledge(thread, origin):
    server, port = origin
    proxy = thread.proxy(HttpProxy(HERE, [Upstream("127.0.0.1", port)]))
    assert curl("--http2-prior-knowledge", "-w", "%{http_version}", f"http://127.0.0.1:{proxy}/ok") == "ok2"
    # A client that offers h2c by an upgrade goes on with HTTP/1.1 (RFC 9113 section 3.1 has no such upgrade any more).
    assert curl("--http2", "-w", "%{http_version}", f"http://127.0.0.1:{proxy}/ok") == "ok1.1"
    assert curl("-I", "--http2-prior-knowledge", f"http://127.0.0.1:{proxy}/middle").startswith("HTTP/2 200")


def test_http2_sees_that_a_response_is_cut(thread, origin):
    server, port = origin
    proxy = thread.proxy(HttpProxy(HERE, [Upstream("127.0.0.1", port)]))
    curl("--http2-prior-knowledge", f"http://127.0.0.1:{proxy}/chunks", code=92)  # the stream was not closed cleanly
    curl(f"http://127.0.0.1:{proxy}/chunks", code=18)  # partial file


@pytest.mark.skipif(shutil.which("h2load") is None, reason="needs h2load")
@pytest.mark.parametrize("version", [[], ["--h1"]])
def test_h2load(thread, origin, version):
    server, port = origin
    proxy = thread.proxy(HttpProxy(HERE, [Upstream("127.0.0.1", port)]))
    command = ["h2load", *version, "-n", "200", "-c", "5", "-m", "10", f"http://127.0.0.1:{proxy}/ok"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert "200 succeeded, 0 failed" in done.stdout, done.stdout
    # How many there are depends on the load of the machine: on how many requests wait for an answer at once, and for how long.
    assert len(server.heads) == 200 and server.connections < 200, "no connection was used again"


def test_the_proxy_protocol_in_both_directions(thread, origin):
    server, port = origin
    inner_proxy = HttpProxy(HERE, [Upstream("127.0.0.1", port)], accept_proxy=True)
    inner = thread.proxy(inner_proxy)
    assert curl("--haproxy-protocol", "--haproxy-clientip", "192.0.2.7", f"http://127.0.0.1:{inner}/ok") == "ok"
    for version in (1, 2):
        relay = thread.proxy(TcpRelay(HERE, [Upstream("127.0.0.1", inner, proxy=version)], accept_proxy=True))
        where = f"http://127.0.0.1:{relay}/ok"
        assert curl("--haproxy-protocol", "--haproxy-clientip", f"192.0.2.{version}", where) == "ok"
    assert field(server, "x-forwarded-for") == ["192.0.2.7", "192.0.2.1", "192.0.2.2"]
    # Control: without the header, the connection is refused.
    curl(f"http://127.0.0.1:{inner}/ok", code=56)  # reset
    assert inner_proxy.counts["client-error"] == 1


def test_the_name_of_tls_is_passed_through(thread, origin, certificates):
    leaf, ca = certificates
    server, port = origin
    other_server, other_port = thread.origin()
    ends = [
        thread.proxy(HttpProxy(HERE, [Upstream("127.0.0.1", end)], tls=server_context(str(leaf))))
        for end in (port, other_port)
    ]
    relay = thread.proxy(
        TcpRelay(HERE, [Upstream("127.0.0.1", ends[0])], names={"other": [Upstream("127.0.0.1", ends[1])]})
    )
    for name in ("site", "other", "other"):
        where = ["--cacert", ca, "--resolve", f"{name}:{relay}:127.0.0.1"]
        assert curl(*where, f"https://{name}:{relay}/ok") == "ok"
    assert (len(server.heads), len(other_server.heads)) == (1, 2)


def test_tls_to_the_upstream(thread, origin, certificates):
    leaf, ca = certificates
    server, port = origin
    inner = thread.proxy(HttpProxy(HERE, [Upstream("127.0.0.1", port)], tls=server_context(str(leaf))))
    context = ssl.create_default_context(cafile=str(ca))
    good = thread.proxy(HttpProxy(HERE, [Upstream("127.0.0.1", inner, tls=context, tls_name="site")]))
    wrong = thread.proxy(HttpProxy(HERE, [Upstream("127.0.0.1", inner, tls=context, tls_name="elsewhere")]))
    assert curl(f"http://127.0.0.1:{good}/ok", f"http://127.0.0.1:{good}/ok") == "okok"
    assert server.connections == 1
    assert curl("-w", "%{http_code}", "-o", "/dev/null", f"http://127.0.0.1:{wrong}/ok") == "502"


def test_connect(thread, origin, certificates):
    leaf, ca = certificates
    server, port = origin
    tls = thread.proxy(HttpProxy(HERE, [Upstream("127.0.0.1", port)], tls=server_context(str(leaf))))
    proxy = ForwardProxy(HERE, users={"me": "secret"}, allow=lambda host, at: at != 1)
    where = ["--proxy", f"http://127.0.0.1:{thread.proxy(proxy)}"]
    me = ["--proxy-user", "me:secret"]
    assert curl(*where, *me, "--cacert", ca, f"https://127.0.0.1:{tls}/ok") == "ok"
    assert curl(*where, *me, "--proxytunnel", f"http://127.0.0.1:{port}/ok") == "ok"
    assert curl(*where, *me, f"http://127.0.0.1:{port}/ok") == "ok"
    assert field(server, "proxy-authorization") == []
    code = ["-w", "%{http_code} %{http_connect}", "-o", "/dev/null"]
    assert curl(*where, *code, f"http://127.0.0.1:{port}/ok") == "407 000"
    assert curl(*where, "--proxy-user", "me:wrong", *code, f"http://127.0.0.1:{port}/ok") == "407 000"
    assert curl(*where, *me, *code, "--proxytunnel", f"http://127.0.0.1:{free_port()}/", code=56) == "000 502"
    assert curl(*where, *me, *code, "--proxytunnel", "http://127.0.0.1:1/", code=56) == "000 403"
    assert proxy.refusals == {407: 2, 502: 1, 403: 1}


def test_socks(thread, origin):
    server, port = origin
    open_proxy = SocksProxy(HERE)
    where = ["--socks5-hostname", f"127.0.0.1:{thread.proxy(open_proxy)}"]
    assert curl(*where, f"http://localhost:{port}/ok") == "ok"
    assert curl("--socks5", where[1], f"http://127.0.0.1:{port}/ok") == "ok"
    curl(*where, f"http://localhost:{free_port()}/", code=97)
    closed = SocksProxy(HERE, users={"me": "secret"}, allow=lambda host, at: host == "localhost")
    where = ["--socks5-hostname", f"127.0.0.1:{thread.proxy(closed)}"]
    assert curl(*where, "--proxy-user", "me:secret", f"http://localhost:{port}/ok") == "ok"
    curl(*where, "--proxy-user", "me:wrong", f"http://localhost:{port}/ok", code=97)
    curl(*where, f"http://localhost:{port}/ok", code=97)
    curl(*where, "--proxy-user", "me:secret", f"http://127.0.0.1:{port}/ok", code=97)
    assert closed.counts["refused-2"] == 1 and len(server.heads) == 3


def test_health_checks_and_draining(thread, origin):
    from pystack.proxies import HealthCheck

    server, port = origin
    dead = free_port()
    both = [Upstream("127.0.0.1", port, name="good"), Upstream("127.0.0.1", dead, name="dead")]
    check = HealthCheck("/ok", interval=0.05, timeout=PATIENCE, rise=1, fall=2)  # the dead one refuses at once
    proxy = thread.proxy(HttpProxy(HERE, both, check=check, settings=ProxySettings(retries=0)))
    end = time.monotonic() + PATIENCE
    while both[1].healthy and time.monotonic() < end:
        time.sleep(0.01)
    assert [one.healthy for one in both] == [True, False]
    assert curl("-w", "%{http_code}", *[f"http://127.0.0.1:{proxy}/ok"] * 4) == "ok200" * 4
    both[0].drain()
    assert curl("-w", "%{http_code}", "-o", "/dev/null", f"http://127.0.0.1:{proxy}/ok") == "503"
