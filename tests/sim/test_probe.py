"""The probe: every kind of event occurs, is well made, and no variable of a connection changes without one."""

import pytest

import pystack_c.tcp.output
from pystack_c.probe import KINDS, TIMER_NAMES, Event, ListProbe
from tests.sim.sessions import Sessions
from tests.support import decisions
from tests.support.silent import Silent
from tools import probe_docs

COMPILED = not pystack_c.tcp.output.__file__.endswith(".py")


@pytest.fixture(scope="module")
def events():
    return decisions.collect()


def test_every_kind_occurs_with_its_fields_and_a_reason(events):
    seen = {event.kind for event in events}
    assert seen == set(KINDS)
    for event in events:
        assert tuple(event.fields) == KINDS[event.kind][0], event
        assert event.reason and event.rfc, event


def test_every_timer_is_set_fired_and_cancelled(events):
    seen = {(event.kind, event.fields["timer"]) for event in events if event.kind.startswith("timer.")}
    for kind in ("timer.set", "timer.fired", "timer.cancelled"):
        missing = [name for name in TIMER_NAMES.values() if (kind, name) not in seen]
        assert not missing, f"{kind} of {missing}"


def test_a_timer_fires_when_it_was_set_to_and_not_after_it_was_cancelled(events):
    due: dict[tuple[str, int, str, str], int] = {}
    last = 0
    for event in events:
        if event.time < last:
            due.clear()  # another run
        last = event.time
        if event.kind.startswith("timer."):
            key = (event.host, event.endpoint, event.subject, event.fields["timer"])
            if event.kind == "timer.set":
                due[key] = event.fields["deadline"]
            elif event.kind == "timer.cancelled":
                due.pop(key, None)
            elif key in due:
                assert event.time >= due.pop(key), event
            elif not event.subject.startswith("arp "):  # (Probe and entry of one address have one name.)
                pytest.fail(f"it fired unset: {event}")


@pytest.mark.parametrize("run", decisions.RUNS, ids=lambda run: run.__name__)
def test_no_variable_changes_without_an_event(run):
    probe = Silent()
    run(probe)
    assert not probe.found, probe.found[:3]


@pytest.mark.parametrize("seed", range(40 if COMPILED else 6))
def test_no_variable_of_a_random_session_changes_without_an_event(seed):
    probe = Silent()
    run = Sessions(seed, 3)
    decisions.watch(run.net, probe)
    run.run()
    assert not probe.found, probe.found[:3]
    assert probe.kinds["tcp.state"] > 10


def test_control_a_silent_change_is_found():
    probe = Silent()
    lab = decisions.watched_lab(probe)
    client, _ = lab.connected()
    assert not probe.found
    client.endpoint.cwnd += 1
    client.close()
    lab.net.run(lab.net.now + 1_000_000_000)
    assert any(text.startswith("cwnd") for text in probe.found)


def test_snapshots_only_where_they_are_asked_for():
    plain, full = ListProbe(), ListProbe(snapshots=True)
    for probe in (plain, full):
        decisions.tail_loss(probe)
    told = [(event.kind, event.time, event.reason) for event in plain.events]
    assert told == [(event.kind, event.time, event.reason) for event in full.events]
    assert all(event.after is None for event in plain.events if event.kind != "tcp.state")
    # (Until its SYN has been looked at, a passive connection is not in the tables.)
    about = [event for event in full.events if event.kind.startswith("tcp.") and event.time >= 20_000_000]
    assert len(about) > 20 and all(event.after is not None for event in about)
    lost = next(event for event in full.events if event.kind == "tcp.retransmit")
    assert lost.after["phase"] == "open" and lost.after["in_flight"] == 4000 - 1448
    assert lost.rfc == "RFC 8985 7.3" and "retransmission" not in lost.after["timers"]


def rules(page: str) -> list[str]:
    """The page without its examples, whose numbers move with every change of the core."""
    return [line for line in page.splitlines() if not line.startswith("- `")]


def test_the_page_is_up_to_date(events):
    assert rules(probe_docs.PAGE.read_text()) == rules(probe_docs.page(events)), "run tools/probe_docs.py"


def test_control_a_kind_that_nothing_emits_fails(events):
    few = [event for event in events if event.kind != "tcp.urgent"]
    with pytest.raises(SystemExit, match=r"tcp\.urgent"):
        probe_docs.page(few)
    odd = Event("new.kind", 0, "h", "s", 0, "why", "RFC 1", {})
    with pytest.raises(SystemExit, match=r"new\.kind"):
        probe_docs.page([*events, odd])
