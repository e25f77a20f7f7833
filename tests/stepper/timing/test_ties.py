"""Ties: the frames beside the path that move the end if they are held, because another path ends at the same nanosecond."""

import pytest

from pystack.sim.network import MS
from pystack.sim.programs import spawn
from pystack.stepper.branch import Hold, branch
from pystack.stepper.scenarios.base import Scenario, finish, listener, stream
from pystack.stepper.timing import path
from tests.stepper.timing.runs import HELD

SIZE = 8 * 1448


def through_a_router(second):
    """A server sends eight full segments over a link of 8 Mbit/s, and a router sends them on at the rate `second`."""

    def run(net):
        a, r, b = net.host("a", tcp_quickack_segs=1000), net.router("r"), net.host("b")
        net.link(a, r, addrs=("10.0.0.1/24", "10.0.0.2/24"), delay=5 * MS, rate=second)
        net.link(r, b, addrs=("10.0.1.1/24", "10.0.1.2/24"), delay=5 * MS, rate=8_000_000)
        a.route("10.0.1.0/24", via="10.0.0.2")
        b.route("10.0.0.0/24", via="10.0.1.1")
        net.introduce()
        waiting = listener(b)

        def server():
            sock = yield waiting.accept()
            yield sock.sendall(bytes(SIZE))

        def client():
            sock = stream(a)
            yield sock.connect("10.0.1.2", 80)
            yield sock.recv_exactly(SIZE)

        finish(net, spawn(net, server()), spawn(net, client()))

    return Scenario("through a router", run, "", "", (), "")


def movers(scenario, timeline, found):
    """The frames beside the path that move the end if they are held."""
    beside = [frame.number for frame in timeline.frames if frame.arrived >= 0 and frame.number not in found.frames()]
    return [number for number in beside if path(branch(scenario, None, Hold(number, HELD))).elapsed != found.elapsed]


def test_frames_that_leave_a_link_just_when_one_of_the_path_comes_are_ties():
    """On two links of one rate, each segment comes to the router's link at the nanosecond at which the one before it has left."""
    scenario = through_a_router(8_000_000)
    timeline = scenario.timeline()
    found = path(timeline)
    segments = [frame for frame in timeline.frames if frame.host == "b" and len(frame.data) > 1400]
    assert len(segments) == 8
    moved = movers(scenario, timeline, found)
    assert moved == found.ties
    # The path follows the last segment behind the others, so its first link is that of the first segment.
    assert set(moved) == {frame.number for frame in segments} - set(found.frames()) and len(moved) == 7


@pytest.mark.parametrize("second", [7_000_001, 24_000_001])
def test_control_links_of_other_rates_have_no_ties(second):
    scenario = through_a_router(second)
    timeline = scenario.timeline()
    found = path(timeline)
    assert found.ties == [] == movers(scenario, timeline, found)
