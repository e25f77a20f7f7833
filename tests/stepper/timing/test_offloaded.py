"""Where the time went in a capture of a host whose device cuts segments and puts them together: a frame has many segments."""

import pytest

from pystack.stepper import Timeline
from pystack.stepper.timing import path
from pystack.stepper.timing.index import Lookup
from pystack.stepper.timing.talk import OPTIONS, CapturedTalk
from tests.stepper.capture.corpus import Forged

MSS = 1460
FULL = MSS - OPTIONS
STAMPS = b"\1\1\x08\x0a" + bytes(8)
SYN_OPTIONS = b"\x02\x04" + MSS.to_bytes(2, "big") + STAMPS


def answered(*lengths, pause=0, syn=SYN_OPTIONS, late=False):
    """A request, and an answer in frames of these lengths, each of which is sent when the one before is acknowledged; the last one `pause` ms later.

    `late`: the acknowledgement before the last one comes just before the last frame.
    """
    talk = Forged(handshake=False)
    talk.add("a", 0, 0, flags=2, options=syn).add("b", 0, 1, flags=18, options=syn, after=10).add(
        "a", 1, 1, options=STAMPS, after=0
    )
    talk.add("a", 1, 1, 100, options=STAMPS, win=60000)
    seq = 1
    for number, length in enumerate(lengths):
        last = number == len(lengths) - 1
        if last and late:
            talk.add("a", 101, seq, options=STAMPS, after=pause, win=60000)
        talk.add("b", seq, 101, length, options=STAMPS, after=10 + (pause if last and not late else 0))
        seq += length
        if not late or number != len(lengths) - 2:
            talk.add("a", 101, seq, options=STAMPS, after=0, win=60000)
    return Timeline.of(talk.capture(), "offloaded.pcapng")


def whys(timeline):
    return {why for _, why in path(timeline).totals()}


def test_large_frames_are_no_small_segments_that_nagles_algorithm_holds():
    timeline = answered(5 * FULL, 5 * FULL, 10 * FULL, 20 * FULL, 2 * FULL + 1151)
    assert "Nagle" not in whys(timeline) and "congestion window" in whys(timeline)


def test_the_control_of_that_a_small_segment_waits_for_the_acknowledgement():
    assert "Nagle" in whys(answered(5 * FULL, 20 * FULL, 800))
    assert "Nagle" in whys(answered(100, 100))


@pytest.mark.parametrize("last", [5 * FULL + 700, 700])
def test_after_a_frame_that_does_not_end_with_a_full_segment_the_program_had_no_more_data(last):
    found = path(answered(20 * FULL, last, FULL, pause=300))
    assert found.totals()["server thinking", ""] > 250 * 10**6


def test_the_control_of_that_a_full_frame_does_not_say_so():
    """What it sent before was still in flight, so its congestion window may have been full."""
    found = path(answered(20 * FULL, 20 * FULL, FULL, pause=300, late=True))
    assert found.totals().get(("server thinking", ""), 0) < 20 * 10**6


def test_if_nothing_is_in_flight_only_the_program_can_have_waited():
    found = path(answered(20 * FULL, 5 * FULL, FULL, pause=300))
    assert found.totals()["server thinking", ""] > 250 * 10**6


@pytest.mark.parametrize(
    ("syn", "full"), [(SYN_OPTIONS, FULL), (STAMPS, 20 * FULL), (b"\x02\x04\0\0", 20 * FULL), (b"\x02\x04\0\1", 1)]
)
def test_without_a_usable_option_the_longest_frame_counts_as_full(syn, full):
    """And an MSS that no host has makes no error."""
    timeline = answered(20 * FULL, 800, syn=syn)
    talk = CapturedTalk(timeline, Lookup(timeline), timeline.connections[0])
    assert talk.largest[1] == full
    assert path(timeline).elapsed > 0
