"""Captures from both ends of a connection tell a server that writes as it computes from a server whose congestion window is full."""

import pytest

from pystack.sim.network import MS
from pystack.stepper.scenarios.base import Scenario
from pystack.stepper.timing import path
from tests.stepper.timing.alike import WRITERS, alike, captured

AS_ACKS_COME = "50 KB every 20 ms, as the ACKs come"
#: the least share of the time that both ends name as the recording does
ALIKE = {
    AS_ACKS_COME: 0.85,
    "20 full segments every 20 ms": 0.75,
    "50 KB every 20 ms": 0.75,
    "50 KB every 100 ms": 0.9,
    "2 KB every 20 ms": 0.95,
    "control: 1 MB at once": 0.75,
    "control: 300 KB at once, Reno": 0.65,
    "control: a window of 3 segments at first": 0.9,
}


def timeline(name):
    return Scenario(name, WRITERS[name], "", "", (), "").timeline()


def of(found, cause, why=None):
    return sum(time for (one, reason), time in found.totals().items() if one == cause and why in (None, reason))


@pytest.mark.parametrize("name", ALIKE)
def test_most_of_the_time_has_the_name_that_the_recording_gives_it(name):
    assert min(alike(timeline(name))) >= ALIKE[name]


@pytest.mark.parametrize("host", ["a", "b"])
def test_a_program_that_writes_when_acknowledgements_come_does_not_wait_for_them(host):
    found = path(captured(timeline(AS_ACKS_COME), host))
    assert of(found, "server thinking") >= 500 * MS and of(found, "on the way", "congestion window") <= 60 * MS


@pytest.mark.parametrize("host", ["a", "b"])
@pytest.mark.parametrize("name", [name for name in WRITERS if name.startswith("control")])
def test_control_a_server_that_has_everything_does_not_think(name, host):
    """A slow link and BBR's pace look like a short pause of the program, once."""
    found = path(captured(timeline(name), host))
    assert of(found, "server thinking") <= 2 * MS


def test_what_stays_out_of_sight():
    """A program that writes as many segments as are acknowledged, when they are acknowledged, looks like a full window (the page says so)."""
    found = path(captured(timeline("20 full segments every 20 ms, as the ACKs come"), "a"))
    assert of(found, "on the way", "congestion window") >= 500 * MS
