"""Sixty runs whose answer is known by construction, to the nanosecond, each with its control."""

import pytest

from pystack.sim.network import MS
from pystack.sim.programs import spawn, stream
from pystack.stepper import scenarios
from pystack.stepper.scenarios.base import Scenario, finish, listener
from pystack.stepper.timing import CAUSES, WHYS, path
from pystack.stepper.ways import ProgramStep, Steps, Ways
from tests.stepper.timing import causes, tls
from tests.stepper.timing.cases import CASES, SLOW


def test_there_are_enough():
    assert len({case.name for case in CASES}) == len(CASES) >= 60
    assert causes.D and tls.TLS  # their cases are among them


def test_every_cause_and_reason_has_a_run_that_shows_it():
    """Except for those of recordings in real time, of one side, and of a recording that does not say enough."""
    causes_shown = {cause for case in CASES for cause, _ in case.expected}
    whys_shown = {why for case in CASES for _, why in case.expected}
    # Live recordings and those of one side have these (test_one_side.py).
    assert set(CAUSES) - causes_shown == {"on the way", "timer", "driver", "peer", "unknown"}
    assert set(WHYS) - whys_shown == {"silly window", "route"}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_sums_are_the_known_ones(case):
    found = path(case.scenario().timeline())
    assert found.totals() == case.expected
    assert found.elapsed == sum(case.expected.values())
    for cause, why in found.totals():
        assert cause in CAUSES and why in WHYS


def test_the_text_says_in_which_phase_the_congestion_window_was_full():
    found = path(scenarios.get("slow-start").timeline())
    phases = [span.text.rpartition("(")[2] for span in found if span.why == "congestion window"]
    assert list(dict.fromkeys(phases)) == ["slow start, round 1)", "slow start, round 2)", "slow start, round 3)"]


def test_after_a_timeout_the_other_lost_segments_waited_for_it_too():
    found = path(scenarios.get("rto").timeline()).totals()
    assert found["RTO", "loss, retransmission timeout"] == 1_680_000_000
    assert not any(why == "loss, fast retransmit" for _, why in found)


def test_a_forged_note_cannot_keep_the_walk_busy(monkeypatch):
    timeline = scenarios.get("nagle").timeline()
    found = Steps.__getitem__

    def forged(self, number):
        step = found(self, number)
        return step._replace(after=1 << 40) if step.why == "ready" else step

    monkeypatch.setattr(Steps, "__getitem__", forged)
    found = path(timeline)
    assert found.elapsed == sum(span.duration for span in found)
    assert "unknown" in {span.cause for span in found}


def test_a_forged_note_that_no_recorder_writes_is_refused():
    note = {"number": 1, "why": "ready", "began": 0, "parent": 0, "woken": 0, "after": 0}
    for changed in ({"why": "because"}, {"began": 1 << 63}, {"number": 2}, {"parent": 1}):
        ways = Ways()
        with pytest.raises((ValueError, OverflowError)):
            ways.program(0, note | changed)
    ways.program(0, note)
    assert dict(ways.steps) == {1: ProgramStep("ready", 0, 0, 0, 0)}


def test_of_two_timers_that_expire_at_once_each_connection_has_its_own():
    """Two clients write twice at the same time, and the server delays both ACKs until the same time."""

    def run(net):
        server = net.host("b", **SLOW)
        waiting = listener(server)

        def serve():
            socks = [(yield waiting.accept()), (yield waiting.accept())]
            for sock in socks:
                yield sock.recv_exactly(200)

        def client(number):
            host = net.host(f"c{number}", **SLOW)
            net.link(host, server, addrs=(f"10.0.{number}.1/24", f"10.0.{number}.2/24"), delay=5 * MS)
            sock = stream(host)
            yield sock.connect(f"10.0.{number}.2", 80)
            for _ in range(2):
                yield sock.sendall(bytes(100))

        clients = [client(number) for number in range(2)]
        programs = [spawn(net, serve()), *(spawn(net, program) for program in clients)]
        finish(net, *programs)

    timeline = Scenario("two", run, "", "", (), "").timeline()
    for name in ("c0", "c1"):
        (conn,) = (key for key in timeline.connections if key.startswith(f"{name} tcp"))
        found = path(timeline, conn)
        assert found.totals()["delayed ACK", "Nagle"] == 40 * MS
        frames = [timeline.frames[number - 1] for number in found.frames()]
        assert {frame.host for frame in frames} | {frame.to for frame in frames} == {"b", name}
