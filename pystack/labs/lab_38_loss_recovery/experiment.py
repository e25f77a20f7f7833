"""A server answers a request with ten segments, and some of them are lost."""

from typing import Any

from pystack.labs.looks import LabLook
from pystack.labs.values import LabControl, LabValue
from pystack.phy.match import is_data
from pystack.testing.lab import MS, Lab, lab_net, pattern

R = 100 * MS
MSS, SEGMENTS = 1460, 10
TIMEOUT = R + 200 * MS  # SRTT + max(200 ms, 4 RTTVAR)


def network(**settings: Any) -> Lab:
    """Build the network: a client `a` and a server `b`, half a round trip apart each way."""
    return lab_net(R // 2, **settings)


def answer(*lost: int, quick: bool = True, segments: int = SEGMENTS, **settings: Any) -> tuple[Lab, int]:
    """Answer a request with some segments, of which `lost` are dropped once (counted from 1).

    Returns the network, and the time from the request until the last byte has arrived (ns). With `quick`, the client acknowledges at once.
    """
    client = {"tcp_quickack_segs": 1 << 20} if quick else {}
    lab = network(client=client, **settings)
    asking, server = lab.connected()
    lab.net.run(until=lab.net.now + 10 * R)
    start = lab.net.now
    asking.call("send", b"GET", 0)
    lab.link.ba.drop(*lost, match=is_data)

    def serve():
        yield server.recv_exactly(3)
        yield server.sendall(pattern(segments * MSS))

    def read():
        assert (yield asking.recv_exactly(segments * MSS)) == pattern(segments * MSS)

    lab.run(serve(), read())
    return lab, lab.net.now - start


def resent(lab: Lab) -> list[int]:
    """Return when segments were repeated, counted from the first data segment (ns)."""
    first = lab.log.data("b")[0].time
    return [seg.time - first for seg in lab.log.resent("b")]


def rounds(lab: Lab) -> list[int]:
    """Return how many segments were repeated at each time."""
    times = resent(lab)
    return [times.count(time) for time in sorted(set(times))]


ALL = tuple(range(1, SEGMENTS + 1))
VALUES = [
    LabValue("none", "Nothing is lost: when is the answer complete?", "R", R),
    LabValue("3", "Segment 3 is lost: when?", "2 R", 2 * R),
    LabValue("2 4 6", "Segments 2, 4 and 6 are lost: when?", "2 R", 2 * R),
    LabValue("9 10", "The last two are lost: when?", "R + 2 R + R + R", 5 * R),
    LabValue("10", "The last one is lost: when?", "R + RTO + R", 2 * R + TIMEOUT),
    LabValue("all first", "All ten are lost, no probe: when is the first repeated?", "RTO = R + 200 ms", TIMEOUT),
    LabValue("all rounds", "How many are repeated in each of four rounds?", "1, 2, 4, the rest", [1, 2, 4, 3], "segments"),
    LabValue("all", "When is the answer complete then?", "RTO + 4 R", TIMEOUT + 4 * R),
    LabValue("all probed", "All ten are lost, with a probe: when is it complete?", "2 R + 4 R", 6 * R),
]  # fmt: skip


def measure(name: str) -> Any:
    """Measure one of VALUES."""
    if name == "all probed":
        lab, elapsed = answer(*ALL)
        assert lab.b.counters.TcpExtTCPTimeouts == 0
        return elapsed
    if name.startswith("all"):
        lab, elapsed = answer(*ALL, tcp_tlp=False)
        return {"all first": resent(lab)[0], "all rounds": rounds(lab), "all": elapsed}[name]
    lab, elapsed = answer(*(int(part) for part in name.split() if part.isdigit()))
    if name == "9 10":
        assert (lab.b.counters.TcpExtTCPLossProbes, lab.b.counters.TcpExtTCPTimeouts) == (1, 0)
    return elapsed


CONTROLS = [
    LabControl(
        "Without SACK (NewReno)", LabValue("newreno", "Segments 2, 4 and 6 are lost: when", "R + 3 R", 4 * R)
    ),
    LabControl(
        "Without probe and RACK",
        LabValue("unprobed", "The last two are lost: when", "R + RTO + R + R", 3 * R + TIMEOUT),
    ),
    LabControl(
        "The sender knows that the client delays an acknowledgement by 40 ms at most",
        LabValue("patient", "The last one is lost: when", "R + 2 R + 40 ms + R", 4 * R + 40 * MS),
    ),
    LabControl(
        "The client delays acknowledgements",
        LabValue("delayed", "All ten are lost: when is the last one repeated", "RTO + 40 ms + 3 R", TIMEOUT + 40 * MS + 3 * R),
    ),
]  # fmt: skip


def control(name: str) -> int:
    """Measure a control."""
    if name == "newreno":
        return answer(2, 4, 6, tcp_sack=False)[1]
    if name == "unprobed":
        return answer(9, 10, tcp_tlp=False, tcp_rack=False)[1]
    if name == "patient":
        return answer(10, server={"tcp_tlp_max_ack_delay": 40 * MS})[1]
    return resent(answer(*ALL, quick=False, tcp_tlp=False)[0])[-1]


LOOKS = [
    LabLook("Segment 3 is lost, and later ones reveal it", lambda: answer(3), 'host == "b" and event.kind == "retransmit"', "ladder", frames="4-27"),
    LabLook("The last two are lost, and a probe reveals it", lambda: answer(9, 10), 'host == "b" and event.kind == "retransmit"', "ladder", frames="4-27"),
    LabLook("All are lost, and only the timer helps", lambda: answer(*ALL, tcp_tlp=False), 'host == "b" and event.kind == "retransmit"', "sequence", "b "),
]  # fmt: skip
