"""Recordings of one side: what the other side did is concluded, and marked so."""

import pytest

from pystack.sim.network import MS, Network
from pystack.sim.programs import sleep, spawn, stream
from pystack.stepper.scenarios.base import _Kept, finish, listener
from pystack.stepper.timeline import Timeline
from pystack.stepper.timing import path
from pystack.trace.recorder import Recorder

D, THINKS = 10 * MS, 30 * MS


def recorded(only: str) -> Timeline:
    """A request to a server that thinks for 30 ms before it answers. Only one of both hosts is recorded."""
    out = _Kept()
    with Network(1) as net:
        hosts = {name: net.host(name, seed=7, tcp_quickack_segs=1000) for name in "ab"}
        recorder = Recorder(out)
        hosts[only].recorder = recorder.host(only, 7, hosts[only].stack.config)
        a, b = hosts["a"], hosts["b"]
        net.link(a, b, addrs=("10.0.0.1/24", "10.0.0.2/24"), delay=D)
        net.introduce()
        waiting = listener(b)

        def server():
            sock = yield waiting.accept()
            yield sock.recv_exactly(1)
            yield sleep(THINKS)
            yield sock.sendall(b"a")

        def client():
            sock = stream(a)
            yield sock.connect("10.0.0.2", 80)
            yield sock.sendall(b"q")
            yield sock.recv_exactly(1)

        finish(net, spawn(net, server()), spawn(net, client()))
        net.run(net.now + 100 * MS)
        recorder.close()
    return Timeline.of(out.kept, only)


def test_a_client_knows_how_long_the_server_took_but_not_why():
    found = path(recorded("a"))
    assert found.elapsed == 2 * 2 * D + THINKS == sum(span.duration for span in found)
    totals = {}
    for span in found:
        totals[span.cause] = totals.get(span.cause, 0) + span.duration
    assert totals == {"on the way": 2 * 2 * D, "peer": THINKS}
    assert all(span.inferred for span in found)


def test_a_servers_request_ends_when_its_answer_is_acknowledged_and_the_server_thinks():
    """From the request, which came with the last step of the handshake, to the ACK of the answer: the thinking, and a round trip."""
    found = path(recorded("b"))
    assert found.elapsed == THINKS + 2 * D
    totals = found.totals()
    assert totals["server thinking", ""] == THINKS and not any(cause == "client thinking" for cause, _ in totals)
    assert sum(totals.values()) == found.elapsed


@pytest.mark.parametrize("only", ["a", "b"])
def test_what_is_concluded_is_marked(only):
    assert {span.inferred for span in path(recorded(only)) if span.cause in ("peer", "on the way")} == {True}
