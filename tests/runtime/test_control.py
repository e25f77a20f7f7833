"""The control socket: what it shows, to whom, and what it makes of nonsense."""

import contextlib
import errno
import json
import os
import socket as kernel
import stat

import pytest

from pystack import socket
from pystack.control import server as control
from pystack.running import up
from tests.support.patience import PATIENCE


@pytest.fixture
def running(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    with up(tap=None, name="one", control=True) as made:
        yield made


def ask(line):
    with kernel.socket(kernel.AF_UNIX) as sock:
        sock.settimeout(PATIENCE)
        sock.connect(control.socket_path("one"))
        sock.sendall(line)
        with sock.makefile("rb") as file:
            return json.loads(file.read() or b"null")


def test_sockets(running):
    with socket.create_server(("127.0.0.1", 80)) as server:
        with socket.create_connection(("127.0.0.1", 80)) as client, socket.socket(type=socket.SOCK_DGRAM) as udp:
            udp.bind(("", 53))
            conn, _ = server.accept()
            with conn:
                client.sendall(b"12345")
                rows = control.query("one", "sockets", info=True)
    by = {(row["netid"], row["state"], row["lport"]): row for row in rows}
    assert by["tcp", "LISTEN", 80]["local"] == "127.0.0.1"
    assert by["udp", "UNCONN", 53]["local"] == "0.0.0.0"
    served = by["tcp", "ESTAB", 80]
    assert served["recv_q"] == 5
    assert served["info"]["tcpi_bytes_received"] == 5


def test_other_views(running):
    running.host.setup("add_neighbor", running.stack.lo, 0x7F000009, 0x020000000009)
    assert control.query("one", "neighbours") == [
        {"dst": "127.0.0.9", "dev": "lo", "lladdr": "02:00:00:00:00:09", "state": "PERMANENT", "waiting": 0}
    ]
    assert control.query("one", "routes")[0]["dst"] == "127.0.0.0/8"
    lo = control.query("one", "addresses")[0]
    assert (lo["ifname"], lo["addr_info"]) == ("lo", [{"local": "127.0.0.1", "prefixlen": 8}])
    with socket.socket() as sock:
        assert sock.connect_ex(("127.0.0.1", 1)) != 0
    counters = control.query("one", "counters")
    assert counters["counters"]["TcpAttemptFails"] == 1
    assert counters["drops"]["tcp-no-connection"] == 1
    assert control.query("one", "status")["name"] == "one"
    assert set(control.query("one", "compiled").values()) <= {True, False}


def test_modes(running):
    path = control.socket_path("one")
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    assert stat.S_IMODE(os.stat(os.path.dirname(path)).st_mode) == 0o700
    assert control.names() == ["one"]


def test_a_directory_that_others_can_enter_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    (tmp_path / "pystack").mkdir(mode=0o755)
    with pytest.raises(control.ControlError, match="0700"):
        control.directory()


@pytest.mark.parametrize("line", [b"\n", b"nonsense\n", b"[]\n", b'{"view": "x"}\n', b'{"view": []}\n', b'"x"\n'])
def test_nonsense_gets_an_error(running, line):
    assert "error" in ask(line)


def test_a_request_that_is_nested_too_deeply_gets_an_error(running):
    """The parser raises RecursionError, which must not end the thread that answers."""
    for _ in range(2):
        with kernel.socket(kernel.AF_UNIX) as sock:
            sock.settimeout(20)
            sock.connect(running.control.path)
            sock.sendall(b"[" * 4000 + b"\n")
            assert "a request is a line of JSON" in json.loads(sock.makefile("rb").read())["error"]


def test_unknown_argument_and_long_request(running):
    with pytest.raises(control.ControlError):
        control.query("one", "sockets", colour=True)
    assert "error" in ask(b" " * 5000 + b"\n")
    # and it still answers
    assert control.query("one", "status")["name"] == "one"


def test_names(running):
    with pytest.raises(control.ControlError, match="no stack named 'two'"):
        control.query("two", "status")
    with pytest.raises(control.ControlError, match="letters"):
        control.query("../one", "status")
    with pytest.raises(control.ControlError, match="already running"):
        up(tap=None, name="one", control=True)


def test_a_stale_socket_is_replaced(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    path = control.socket_path("one", create=True)
    with kernel.socket(kernel.AF_UNIX) as sock:
        sock.bind(path)
    with up(tap=None, name="one", control=True):
        assert control.query("one", "status")["name"] == "one"
    assert not os.path.exists(path)


def test_a_socket_without_room_for_another_connection_is_not_replaced(tmp_path, monkeypatch):
    """The process that listens there is alive, although it accepts nothing now."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    path = control.socket_path("one", create=True)
    with kernel.socket(kernel.AF_UNIX) as sock, contextlib.ExitStack() as waiting:
        sock.bind(path)
        sock.listen(0)
        code = 0
        while code == 0:
            client = waiting.enter_context(kernel.socket(kernel.AF_UNIX))
            client.setblocking(False)
            code = client.connect_ex(path)
        assert code == errno.EAGAIN
        with pytest.raises(control.ControlError, match="already running"):
            up(tap=None, name="one", control=True)
        sock.accept()[0].close()
