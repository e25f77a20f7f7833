"""A -1500- r1 -1400- r2 -1500- B: a TCP upload with "do not fragment"."""

from typing import Any

from pystack.labs.looks import LabLook
from pystack.labs.values import LabControl, LabValue
from pystack.phy.match import is_icmp
from pystack.sim.network import Network
from pystack.sim.programs import spawn, stream
from pystack.testing.lab import MS, S, pattern
from pystack.testing.routed import RoutedChain
from pystack.testing.segments import OUTBOUND, WireLog

LINK = 5 * MS
SIZE = 50 * 1460
NARROW = (1500, 1400, 1500)
#: R is 30 ms, so the handshake leaves SRTT 30 and RTTVAR 15 ms: the 4 * RTTVAR term is at its least, 200 ms
RTO0 = 230 * MS
ETIMEDOUT = 110  # Linux's number, which other systems do not have


def network() -> Network:
    """Build the network: a - r1 - r2 - b, with a narrow link in the middle."""
    return chain_of(*NARROW)[0].net


def chain_of(*mtus: int, **settings: Any) -> tuple[RoutedChain, WireLog]:
    """Build a chain of links with these MTUs. Returns it with the segments at both ends."""
    chain = RoutedChain([{"delay": LINK, "mtu": mtu} for mtu in mtus], **settings)
    return chain, WireLog(chain.a.port(), chain.b.port())


def upload(chain: RoutedChain, size: int = SIZE, limit: int = 3000 * S) -> int:
    """Connect and send. Returns when the last byte is there (ns), or the sender's errno."""
    listener = stream(chain.b)
    listener.bind("", 80)
    listener.listen()

    def take():
        sock = yield listener.accept()
        assert (yield sock.recv_exactly(size)) == pattern(size)
        return chain.net.now

    def put():
        sock = stream(chain.a)
        yield sock.connect(chain.addr, 80)
        yield sock.sendall(pattern(size))
        try:
            yield sock.recv()
        except TimeoutError:
            return ETIMEDOUT

    taker, sender = spawn(chain.net, take()), spawn(chain.net, put())
    chain.net.run_until(lambda: taker.done or sender.done, limit=limit)
    return taker.value if taker.done else sender.value


def errors_at(chain: RoutedChain) -> list[int]:
    """Return a list that gets the MTUs of the errors "fragmentation needed" that come to A."""
    found: list[int] = []

    def tap(time, direction, frame):
        if direction != OUTBOUND and is_icmp(frame) and frame[34:36] == b"\x03\x04":
            found.append(int.from_bytes(frame[40:42], "big"))

    chain.a.port().taps.append(tap)
    return found


def discovery(*mtus: int, clamp: bool = False, **settings: Any) -> tuple[list[int], list[int], int]:
    """Upload over these links. Returns the MTUs of the errors, the sizes of the segments, and the time (ns)."""
    chain, log = chain_of(*mtus, **settings)
    if clamp:
        chain.nodes[1].stack.config.ip_forward_mss = -1
    errors = errors_at(chain)
    end = upload(chain)
    assert all(seg.df for seg in log.sent["a"])
    return errors, [len(seg) for seg in log.data("a")], end


def black_hole(size: int, mtu: int = 1400, **settings: Any) -> tuple[RoutedChain, WireLog, int]:
    """Upload while r1's errors never come back."""
    chain, log = chain_of(1500, mtu, 1500, **settings)
    chain.links[0].ba.drop_if(is_icmp)
    return chain, log, upload(chain, size)


def hanging(**settings: Any) -> list[int]:
    """Upload into the black hole. Returns how often the first segment is sent, and the errno."""
    _, log, end = black_hole(SIZE, **settings)
    first = log.data("a")[0]
    assert not log.data("b")
    return [sum(seg.payload == first.payload for seg in log.data("a")), end]


