"""Which arrival is which frame: what the timeline finds from the bytes alone, against what the channels really did."""

import io

import pytest

from pystack.sim.network import MS, Network
from pystack.sim.programs import datagram
from pystack.stepper import Timeline
from pystack.stepper.scenarios.base import connected, pair
from pystack.stepper.scenarios.loss import upload
from tests.sim.hostile import Transfer

EVERYTHING = {
    "loss": 0.15, "duplicate": 0.1, "reorder": 0.1, "reorder_delay": 15 * MS, "corrupt": 0.05, "jitter": MS
}  # fmt: skip


class Kept(io.BytesIO):
    def close(self) -> None:
        self.kept = self.getvalue()


def truth(run):
    """All that the hosts' channels did, as lists of (time sent, frame, arrivals) by sender, filled while it runs."""
    log = {"a": [], "b": []}
    for name, channel in (("a", run.link.ab), ("b", run.link.ba)):

        def logged(frame, now, arrivals, name=name):
            log[name].append((now, frame, arrivals))
            return arrivals

        channel.meddle = logged
    return log


def run_of(seed, **impairments):
    out = Kept()
    run = Transfer(seed, 20_000, impairments, lambda net: net.record(out))
    log = truth(run)
    run.run()
    run.net.close()
    return Timeline.of(out.kept), log


def compared(timeline, log):
    """(frames, frames whose arrival is not the real one, frames with a bit changed that are not known as such)."""
    total = wrong = unknown = 0
    for name, sent in log.items():
        frames = [frame for frame in timeline.frames if frame.host == name]
        assert [frame.time for frame in frames] == [time for time, _, _ in sent]
        for frame, (_, data, arrivals) in zip(frames, sent):
            assert frame.data == data
            total += 1
            found = sorted([frame.arrival, *(time for time, _, _ in frame.copies)]) if frame.arrival is not None else []
            if found != sorted(time for time, _ in arrivals):
                wrong += 1
            unknown += frame.altered != any(other != data for _, other in arrivals)
            assert (frame.fate in ("lost", "unknown")) == (frame.arrival is None)
    return total, wrong, unknown


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    "impairments",
    [{}, {"loss": 0.1}, {"duplicate": 0.1}, {"reorder": 0.2, "reorder_delay": 15 * MS}, {"corrupt": 0.1}, EVERYTHING],
    ids=lambda impairments: "-".join(impairments)[:20] or "clean",
)
def test_arrivals_are_found(seed, impairments):
    total, wrong, unknown = compared(*run_of(seed, **impairments))
    assert total > 40 and unknown == 0
    assert wrong == 0


def test_control_a_wrong_arrival_is_noticed():
    timeline, log = run_of(1, loss=0.1)
    flights = timeline._flights
    first = next(frame.index for frame in timeline.frames if frame.fate == "delivered")
    flights.arrival[first] += 1
    assert compared(timeline, log)[1] == 1


def test_what_a_switch_floods_arrives_where_it_is_addressed_to():
    out = Kept()
    with Network(1) as net:
        net.record(out)
        switch = net.switch("s")
        hosts = [net.host(name) for name in "abc"]
        for number, host in enumerate(hosts):
            net.link(host, switch, delay=MS)
            host.addr(f"10.0.0.{number + 1}/24")
        hosts[0].neighbor("10.0.0.3", hosts[2].port().iface.mac)
        hosts[0].neighbor("10.0.0.99", 0x020000000099)
        datagram(hosts[0]).sendto(b"flooded", "10.0.0.3", 9)
        datagram(hosts[0]).sendto(b"to nobody", "10.0.0.99", 9)
        datagram(hosts[1]).sendto(b"asks everybody", "10.0.0.3", 9)
        net.run(1000 * MS)
    first, nobody, request = Timeline.of(out.kept).frames[:3]
    assert (first.to, first.arrival) == ("c", 2 * MS) and [host for _, host, _ in first.copies] == ["b"]
    assert "udp-no-port" in first.drops[0] and first.fate == "dropped"
    assert nobody.to in ("b", "c", "peer") and nobody.fate == "dropped" and "eth-other-host" in nobody.drops[0]
    assert request.fate == "delivered" and len(request.copies) == 1  # one of both took it


def test_offloaded_frames_arrive_in_pieces():
    out = Kept()
    with Network(1) as net:
        net.record(out)
        a, b, _ = pair(net, a={"offload": True}, b={"offload": True}, delay=5 * MS)
        client, server = connected(net, a, b)
        upload(net, client, server, 100_000)
    timeline = Timeline.of(out.kept)
    cut = [frame for frame in timeline.frames if frame.gso_size]
    assert cut and all(frame.fate == "delivered" for frame in timeline.frames if frame.arrival is not None)
    for frame in cut:
        if frame.arrival is not None:
            assert 1 + len(frame.copies) == -(-(frame.length - 66) // frame.gso_size)
    assert timeline.peer not in timeline.lanes
