"""At a client's capture, an answer whose first copy was lost looks like a server that thinks, unless something around it tells."""

import pytest

from pystack.sim.network import MS
from pystack.sim.programs import sleep, spawn
from pystack.stepper import Timeline
from pystack.stepper.scenarios.base import Scenario, finish, listener, pair, stream
from pystack.stepper.timing import path
from tests.stepper.capture import corpus

DELAY = 15 * MS
#: segments of the server before its answer: the SYN, and the acknowledgement of the request
BEFORE = 2
RTO = ("RTO", "loss, retransmission timeout")


def answered(size, thinks=0, lost=(), **settings):
    """A server that thinks and answers with `size` bytes, of which these segments (from 1) are lost."""

    def run(net):
        a, b, link = pair(net, a=settings, b={**settings, "tcp_quickack_segs": 1000}, delay=DELAY)
        waiting = listener(b)
        for number in lost:
            link.ba.drop(BEFORE + number)

        def server():
            sock = yield waiting.accept()
            yield sock.recv_exactly(100)
            yield sleep(thinks * MS + 1)
            yield sock.sendall(bytes(size))

        def client():
            sock = stream(a)
            yield sock.connect("10.0.0.2", 80)
            yield sock.sendall(bytes(100))
            yield sock.recv_exactly(size)
            yield sleep(10 * MS)
            sock.close()

        finish(net, spawn(net, server()), spawn(net, client()))
        net.run(net.now + 100 * MS)

    return Scenario("answered", run, "", "", (), "").timeline()


def at_client(timeline, blind=False):
    """The path in the client's capture; `blind`: the identifications say nothing, as in IPv6."""
    frames = corpus.seen_by(timeline, "a")
    if blind:
        frames = [(time, data[:18] + b"\0\0" + data[20:], link) for time, data, link in frames]
    return path(Timeline.of(corpus.pcapng(frames), "lan.pcapng"))


def thinking(found):
    return sum(time for (cause, _), time in found.totals().items() if cause == "server thinking")


@pytest.mark.parametrize("thinks", [0, 50, 700])
def test_a_lost_answer_of_one_segment_is_no_thinking_if_the_identifications_skip_it(thinks):
    timeline = answered(500, thinks, lost=(1,))
    found, known = at_client(timeline), path(timeline)
    right = sum(time for (cause, _), time in known.totals().items() if cause in ("RTO", "tail loss probe"))
    assert right >= 200 * MS
    assert abs(found.totals()[RTO] - right) <= 2 * DELAY
    assert abs(thinking(found) - thinks * MS) <= 2 * DELAY


@pytest.mark.parametrize("thinks", [0, 300])
def test_a_lost_answer_of_many_segments_begins_again_with_one(thinks):
    """Without identifications, the window of one segment after the timeout tells."""
    timeline = answered(8 * 1448, thinks, lost=range(1, 9), tcp_tlp=False)
    for blind in (True, False):
        found = at_client(timeline, blind)
        assert found.totals()[RTO] >= 200 * MS
        assert abs(thinking(found) - thinks * MS) <= 2 * DELAY


def test_the_probe_of_a_lost_answer_is_no_thinking():
    """The last segment is repeated first, beyond a hole (RFC 8985 7)."""
    timeline = answered(3 * 1448, 0, lost=(1, 2, 3))
    assert ("tail loss probe", "loss, tail probe") in path(timeline).totals()
    assert thinking(at_client(timeline)) <= 2 * DELAY


@pytest.mark.parametrize("blind", [True, False])
@pytest.mark.parametrize("size", [500, 1448, 8 * 1448, 40 * 1448])
def test_control_a_server_that_thinks_lost_nothing(size, blind):
    found = at_client(answered(size, 700), blind)
    assert RTO not in found.totals()
    assert abs(thinking(found) - 700 * MS) <= 2 * DELAY


def test_what_stays_out_of_sight():
    """One short segment, and nothing that counts packets: it may have been computed as well (the page says so)."""
    found = at_client(answered(500, 0, lost=(1,)), blind=True)
    assert RTO not in found.totals() and thinking(found) >= 200 * MS


def test_identifications_that_count_nothing_say_nothing():
    """A host that chooses them by chance, or counts its packets to all others with them."""
    timeline = answered(8 * 1448, 700)
    frames = []
    for number, (time, data, link) in enumerate(corpus.seen_by(timeline, "a")):
        frames.append((time, data[:18] + (number * 7919 % 65536).to_bytes(2, "big") + data[20:], link))
        assert data[12:14] == b"\x08\x00"
    found = path(Timeline.of(corpus.pcapng(frames), "lan.pcapng"))
    assert RTO not in found.totals()
