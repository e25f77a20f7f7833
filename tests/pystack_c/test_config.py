"""Settings: what is refused by a clear error, and that no accepted number brings a stack down."""

import pytest

from pystack.runtime.procs import datagram, sleep, spawn, stream
from pystack.runtime.simulated import MS, Network, S
from pystack_c.config import FIELDS, LIMITS, MOST, Config

NUMBERS = [name for name in FIELDS if type(getattr(Config(), name)) is int]


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"tcp_isnt": 1}, "no setting named 'tcp_isnt'"),
        ({"tcp_time_wait": -1}, "tcp_time_wait must be from 0 to .*, not -1"),
        ({"tcp_isn": -2}, "tcp_isn must be from -1 to 4294967295, not -2"),
        ({"ip_default_ttl": 0}, "ip_default_ttl must be from 1 to 255, not 0"),
        ({"tcp_nagle": "no"}, "tcp_nagle is set by a number, not 'no'"),
        ({"tcp_congestion": 1}, "tcp_congestion is set by a text, not 1"),
        ({"tcp_rmem": 1.5}, "tcp_rmem is set by a number, not 1.5"),
    ],
)
def test_refused(settings, text):
    config = Config()
    before = config.as_dict()
    with pytest.raises(ValueError, match=text):
        config.update(settings)
    assert config.as_dict() == before


def transfer(settings) -> int:
    """Bytes that came back over a bad link within 30 s of virtual time, both hosts set alike; 0 if an OSError ended it."""
    net = Network(seed=1)
    a, b = net.host("a", **settings), net.host("b", **settings)
    link = {"loss": 0.05, "reorder": 0.05, "reorder_delay": 3 * MS, "duplicate": 0.02}
    net.link(a, b, delay=5 * MS, addrs=("10.0.0.1/24", "10.0.0.2/24"), **link)

    def server():
        listener = stream(b)
        listener.bind("", 80)
        listener.listen()
        sock = yield listener.accept()
        yield sock.sendall((yield sock.recv_all()))
        sock.close()

    def client():
        sock = stream(a)
        try:
            fragments = datagram(a)
            fragments.sendto(bytes(4000), "10.0.0.2", 53)
            yield sleep(MS)
            yield sock.connect("10.0.0.2", 80)
            yield sock.sendall(bytes(30_000))
            sock.shutdown()
            return len((yield sock.recv_all()))
        except OSError:
            return 0

    spawn(net, server())
    proc = spawn(net, client())
    net.run(until=30 * S)
    return proc.value if proc.done else 0


@pytest.mark.parametrize("value", [0, 1, 2**31 - 1])
def test_no_number_brings_a_stack_down(value):
    assert transfer({}) == 30_000
    results = {}
    for name in NUMBERS:
        least, most = LIMITS.get(name, (0, MOST))
        results[name] = transfer({name: min(max(value, least), most)})
    assert set(results.values()) <= {0, 30_000}
    assert 30_000 in results.values()
    if value == 0:
        assert results["tcp_rto_initial"] == 0  # the control: a setting that leaves no time for an answer
