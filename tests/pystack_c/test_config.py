"""Settings: what is refused by a clear error, and that no accepted number brings a stack down."""

import io
import re
from pathlib import Path

import pytest

import pystack
from pystack.sim.network import MS, Network, S
from pystack.sim.programs import datagram, sleep, spawn, stream
from pystack.testing.peer import Peer
from pystack.trace.errors import TraceError
from pystack.trace.recorder import Recorder
from pystack.trace.replay import replay
from pystack_c.config import COUNT_MOST, FIELDS, TIME_MOST, Config, limits
from pystack_c.sockets.udp import bind as udp_bind
from pystack_c.sockets.udp import udp_open
from pystack_c.stack import Stack
from tests.trace.test_replay import Kept

NUMBERS = [name for name in FIELDS if type(getattr(Config(), name)) is int]


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"tcp_isnt": 1}, "no setting named 'tcp_isnt'"),
        ({"tcp_time_wait": -1}, "tcp_time_wait must be from 0 to .*, not -1"),
        ({"tcp_isn": -2}, "tcp_isn must be from -1 to 4294967295, not -2"),
        ({"ip_default_ttl": 0}, "ip_default_ttl must be from 1 to 255, not 0"),
        ({"tcp_nagle": "no"}, "tcp_nagle takes a number, not 'no'"),
        ({"tcp_congestion": 1}, "tcp_congestion takes a text, not 1"),
        ({"tcp_rmem": 1.5}, "tcp_rmem takes a number, not 1.5"),
        ({"tcp_init_cwnd": 2**40}, "tcp_init_cwnd must be from 0 to 65535, not 1099511627776"),
        ({"tcp_reordering": 2**31}, "tcp_reordering must be from 0 to 2147483647, not 2147483648"),
        ({"tcp_rto_max": 3601 * S}, "tcp_rto_max must be from 0 to 3600000000000, not"),
        ({"tcp_time_wait": 2**62}, "tcp_time_wait must be from 0 to 315360000000000000, not"),
        ({"icmp_ratelimit": 10**9 + 1}, "icmp_ratelimit must be from 0 to 1000000000, not 1000000001"),
        ({"port_min": 61_000}, "port_min must not be above port_max, but 61000 is above 60999"),
        ({"ip_default_ttl": 5, "port_min": 40_001, "port_max": 40_000}, "40001 is above 40000"),
        ({"tcp_sack": 2}, "tcp_sack must be from 0 to 1, not 2"),
    ],
)
def test_refused(settings, text):
    config = Config()
    before = config.as_dict()
    with pytest.raises(ValueError, match=text):
        config.update(settings)
    assert config.as_dict() == before


def test_a_stack_checks_what_was_assigned():
    config = Config()
    config.port_min, config.port_max = 50_000, 49_999
    with pytest.raises(ValueError, match="50000 is above 49999"):
        Stack(1, config, "host")


def test_a_recording_cannot_set_more_than_a_program():
    class Settings:
        """Settings as a file may have them."""

        def as_dict(self):
            return {**Config().as_dict(), "port_min": 61_000}

    out = Kept()
    recorder = Recorder(out)
    recorder.host("h", 1, Settings())
    recorder.close()
    with pytest.raises(TraceError, match="port_min must not be above port_max"):
        replay(io.BytesIO(out.kept))


def test_an_unknown_setting_in_a_recording():
    class Settings:
        """Settings of another version."""

        def as_dict(self):
            return {"tcp_naggle": True}

    out = Kept()
    recorder = Recorder(out)
    recorder.host("h", 1, Settings())
    recorder.close()
    with pytest.raises(
        TraceError, match="there is no setting named 'tcp_naggle'; did you mean tcp_nagle.*another version"
    ):
        replay(io.BytesIO(out.kept))


@pytest.mark.parametrize("udp", [False, True])
def test_no_ephemeral_ports(udp):
    """A setting that was changed while the stack runs is not checked, and does no harm."""
    peer = Peer()
    peer.config.port_max = peer.config.port_min - 1
    with pytest.raises(OSError, match="no ephemeral ports"):
        if udp:
            peer.call(udp_bind, peer.call(udp_open, peer.stack), 0, 0)
        else:
            peer.connecting()


def declared() -> dict[str, str]:
    """Each setting and its C type, in the order of the declarations."""
    folder = Path(pystack.__file__).parents[1] / "pystack_c" / "settings"
    text = "".join((folder / f"{name}.pxd").read_text() for name in ("network", "tcp", "service", "quirks"))
    return dict(reversed(found) for found in re.findall(r"cdef public (\w+) (\w+)", text))


def test_the_order_of_the_settings_is_the_same_on_both_builds():
    """A recording keeps the settings in this order. Compiled it is that of the .pxd files, uncompiled that of the .py files."""
    assert list(declared()) == list(FIELDS) == list(Config().as_dict())


@pytest.mark.parametrize(
    ("name", "near"),
    [("tcp_naggle", "tcp_nagle"), ("tcp_timewait", "tcp_time_wait"), ("ip_default_tll", "ip_default_ttl")],
)
def test_an_unknown_name_gets_the_names_that_are_like_it(name, near):
    text = f"there is no setting named '{name}'; did you mean {near}"
    with pytest.raises(ValueError, match=text):
        Config().update({name: 1})
    with pytest.raises(ValueError, match=text):
        Config(**{name: 1})
    with pytest.raises(ValueError, match=r"^there is no setting named 'xyzzy'$"):
        Config(xyzzy=1)


def test_settings_as_keywords():
    config = Config(tcp_nagle=False, tcp_time_wait=7)
    assert config.as_dict() == {**Config().as_dict(), "tcp_nagle": False, "tcp_time_wait": 7}
    with pytest.raises(ValueError, match="port_min must not be above"):
        Config(port_min=61_000)


def test_what_the_compiled_core_keeps_in_32_bits_is_bounded():
    """Both builds refuse the same numbers: the .pxd files of pystack_c/settings say how wide each setting is."""
    kinds = declared()
    assert sorted(kinds) == sorted(FIELDS)
    for name in NUMBERS:
        least, most = limits(name)
        assert -1 <= least <= getattr(Config(), name) <= most, name
        assert most <= (COUNT_MOST if kinds[name] == "int" else TIME_MOST), (
            f"{name}: see COUNTS and LIMITS in settings/limits.py"
        )


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


def pair(settings):
    """The settings, with both bounds of the ephemeral ports where there is one."""
    if "port_min" in settings:
        settings["port_max"] = settings["port_min"]
    elif "port_max" in settings:
        settings["port_min"] = settings["port_max"]
    return settings


@pytest.mark.parametrize("value", [0, 1, 2**31 - 1, 2**63])
def test_no_number_brings_a_stack_down(value):
    assert transfer({}) == 30_000
    results = {}
    for name in NUMBERS:
        least, most = limits(name)
        results[name] = transfer(pair({name: min(max(value, least), most)}))
    assert set(results.values()) <= {0, 30_000}
    assert 30_000 in results.values()
    if value == 0:
        assert results["tcp_rto_initial"] == 0  # the control: a setting that leaves no time for an answer
