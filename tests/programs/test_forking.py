"""Servers that fork, on a stack: they end with an error that says what to use instead, and nothing waits or is started again for ever."""

import os
import socket
import socketserver
import subprocess
import sys
import threading

import pytest

import pystack

ANSWER = b"done"


class Handler(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.sendall(ANSWER)


@pytest.fixture
def no_fork(monkeypatch):
    def fork():
        raise AssertionError("forked")

    monkeypatch.setattr(os, "fork", fork)


@pytest.mark.parametrize("kind", [socketserver.ForkingTCPServer, socketserver.ForkingUDPServer])
def test_serve_forever_ends_with_an_error(local, no_fork, kind):
    before = socketserver.ForkingMixIn.__dict__["process_request"]
    with pystack.patch(), kind(("127.0.0.1", 0), Handler) as server:
        with pytest.raises(OSError, match=f"{kind.__name__} forks .* use socketserver.ThreadingMixIn"):
            server.serve_forever(0.01)
    assert socketserver.ForkingMixIn.__dict__["process_request"] is before


def test_a_request_is_refused_before_the_fork(local, no_fork, capsys):
    with pystack.patch(), socketserver.ForkingTCPServer(("127.0.0.1", 0), Handler) as server:
        with socket.create_connection(server.server_address) as client:
            server.handle_request()
            assert client.recv(100) == b""
    assert "use socketserver.ThreadingMixIn instead of ForkingMixIn" in capsys.readouterr().err


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_unix_socket_may_be_served_by_forks(local, tmp_path):
    class Server(socketserver.ForkingMixIn, socketserver.UnixStreamServer):
        pass

    with pystack.patch(), Server(str(tmp_path / "socket"), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(20)
            client.connect(server.server_address)
            assert client.recv(100) == ANSWER
        server.shutdown()
        thread.join(20)
    assert not thread.is_alive()


GUNICORN = """
import sys
from gunicorn.app.wsgiapp import run
import pystack
sys.argv = ["gunicorn", "--no-control-socket", "-k", sys.argv[1], "-b", "127.0.0.1:8000", "http.server:test"]
with pystack.up(tap=None), pystack.patch():
    run()
"""


@pytest.mark.parametrize("worker", ["sync", "gthread"])
def test_gunicorn_ends_and_says_what_to_use(worker):
    """gunicorn replaces workers that fail, for ever, unless they fail before they serve."""
    pytest.importorskip("gunicorn")
    command = [sys.executable, "-c", GUNICORN, worker]
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True, timeout=60)
    assert done.returncode == 3, done.stderr
    assert "Worker failed to boot" in done.stderr
    assert "belongs to the parent process" in done.stderr and "waitress or uvicorn" in done.stderr
