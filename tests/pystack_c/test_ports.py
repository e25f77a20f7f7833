"""Binding and ephemeral ports (RFC 6056; Linux's rules of sharing)."""

import errno

import pytest

from pystack_c.endpoint import Endpoint
from pystack_c.sockets import ports
from pystack_c.sockets.ports import PortTable
from pystack_c.stack import Stack
from tests import frames as f

ANY, LOCAL, OWN = 0, f.addr("127.0.0.1"), f.addr("10.0.0.1")
SERVER = f.addr("192.0.2.1")


class Taken(PortTable):
    """A protocol with connections: a list of four-tuples."""

    def __init__(self):
        PortTable.__init__(self)
        self.tuples = []

    def tuple_busy(self, laddr, lport, raddr, rport):
        return (laddr, lport, raddr, rport) in self.tuples


class Host:
    """A stack with 10.0.0.1 and a port table."""

    def __init__(self, table=None, **settings):
        self.stack = Stack(1)
        self.stack.config.update(settings)
        self.stack.add_addr(self.stack.add_iface("eth0", mac=1), OWN, 24)
        self.table = PortTable() if table is None else table

    def endpoint(self, **attributes) -> Endpoint:
        ep = Endpoint(self.stack, self.stack.new_ident())
        for name, value in attributes.items():
            setattr(ep, name, value)
        return ep

    def bind(self, addr: int, port: int, **attributes) -> Endpoint:
        ep = self.endpoint(**attributes)
        ports.bind(self.stack, ep, self.table, addr, port)
        return ep


def fails(error: int, fn, *args, **kw) -> None:
    with pytest.raises(OSError) as caught:
        fn(*args, **kw)
    assert caught.value.errno == error


REUSE, SHARE = {"reuseaddr": True}, {"reuseport": True}


@pytest.mark.parametrize(
    "first, second, works",
    [
        ((ANY, {}), (ANY, {}), False),
        ((ANY, {}), (LOCAL, {}), False),
        ((LOCAL, {}), (ANY, {}), False),
        ((LOCAL, {}), (OWN, {}), True),
        ((LOCAL, {}), (LOCAL, {}), False),
        ((ANY, REUSE), (ANY, REUSE), True),
        ((ANY, REUSE), (ANY, {}), False),
        ((ANY, {}), (ANY, REUSE), False),
        ((ANY, SHARE), (ANY, SHARE), True),
        ((ANY, SHARE), (ANY, REUSE), False),
    ],
)
def test_who_may_share_a_port(first, second, works):
    host = Host()
    host.bind(first[0], 80, **first[1])
    if works:
        host.bind(second[0], 80, **second[1])
    else:
        fails(errno.EADDRINUSE, host.bind, second[0], 80, **second[1])


def test_a_port_given_back_may_be_bound_again():
    host = Host()
    ep = host.bind(ANY, 80)
    fails(errno.EADDRINUSE, host.bind, ANY, 80)
    ports.release(ep, host.table)
    assert not host.table.buckets
    host.bind(ANY, 80)


def test_errors_of_bind():
    host = Host()
    fails(errno.EADDRNOTAVAIL, host.bind, SERVER, 80)
    fails(errno.EADDRNOTAVAIL, host.bind, f.addr("224.0.0.1"), 80)
    fails(errno.EINVAL, host.bind, ANY, 65536)
    fails(errno.EINVAL, host.bind, ANY, -1)
    ep = host.bind(ANY, 80)
    fails(errno.EINVAL, ports.bind, host.stack, ep, host.table, ANY, 81)
    host.bind(ANY, 1)  # no port is privileged


def test_bind_to_zero_takes_all_ephemeral_ports_once():
    host = Host(port_min=40000, port_max=40099)
    got = [host.bind(ANY, 0).lport for _ in range(100)]
    assert sorted(got) == list(range(40000, 40100)) and got != sorted(got)
    fails(errno.EADDRINUSE, host.bind, ANY, 0)


def connect(host: Host, raddr: int = SERVER, rport: int = 80) -> int:
    ep = host.endpoint()
    port = ports.connect_port(host.stack, ep, host.table, OWN, raddr, rport)
    if isinstance(host.table, Taken):
        host.table.tuples.append((OWN, port, raddr, rport))
    return port


def test_connection_101_of_100_ports_fails_and_another_server_works():
    """LABS section 13."""
    host = Host(Taken(), port_min=40000, port_max=40099)
    assert len({connect(host) for _ in range(100)}) == 100
    fails(errno.EADDRNOTAVAIL, connect, host)
    assert 40000 <= connect(host, rport=81) <= 40099
    assert 40000 <= connect(host, raddr=SERVER + 1) <= 40099


def test_a_port_bound_by_name_is_not_lent_to_connections():
    host = Host(Taken(), port_min=40000, port_max=40001)
    host.bind(ANY, 40000)
    assert connect(host) == 40001
    fails(errno.EADDRNOTAVAIL, connect, host)


def test_ports_to_two_servers_are_unrelated():
    """RFC 6056 3.3.3: the offset is a keyed hash; what one server sees does not tell what another gets."""
    host = Host(Taken())
    offsets = {(connect(host, SERVER + n) - connect(host, SERVER + 1000 + n)) % 28232 for n in range(50)}
    assert len(offsets) > 45
    successive = [connect(host) for _ in range(50)]
    assert len(set(successive)) == 50


def test_the_seed_decides():
    def run(seed: int) -> list[int]:
        host = Host(Taken())
        host.stack = Stack(seed)
        return [connect(host) for _ in range(5)]

    assert run(1) == run(1) != run(2)
