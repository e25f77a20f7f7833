"""Events become frames with their story, by the rule of docs/explanation/architecture.md."""

import io

from pystack.trace import pcapng
from pystack.trace.annotate import AnnotatedCapture, FrameProbe, tee
from pystack_c.probe import Event
from tests import frames as f

A, B = "10.0.0.1", "10.0.0.2"
SYN = f.ether(f.ipv4(A, B, 6, f.tcp(A, 1, B, 80, 2, 100, 0)))
SYNACK = f.ether(f.ipv4(B, A, 6, f.tcp(B, 80, A, 1, 0x12, 500, 101)))


def event(kind, reason="", rfc="", host="h", time=0, **fields) -> Event:
    return Event(kind, time, host, "tcp x", 3, reason, rfc, fields)


def records_of(*events) -> list:
    got = []
    probe = FrameProbe(got.append)
    for one in events:
        probe.event(one)
    probe.flush()
    return got


def test_what_follows_a_frame_in_is_its_story_and_what_precedes_a_frame_out_is_its_reason():
    first, second = records_of(
        event("frame.in", iface="eth0", frame=SYN, time=5),
        event("tcp.in", seq=100, ack=0, flags=2, length=0, window=1),
        event("tcp.state", "SYN for a listening port", "RFC 9293 3.10.7.2", old="LISTEN", new="SYN-RECEIVED"),
        event("timer.set", timer="rto", deadline=9),
        event("tcp.out", "SYN-ACK", "RFC 9293 3.5", seq=500, ack=101, flags=0x12, length=0, window=1),
        event("frame.out", iface="eth0", frame=SYNACK, gso_size=0, time=5),
        event("tcp.hold", "nothing more", length=0),
    )
    assert (first.direction, first.time, first.iface, first.host, first.frame) == ("in", 5, "eth0", "h", SYN)
    assert first.summary.startswith("IP 10.0.0.1.1 > 10.0.0.2.80: Flags [S]")
    assert first.reasons == ["SYN for a listening port: LISTEN -> SYN-RECEIVED [RFC 9293 3.10.7.2]"]
    assert [e.kind for e in first.events] == ["tcp.in", "tcp.state", "timer.set"]
    assert second.direction == "out" and second.reasons == ["SYN-ACK [RFC 9293 3.5]", "nothing more"]
    assert "Flags [S.]" in second.line() and "SYN-ACK [RFC 9293 3.5]" in second.line()


def test_a_timer_gives_its_reason_to_the_first_frame_only():
    timer, first, second = records_of(
        event("timer.fired", timer="rto"),
        event("tcp.rto", "backed off", "RFC 6298 5.5", old=1, new=2),
        event("tcp.retransmit", "oldest unacknowledged", "RFC 6298 5.4", seq=1, length=0),
        event("frame.out", iface="eth0", frame=SYN, gso_size=0),
        event("tcp.out", "more"),
        event("frame.out", iface="eth0", frame=SYN, gso_size=1448),
    )
    assert timer.direction == "timer" and timer.frame == b""
    assert first.reasons == [
        "the rto timer expired (tcp x)",
        "backed off: 1 -> 2 [RFC 6298 5.5]",
        "oldest unacknowledged [RFC 6298 5.4]",
    ]
    assert second.reasons == ["more", "the device cuts this group into segments of 1448 bytes"]


def test_a_drop_is_told_and_an_announcement_without_a_frame_goes_to_what_came_before():
    (first, second) = records_of(
        event("frame.in", iface="eth0", frame=SYN),
        event("drop", "checksum is wrong", "RFC 9293 3.1", name="tcp-bad-checksum"),
        event("icmp.out", "port unreachable, but it waits for ARP"),
        event("frame.in", iface="eth0", frame=SYN),
    )
    assert [d.name for d in first.drops] == ["tcp-bad-checksum"]
    assert first.comments() == [
        "port unreachable, but it waits for ARP",
        "DROPPED tcp-bad-checksum: checksum is wrong [RFC 9293 3.1]",
    ]
    assert not second.reasons and not second.drops


def test_hosts_do_not_mix():
    got = records_of(
        event("frame.in", host="a", iface="eth0", frame=SYN),
        event("frame.in", host="b", iface="eth0", frame=SYN),
        event("tcp.ack", "of a", host="a", action="delayed"),
    )
    assert [(r.host, r.reasons) for r in got] == [("a", ["of a"]), ("b", [])]


def test_events_before_any_frame_are_kept():
    (record,) = records_of(event("arp.state", "set by hand", addr=1, old="-", new="PERMANENT"))
    assert record.reasons == ["set by hand: - -> PERMANENT"]


def test_annotated_capture_writes_comments_and_finished_checksums():
    out = io.BytesIO()
    partial = f.ether(f.ipv4(B, A, 6, f.tcp(B, 80, A, 1, 0x12, 500, 101, partial=True)))
    kept = []
    probe = FrameProbe(tee(kept.append, AnnotatedCapture(pcapng.PcapngWriter(out), hosts=True)))
    probe.event(event("frame.in", iface="eth0", frame=SYN, time=7))
    probe.event(event("drop", "no", name="x"))
    probe.event(event("timer.fired", timer="rto"))
    probe.event(event("tcp.out", "answer"))
    probe.event(event("frame.out", iface="eth0", frame=partial, gso_size=0, time=8))
    probe.flush()
    first, second = pcapng.PcapngReader(io.BytesIO(out.getvalue()))
    assert len(kept) == 3
    assert (first.time, first.data, first.direction, first.comments) == (7, SYN, pcapng.INBOUND, ["DROPPED x: no"])
    assert first.interface.name == "h:eth0"
    assert second.data == SYNACK and second.direction == pcapng.OUTBOUND
    assert second.comments == ["the rto timer expired (tcp x)", "answer"]
