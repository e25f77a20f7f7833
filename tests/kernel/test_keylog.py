"""`--write FILE --keylog FILE`: a real curl speaks TLS with the stack, and tshark reads what it said out of the capture."""

import contextlib
import shutil
import ssl
import threading

import pytest

from pystack.cli.common import Settings, _probe
from pystack.kernel.netns import Namespace
from pystack.running import up
from tests.kernel.conftest import Net
from tests.trace.test_keylog import certificate, http

pytestmark = pytest.mark.skipif(
    any(shutil.which(tool) is None for tool in ("tshark", "openssl", "curl")), reason="needs tshark, openssl and curl"
)


def serve(sock, context):
    """One request over TLS, on a socket of the stack."""
    conn, _ = sock.accept()
    conn.settimeout(10)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_side=True)

    def do(call, *args):
        while True:
            try:
                return call(*args)
            except ssl.SSLWantReadError:
                conn.sendall(outgoing.read())
                incoming.write(conn.recv(65536))
            finally:
                if outgoing.pending:
                    conn.sendall(outgoing.read())

    do(tls.do_handshake)
    do(tls.read, 4096)
    do(tls.write, b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nsecret")
    conn.close()


def fetch(directory, keylog: "str | None") -> str:
    """A real curl asks a TLS server on the stack; the path of the capture."""
    path, keys = str(directory / "run.pcapng"), str(directory / "keys")
    settings = Settings(write=path, keylog=keys if keylog else None)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate(directory))
    with contextlib.ExitStack() as undo:
        space = undo.enter_context(Namespace.new())
        space.quiet()
        probe, _ = _probe(settings, undo)
        net = Net(space, up(netns=space, probe=probe))
        undo.callback(net.close)
        listener = net.socket()
        listener.bind(("", 443))
        listener.listen()
        thread = threading.Thread(target=serve, args=(listener, context))
        thread.start()
        command = ["env", f"SSLKEYLOGFILE={keys}", "curl", "-sSk", "-m", "10", "https://10.0.0.2/hidden"]
        result = space.run(command, capture_output=True, text=True, timeout=30)
        thread.join(10)
        assert result.stdout == "secret", result.stderr
        net.running.host.inspect(lambda stack: probe.flush())
    return path


def test_tshark_reads_what_a_real_curl_said(tmp_path):
    assert http(fetch(tmp_path, "keys")) == ["/hidden", "/hidden\t200"]


def test_control_without_the_keys_it_cannot(tmp_path):
    assert http(fetch(tmp_path, None)) == []
