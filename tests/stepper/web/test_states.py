"""The state diagram is the RFC's figure and the code's table: every change that any run makes is in it."""

import re

import pytest

from pystack.sim.network import MS, Network
from pystack.stepper import Timeline, figure5, scenarios
from pystack_c.tcp.snapshot import STATE_NAMES
from tests.stepper.web.served import ROOT

EDGES = figure5.edges()
#: figure 5 of RFC 9293, in the names and the order of the figure
FIGURE = """
CLOSED: LISTEN SYN-SENT | LISTEN: CLOSED SYN-RCVD SYN-SENT | SYN-SENT: CLOSED SYN-RCVD ESTAB | SYN-RCVD: LISTEN ESTAB FIN-WAIT-1
ESTAB: FIN-WAIT-1 CLOSE-WAIT | FIN-WAIT-1: FIN-WAIT-2 CLOSING | CLOSE-WAIT: LAST-ACK | FIN-WAIT-2: TIME-WAIT | CLOSING: TIME-WAIT
LAST-ACK: CLOSED | TIME-WAIT: CLOSED
"""


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
    assert {name: found - EDGES.keys() for name, found in seen.items() if found - EDGES.keys()} == {}


def test_the_figure_is_the_rfcs():
    names = {"SYN-RCVD": "SYN-RECEIVED", "ESTAB": "ESTABLISHED"}
    wanted = set()
    for row in re.split(r"[|\n]", FIGURE.strip()):
        old, _, targets = row.partition(":")
        wanted |= {(names.get(old.strip(), old.strip()), names.get(new, new)) for new in targets.split()}
    assert {pair for pair, (_, known) in EDGES.items() if known} == wanted and len(wanted) == 20
    assert ("CLOSED", "SYN-RECEIVED") not in EDGES
    # the control: the edges that the figure does not have are marked
    others = {pair for pair, (_, known) in EDGES.items() if not known}
    assert ("ESTABLISHED", "CLOSED") in others and ("FIN-WAIT-1", "TIME-WAIT") in others


def test_the_runs_go_along_most_edges(seen):
    """The control: the runs above do change states, on nearly every edge of the RFC's figure."""
    taken = set().union(*seen.values())
    figure = {(old, new) for old, new in EDGES if new != "CLOSED"} - {
        ("LISTEN", "SYN-SENT"),
        ("SYN-RECEIVED", "LISTEN"),  # the listener is there all the time
        ("SYN-RECEIVED", "FIN-WAIT-1"),
        ("FIN-WAIT-1", "TIME-WAIT"),
    }
    assert figure <= taken
    assert ("FIN-WAIT-1", "CLOSING") in taken and ("CLOSING", "TIME-WAIT") in taken


def test_every_state_has_a_place_in_the_picture():
    source = (ROOT / "web" / "src" / "panes" / "states.ts").read_text()
    places = re.findall(r'^  "?([A-Z][A-Z0-9-]+)"?: \[', source, re.M)
    assert sorted(places) == sorted([*STATE_NAMES.values(), "END"])
