"""Real programs, unchanged: each cell of the table in docs/reference/real-programs.md is a test here."""

import errno
import importlib.metadata
import os
import shutil
import signal
import subprocess
import sys

import pytest

pytest.importorskip("aioquic", reason="needs the extra `programs`")

from pystack.sim import MS
from tests.kernel.conftest import _reason
from tests.programs.real import ground as grounds
from tests.programs.real.apps import files as files_
from tests.programs.real.apps import quic, stores
from tests.programs.real.table import ROWS, No
from tests.programs.test_run import lab as lab  # noqa: PLC0414 (fixtures)
from tests.programs.test_run import start as start  # noqa: PLC0414

pytestmark = [
    pytest.mark.timeout(300),
    # pyftpdlib
    pytest.mark.filterwarnings("ignore:The (asyncore|asynchat) module is deprecated:DeprecationWarning"),
]
PATH = f"{os.environ['PATH']}:/usr/sbin:/sbin"
#: with the kernel one Python says enough; virtual time replaces parts of the standard library, which differs between Pythons
KERNEL = [pytest.mark.once, pytest.mark.kernel, pytest.mark.skipif(bool(_reason), reason=_reason)]


def cells(column, marks=()):
    """The rows that have this cell."""
    chosen = [(row.key, getattr(row, column)) for row in ROWS if getattr(row, column) is not None]
    return [pytest.param(way, id=key, marks=list(marks)) for key, way in chosen]


def missing(packages, needs):
    """The name of a package that is not installed, or "": Python packages, and commands of the kernel's side with their Debian packages."""
    for name in packages:
        try:
            importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            return f"the Python package {name}"
    for pair in needs:
        command, _, package = pair.partition(":")
        there = stores.postgres_binaries() if command == "postgres" else shutil.which(command, path=PATH)
        if not there:
            return f"the Debian package {package}"
    return ""


def need(way, request):
    """Skip the test if a package is not installed, and say which."""
    row = next(row for row in ROWS if way in (row.client, row.server, row.virtual))
    if name := missing([name for name in row.packages if name != "python"], way.needs):
        pytest.skip(f"needs {name}")
    if "postgres:postgresql" in way.needs:
        request.getfixturevalue("cluster")


def test_control_a_missing_package_is_named():
    assert missing(["pytest"], ["sh:dash"]) == ""
    assert missing(["pytest", "no-such-package"], []) == "the Python package no-such-package"
    assert missing([], ["sh:dash", "no-such-command:its-package"]) == "the Debian package its-package"


@pytest.mark.parametrize("way", cells("client", KERNEL))
def test_client(way, request, ground):
    """A client on the stack and a server of the kernel's side."""
    need(way, request)
    ground.serve_there(way.server, way.port)
    for client in way.clients:
        ground.run_here(client)


@pytest.mark.parametrize("way", cells("server", KERNEL))
def test_server(way, request, ground):
    """A server on the stack and clients of the kernel's side."""
    need(way, request)
    ground.serve_here(way.server, way.port, way.clients)


@pytest.mark.compiled
@pytest.mark.parametrize("way", cells("virtual"))
def test_virtual(way, request, made):
    """Both on simulated hosts, 20 ms apart, with 1 % loss."""
    need(way, request)
    if isinstance(way, No):
        with pytest.raises(Exception, match=way.error):
            grounds.simulate(way.server, way.clients, made)
        return
    net = grounds.simulate(way.server, way.clients, made)
    assert net.now > 1000 * MS + 3 * 40 * MS  # three round trips at least


@pytest.mark.once
@pytest.mark.kernel
@pytest.mark.skipif(bool(_reason), reason=_reason)
def test_what_aioquic_took(ground):
    """Its own `connect` needs IPv6."""
    ground.serve_there(quic.quic_server, 443)
    with pytest.raises(OSError, match="AF_INET6") as caught:
        ground.run_here(quic.quic_connect)
    assert caught.value.errno == errno.EAFNOSUPPORT


APP = """
async def app(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"hello"})
"""


@pytest.mark.once
@pytest.mark.kernel
@pytest.mark.skipif(bool(_reason), reason=_reason)
def test_what_hypercorn_took(lab, start, tmp_path):
    """Its console script, without workers."""
    (tmp_path / "app.py").write_text(APP)
    process = start("hypercorn", "app:app", "-w", "0", "-b", "0.0.0.0:80", port=80)
    assert lab.run("curl", "-s", "http://10.0.0.2/").stdout == "hello"
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 0


@pytest.mark.once
def test_hypercorns_workers_end_with_an_error_that_names_the_option(tmp_path):
    """By default, hypercorn serves in another process, which gets the listener pickled."""
    (tmp_path / "app.py").write_text(APP)
    code = (
        "import pystack\nwith pystack.up(tap=None), pystack.patch():\n"
        "    from hypercorn.__main__ import main\n    main(['app:app', '-b', '127.0.0.1:80'])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and "cannot be handed to another process" in done.stderr
    assert done.stderr.strip().endswith("(such as hypercorn -w 0)")


@pytest.mark.compiled
def test_what_pyftpdlib_took(made):
    """A class attribute of its keeps select.epoll from the time of the import, and the kernel knows no descriptor of a simulated socket.

    If a test in the same process imported it on a simulated host, the attribute is the replacement, which says why.
    """
    pytest.importorskip("pyftpdlib.ioloop")
    with pytest.raises((OSError, NotImplementedError), match="Bad file descriptor|select.epoll is not available"):
        grounds.simulate(files_.ftp_server, (files_.ftp_client,), made)
