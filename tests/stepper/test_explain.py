"""A learner's questions: the words name the right mechanism, with its values, and change with the run."""

import re

import pytest

from pystack.phy import match
from pystack.runtime.simulated import MS, Network
from pystack.stepper import Cursor, Timeline, scenarios
from pystack.stepper.explain import MECHANISMS, why
from pystack.stepper.scenarios.base import _Kept, connected, pair
from pystack.stepper.scenarios.loss import upload


def answer(timeline, look):
    cursor = Cursor(timeline)
    cursor.add_break(look)
    stop = cursor.run()
    assert stop is not None, look
    return why(timeline, event=stop.entry.index)


@pytest.mark.parametrize("name", scenarios.NAMES)
def test_each_scenarios_question_is_answered_by_its_mechanism(name):
    scenario = scenarios.get(name)
    found = answer(scenario.timeline(), scenario.look)
    assert found.mechanism == scenario.mechanism
    assert re.search(r"RFC \d+ \d", str(found))


@pytest.mark.parametrize("name", scenarios.NAMES)
def test_every_event_and_frame_has_an_answer(name):
    timeline = scenarios.get(name).timeline()
    for index in range(len(timeline.events)):
        found = why(timeline, event=index)
        assert found.mechanism in MECHANISMS and found.sentences
    for frame in timeline.frames:
        assert why(timeline, frame=frame.number).sentences


def run(prepare, **settings):
    """60 kB over the link of loss-fast-retransmit; `prepare` breaks something."""
    out = _Kept()
    with Network(1) as net:
        net.record(out)
        a, b, link = pair(net, a=settings, delay=20 * MS, rate=10_000_000, queue=100)
        client, server = connected(net, a, b)
        prepare(net, link)
        upload(net, client, server, 60_000)
    return Timeline.of(out.kept)


def retransmissions(timeline):
    chosen = [entry.index for entry in timeline.events if entry.kind == "retransmit"]
    return [why(timeline, event=index) for index in chosen]


def test_why_was_this_segment_retransmitted():
    (found,) = retransmissions(run(lambda net, link: link.ab.drop(5, match=match.is_data)))
    assert found.mechanism == "fast-retransmit"
    assert "Fast retransmit: bytes 5793:7241, first sent in frame 8" in str(found)
    assert "was lost on the way" in str(found) and "RFC 8985 6.2" in str(found)
    assert "timeout:" not in str(found).lower()


@pytest.mark.parametrize(
    ("settings", "rule"), [({"tcp_rack": False}, "RFC 6675"), ({"tcp_sack": False, "tcp_rack": False}, "RFC 5681 3.2")]
)
def test_the_rule_that_found_the_loss_is_named(settings, rule):
    found = retransmissions(run(lambda net, link: link.ab.drop(5, match=match.is_data), **settings))
    assert {one.mechanism for one in found} == {"fast-retransmit"}
    assert rule in found[0].sentences[1] and "RACK" not in str(found[0])
    if "tcp_sack" in settings:
        assert "duplicate ACK number 3" in str(found[0])


def test_control_a_timeout_is_no_fast_retransmit():
    def down(net, link):
        link.down()
        net.after(700 * MS, link.restore)

    found = retransmissions(run(down, tcp_tlp=False))
    assert {one.mechanism for one in found} == {"rto"}
    assert all("Fast retransmit" not in str(one) for one in found)
    assert "No acknowledgement of it came within 240.118 ms" in str(found[0])
    assert any("an ACK came in, cwnd has room again" in str(one) for one in found)


def test_control_a_tail_loss_probe_is_neither():
    def tail(net, link):
        link.ab.drop(41, 42, match=match.is_data)

    found = retransmissions(run(tail))
    assert found[0].mechanism == "tail-loss-probe"
    assert "RFC 8985 7.2" in str(found[0]) and "Retransmission timeout" not in str(found[0])


def test_control_a_small_path_is_no_loss():
    timeline = scenarios.get("pmtud").timeline()
    found = retransmissions(timeline)
    assert found and {one.mechanism for one in found} == {"pmtud"}


def test_control_a_lost_syn():
    out = _Kept()
    with Network(1) as net:
        net.record(out)
        a, b, link = pair(net, delay=20 * MS)
        link.ab.drop(1)
        connected(net, a, b)
    (found,) = retransmissions(Timeline.of(out.kept))
    assert found.mechanism == "syn-timeout" and "RFC 6298 2.1" in str(found) and "1000 ms" in str(found)


def test_why_did_the_sender_stop_here():
    timeline = scenarios.get("zero-window").timeline()
    found = answer(timeline, 'host == "a" and event.kind == "hold" and tcb.snd_wnd == 0')
    assert "Zero window: a stopped because b closed its window" in str(found)
    assert "holds 16384 bytes that its application has not read" in str(found)


def test_control_a_full_congestion_window_is_no_zero_window():
    timeline = run(lambda net, link: None)
    found = answer(timeline, 'host == "a" and event.kind == "hold"')
    assert found.mechanism == "congestion-window" and "14480 of 14480 bytes" in str(found)
    assert "Zero window" not in str(found)


def test_control_a_window_that_is_full_but_not_closed():
    timeline = scenarios.get("zero-window").timeline()
    found = answer(
        timeline, 'host == "a" and event.kind == "hold" and tcb.snd_wnd > 0 and tcb.in_flight >= tcb.snd_wnd'
    )
    assert found.mechanism == "window"


def test_why_40_ms():
    found = answer(scenarios.get("nagle").timeline(), scenarios.get("nagle").look)
    assert "Nagle's algorithm: 100 bytes are less than a segment" in str(found)
    assert "They waited 50 ms" in str(found) and "40 ms are b's delayed ACK" in str(found)
    assert "RFC 9293 3.7.4" in str(found) and "RFC 9293 3.8.6.3" in str(found)


def test_control_nagle_without_a_delayed_ack():
    """The other side acknowledges at once: Nagle still holds, and the 40 ms are not told."""
    out = _Kept()
    with Network(1) as net:
        net.record(out)
        a, b, _ = pair(net, b={"tcp_quickack_segs": 1 << 20, "tcp_delack_time": 0}, delay=5 * MS)
        client, server = connected(net, a, b)
        client.call("send", bytes(100), 0)
        client.call("send", bytes(100), 0)
        net.run(net.now + 500 * MS)
    found = answer(Timeline.of(out.kept), 'event.kind == "hold"')
    assert found.mechanism == "nagle" and "They waited 10 ms" in str(found)
    assert "delayed ACK" not in str(found)


def test_the_frame_says_what_became_of_it():
    timeline = scenarios.get("loss-fast-retransmit").timeline()
    assert "Frame 8 never arrived: it was lost between a and b." in str(why(timeline, frame=8))
    assert "never arrived" not in str(why(timeline, frame=9))


def test_a_frame_that_waited_says_why():
    timeline = scenarios.get("nagle").timeline()
    assert "It had waited 50 ms" in str(why(timeline, frame=6))
    assert "It had waited" not in str(why(timeline, frame=4))
