"""A capture at several interfaces has segments more than once. TCP is inferred from those at one interface."""

import io
from itertools import pairwise

import pytest

from pystack.stepper import scenarios
from pystack.stepper.capture.timeline import CaptureTimeline
from pystack.stepper.explain import why
from pystack.stepper.timing import path
from pystack.trace.annotate import AnnotatedCapture, FrameProbe
from pystack.trace.ordered import OrderedFrames
from pystack.trace.pcapng import PcapngReader, PcapngWriter
from pystack.trace.replay import Replay


def captured(name, *hosts, ordered=True):
    """The capture of a scenario at these hosts, or at all of them."""
    out = io.BytesIO()
    capture = AnnotatedCapture(PcapngWriter(out), hosts=True)
    frames = OrderedFrames(capture)
    sink = frames if ordered else capture
    probe = FrameProbe(lambda record: sink(record) if not hosts or record.host in hosts else None)
    Replay(io.BytesIO(scenarios.get(name).record()), probe=probe).run()
    probe.flush()
    frames.flush()
    return io.BytesIO(out.getvalue())


def opened(name, *hosts):
    return CaptureTimeline(captured(name, *hosts), f"{name}.pcapng")


def findings(timeline):
    return [entry.fields["name"] for entry in timeline.events if entry.kind == "tcp.inferred"]


def spans(timeline):
    return [(span.start - timeline.start, span.duration, span.cause, span.why) for span in path(timeline)]


@pytest.mark.parametrize("name", ["nagle", "delayed-ack", "loss-fast-retransmit", "rto"])
def test_copies_of_another_interface_change_nothing(name):
    both, one = opened(name), opened(name, "a")
    assert len(both.frames) > len(one.frames)
    assert findings(both) == findings(one)
    assert spans(both) == spans(one)


def test_control_a_segment_again_at_the_same_interface_is_a_retransmission():
    assert "fast_retransmission" in findings(opened("loss-fast-retransmit"))
    assert findings(opened("nagle")) == []


def test_both_copies_belong_to_the_connection_and_the_second_says_where_the_other_is():
    timeline = opened("nagle")
    first, second = timeline.frames[0], timeline.frames[1]
    assert (first.iface, second.iface, first.summary) == ("a:eth0", "b:eth0", second.summary)
    assert first.conn == second.conn and len(timeline.connections) == 2
    assert "judged" not in timeline.events[first.event].fields
    assert timeline.events[second.event].fields["judged"] == "a:eth0"
    assert "It was captured at b:eth0, and the same segment at a:eth0, too." in str(why(timeline, frame=2))


def test_one_direction_at_each_interface_has_no_copies():
    """Routes may differ: then the one interface has the requests and the other one the answers."""
    source = captured("nagle")
    out = io.BytesIO()
    writer = PcapngWriter(out)
    numbers = {name: writer.interface(name, 1) for name in ("out", "in")}
    for frame in PcapngReader(source, "both"):
        if frame.interface.name == "a:eth0":
            way = "out" if frame.data[26:30] == bytes([10, 0, 0, 1]) else "in"
            writer.packet(numbers[way], frame.time, frame.data)
    timeline = CaptureTimeline(io.BytesIO(out.getvalue()), "split.pcapng")
    assert spans(timeline) == spans(opened("nagle", "a"))
    assert not any("judged" in entry.fields for entry in timeline.events)


def test_a_capture_of_all_interfaces_has_the_number_of_the_interface_in_each_frame():
    """As `tcpdump -i any` on a host with containers: a segment passes several interfaces, and the file names one alone (LINKTYPE_LINUX_SLL2)."""

    def cooked(*names):
        out = io.BytesIO()
        writer = PcapngWriter(out)
        number = writer.interface("any", 276)
        for frame in PcapngReader(captured("nagle"), "both"):
            if frame.interface.name in names:
                index = 3 if frame.interface.name == "a:eth0" else 4
                head = bytes([8, 0, 0, 0]) + index.to_bytes(4, "big") + bytes([0, 1, 0, 6, *range(8)])
                writer.packet(number, frame.time, head + frame.data[14:])
        return CaptureTimeline(io.BytesIO(out.getvalue()), "any.pcapng")

    both, one = cooked("a:eth0", "b:eth0"), cooked("a:eth0")
    assert spans(both) == spans(one) and findings(both) == []
    assert both.events[both.frames[1].event].fields["judged"] == "interface 3"


def test_the_frames_of_several_hosts_are_in_the_order_of_their_times():
    def times(source):
        return [frame.time for frame in PcapngReader(source, "capture")]

    assert all(one <= other for one, other in pairwise(times(captured("nagle"))))
    unordered = times(captured("nagle", ordered=False))
    assert sorted(unordered) == times(captured("nagle")) != unordered
