"""The state diagram is the code's table: every change of state that any run makes is in it, and every state has a place."""

import re

import pytest

from pystack.sim.network import MS, Network
from pystack.stepper import Timeline, scenarios
from pystack_c.tcp.snapshot import STATE_NAMES
from pystack_c.tcp.state import TRANSITIONS
from tests.stepper.web.served import ROOT

EDGES = {(STATE_NAMES[old], STATE_NAMES[new]) for old, new in TRANSITIONS}


def changes(timeline: Timeline) -> set[tuple[str, str]]:
    return {(e.fields["old"], e.fields["new"]) for e in timeline.events if e.kind == "tcp.state"}


def simultaneous_close() -> Timeline:
    """Both ends close at once: the one way through CLOSING."""
    from pystack.stepper.scenarios.base import _Kept, connected, pair

    out = _Kept()
    with Network(1) as net:
        net.record(out)
        a, b, _ = pair(net, delay=10 * MS)
        client, server = connected(net, a, b)
        client.close()
        server.close()
        net.run_until_idle()
    return Timeline.of(out.kept)


@pytest.fixture(scope="module")
def seen():
    return {name: changes(scenarios.get(name).timeline()) for name in scenarios.NAMES} | {
        "close": changes(simultaneous_close())
    }


def test_every_change_is_an_edge_of_the_table(seen):
    assert {name: found - EDGES for name, found in seen.items() if found - EDGES} == {}


def test_the_runs_go_along_most_edges(seen):
    """The control: the runs above do change states, on nearly every edge of the RFC's figure."""
    taken = set().union(*seen.values())
    figure = {(old, new) for old, new in EDGES if new != "CLOSED"} - {
        ("LISTEN", "SYN-SENT"),
        ("FIN-WAIT-1", "TIME-WAIT"),
    }
    assert figure <= taken
    assert ("FIN-WAIT-1", "CLOSING") in taken and ("CLOSING", "TIME-WAIT") in taken


def test_every_state_has_a_place_in_the_picture():
    source = (ROOT / "web" / "src" / "panes" / "states.ts").read_text()
    places = re.findall(r'^  "?([A-Z][A-Z0-9-]+)"?: \[', source, re.M)
    assert sorted(places) == sorted([*STATE_NAMES.values(), "END"])