def probing() -> tuple[int, int, int]:
    """Let TCP probe. Returns when (after the first segment) a smaller one is sent, its size, and the time from there to the end."""
    _, log, end = black_hole(72_000, tcp_mtu_probing=1, tcp_tlp=False)
    first = log.data("a")[0]
    small = next(seg for seg in log.data("a") if len(seg) < 1460)
    assert small.seq == first.seq
    return small.time - first.time, len(small), end - small.time


VALUES = [
    LabValue("errors", "How many errors come back?", "10 segments of the first flight", 10, "errors"),
    LabValue("mtu", "Which MTU do they name?", "1,400", 1400, "bytes"),
    LabValue("size", "How long are the segments after that?", "1,400 - 40", 1360, "bytes"),
    LabValue("cost", "How much later is the transfer complete than on a path of 1,400?", "2 * 5 ms", 2 * LINK),
    LabValue("limited", "How many errors come if the router limits them?", "1", 1, "errors"),
    LabValue("second", "A second link with 1,300: which MTUs are named?", "1,400, 1,300", [1400, 1300], "bytes"),
    LabValue("small", "The errors are lost: how long does an upload of 1,000 bytes take?", "30 + 15 ms", 9 * LINK),
    LabValue(
        "hanging",
        "How often is the first full segment sent, and which errno comes (110: timeout, 111: refused, 113: no route)?",
        "1 + 15, 110",
        [16, ETIMEDOUT],
        "",
    ),
    LabValue("probe", "With probing: when is a smaller segment sent?", "(1 + 2 + 4 + 8) * 230 ms", 15 * RTO0),
    LabValue("probe size", "How long is it?", "base MSS", 1024, "bytes"),
    LabValue("clamped", "The router clamps the MSS: how many errors come?", "none", 0, "errors"),
]


def measure(name: str) -> Any:
    """Measure one of VALUES."""
    if name == "limited":
        return len(discovery(*NARROW, icmp_burst=1, icmp_ratelimit=1)[0])
    if name == "second":
        return sorted(set(discovery(1500, 1400, 1300, 1500)[0]), reverse=True)
    if name == "small":
        return black_hole(1000)[2]
    if name == "hanging":
        return hanging()
    if name.startswith("probe"):
        when, size, rest = probing()
        assert rest < S
        return size if name.endswith("size") else when
    if name == "clamped":
        return len(discovery(*NARROW, clamp=True)[0])
    errors, sizes, end = discovery(*NARROW)
    # The first flight, the same 14,600 bytes again, and then full segments to the end.
    assert sizes[:21] == [1460] * 10 + [1360] * 10 + [1000] and len(set(errors)) == 1
    if name == "cost":
        return end - discovery(1400, 1400, 1500)[2]
    return {"errors": len(errors), "mtu": errors[0], "size": max(sizes[21:])}[name]


CONTROLS = [
    LabControl("All links carry 1,500 bytes", LabValue("wide", "Errors, and segment size", "0, 1,460", [0, 1460], "")),
    LabControl(
        "All links carry 1,500 bytes",
        LabValue("time", "The time of the transfer", "30 + 2 * 30 + 15 ms", 21 * LINK),
    ),
    LabControl(
        "Probing is on, but only after 16 timeouts",
        LabValue("late", "Transmissions of the first segment, and errno", "16, 110", [16, ETIMEDOUT], ""),
    ),
]


def control(name: str) -> Any:
    """Measure a control."""
    if name == "late":
        return hanging(tcp_mtu_probing=1, tcp_retries1=16)
    errors, sizes, end = discovery(1500, 1500, 1500)
    return end if name == "time" else [len(errors), min(sizes)]


LOOKS = [
    LabLook("The first flight is too large, and the router says so", lambda: discovery(*NARROW), 'host == "a" and event.kind == "icmp.in"', "sequence", "a "),
    LabLook("A black hole, and a sender that probes", probing, 'event.kind == "retransmit"', "sequence", "a "),
]  # fmt: skip
