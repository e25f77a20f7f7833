"""The same conversations on the kernel's loopback and on the stack's: the counters that they move, by how much, are the same."""

import contextlib
import errno
import socket as std
import struct
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pystack import socket as ours_socket
from pystack.kernel.netns import Namespace
from pystack.running import up
from pystack_c.counters import NAMES
from tests.support.patience import PATIENCE

#: what depends on when ACKs go, or is not here: not compared
APART = (
    "TcpInSegs",
    "TcpOutSegs",
    "TcpExtTCPPureAcks",
    "TcpExtDelayedACKs",
    "TcpExtTCPHP",
    "TcpPassiveOpens",
    "Ip",
    "Arp",
)


def pair(module):
    """A connected pair over the loopback."""
    with module.create_server(("127.0.0.1", 0)) as server:
        client = module.create_connection(server.getsockname(), timeout=PATIENCE)
        conn, _ = server.accept()
    return client, conn


def quiet():
    """Long enough for everything under way to arrive."""
    time.sleep(0.3)


def linger_of_zero(module, client, conn):
    conn.setsockopt(1, 13, struct.pack("=ii", 1, 0))
    conn.close()
    quiet()


def unread_data(module, client, conn):
    client.send(b"x")
    quiet()
    conn.close()
    quiet()


def small_writes_that_nobody_reads(module, client, conn):
    for _ in range(3):
        client.send(b"x")
        quiet()


def small_writes_that_are_read(module, client, conn):
    for _ in range(3):
        client.send(b"x")
        quiet()
        assert conn.recv(10) == b"x"


def both_close(module, client, conn):
    client.close()
    quiet()
    conn.close()
    quiet()


def nobody_listens(module, client, conn):
    with pytest.raises(ConnectionRefusedError):
        module.create_connection(("127.0.0.1", 9), timeout=PATIENCE)


def more_than_may_wait(module, client, conn):
    with contextlib.ExitStack() as kept:
        server = kept.enter_context(module.socket())
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        for _ in range(3):
            sock = kept.enter_context(module.socket())
            sock.setblocking(False)
            assert sock.connect_ex(server.getsockname()) in (0, errno.EINPROGRESS)
            quiet()
        server.close()
        quiet()


def datagrams(module, client, conn):
    with module.socket(std.AF_INET, std.SOCK_DGRAM) as one, module.socket(std.AF_INET, std.SOCK_DGRAM) as two:
        two.bind(("127.0.0.1", 0))
        one.sendto(b"taken", two.getsockname())
        one.sendto(b"nobody", ("127.0.0.1", 9))
        quiet()
        assert two.recv(10) == b"taken"


SCENES = [
    linger_of_zero, unread_data, small_writes_that_nobody_reads, small_writes_that_are_read, both_close, nobody_listens,
    more_than_may_wait, datagrams,
]  # fmt: skip


def theirs() -> dict[str, int]:
    """The kernel's counters, of the namespace that the thread is in."""
    found = {}
    for name in ("netstat", "snmp"):
        lines = Path("/proc/thread-self/net", name).read_text().splitlines()
        for names, values in zip(lines[::2], lines[1::2], strict=True):
            group = names.split(":")[0]
            found |= {group + a: int(b) for a, b in zip(names.split()[1:], values.split()[1:], strict=True)}
    return found


def moved(scene, module, read) -> dict[str, int]:
    """What a scene moves."""
    client, conn = pair(module)
    with client, conn:
        quiet()
        before = read()
        scene(module, client, conn)
        after = read()
    names = [name for name in NAMES if name in after and not name.startswith(APART)]
    return {name: after[name] - before.get(name, 0) for name in names if after[name] != before.get(name, 0)}


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)
def test_the_kernel_counts_the_same(scene):
    # Both at the same time, because almost all of it is waiting.
    with Namespace.new() as space, up(tap=None, name="counted") as running, ThreadPoolExecutor(1) as pool:
        assert space.run(["ip", "link", "set", "lo", "up"]).returncode == 0
        other = pool.submit(space.call, moved, scene, std, theirs)
        ours = moved(
            scene,
            ours_socket,
            lambda: running.host.inspect(lambda stack: {name: getattr(stack.counters, name) for name in NAMES}),
        )
        kernel = other.result()
        known = space.call(theirs)
    # (An older kernel does not have all the names.)
    assert {name: count for name, count in ours.items() if name in known} == kernel and kernel
