"""The networks that tools.networks measures: paths, troubles, and one run of bulk transfers over a path."""

import dataclasses
from collections.abc import Callable
from typing import Any

import pystack  # noqa: F401 (first, because it decides which build of the core is loaded)
from pystack.sim.channel import Channel
from pystack.sim.network import MS, US, Link, Network, S
from pystack.sim.programs import Program, sleep, spawn, stream

ALGORITHMS = ("reno", "cubic", "bbr")
TCP, TCP_CONGESTION = 6, 13
ETHERNET = 14
HEADERS = 52  # IPv4, TCP and timestamps
BLOCK = bytes(1 << 18)
GIB = 1 << 30


@dataclasses.dataclass(frozen=True)
class Case:
    """One network, and the traffic on it."""

    name: str
    rate: int
    rtt: int
    queue: float = 1.0  # of a BDP
    mtu: int = 1500
    trouble: str = ""  # one of TROUBLES
    # the algorithm of each connection; empty: one connection with each of ALGORITHMS in turn
    flows: tuple[str, ...] = ()

    def frame(self) -> int:
        """Return the bytes of a full-sized frame."""
        return self.mtu + ETHERNET

    def bdp(self) -> float:
        """Return how many frames the path holds."""
        return self.rate * self.rtt / S / 8 / self.frame()

    def frames_in_queue(self) -> int:
        """Return the room of the queue in frames: a fraction of a BDP, but at least ten."""
        return max(round(self.queue * self.bdp()), 10)

    def useful(self) -> float:
        """Return the fraction of the rate that is payload, which an ideal transfer reaches."""
        return (self.mtu - HEADERS) / self.frame()


@dataclasses.dataclass(frozen=True)
class Result:
    """The result of a run."""

    used: float  # of the link's payload rate
    repeated: float  # of all data segments
    shares: tuple[int, ...]  # bytes by connection
    timeouts: int
    seconds: float  # measured
    ninths: tuple[float, ...]  # of the link's payload rate, in each ninth of the whole time


def aggregate(channel: Channel, step: int) -> None:
    """Let frames arrive together, at multiples of `step` ns."""
    channel.rule(None, lambda n: True, lambda frame, arrival: [(-(-arrival // step) * step, frame)])


def aggregate_both(link: Link, step: int) -> None:
    """Do so in both directions."""
    for channel in link.channels():
        aggregate(channel, step)


def police(channel: Channel, rate: int, burst: int) -> None:
    """Drop frames that exceed a token bucket of `rate` bit/s and `burst` bytes, however short the queue is."""
    # tokens in bits times ns per second, so that all is exact, and the time when they were counted
    state = [burst * 8 * S, 0]

    def action(frame: bytes, arrival: int) -> Any:
        tokens = min(burst * 8 * S, state[0] + (arrival - state[1]) * rate)
        state[1] = arrival
        cost = len(frame) * 8 * S
        if cost > tokens:
            state[0] = tokens
            return "policed"
        state[0] = tokens - cost
        return [(arrival, frame)]

    channel.rule(None, lambda n: True, action)


#: troubles of a path, by name, with the function that sets them up before the first frame
TROUBLES: dict[str, Callable[[Link, Case], None]] = {
    "0.01 % of the frames are lost": lambda link, path: link.ab.set(loss=0.0001),
    "0.1 % are lost": lambda link, path: link.ab.set(loss=0.001),
    "1 % are lost": lambda link, path: link.ab.set(loss=0.01),
    "3 % are lost": lambda link, path: link.ab.set(loss=0.03),
    "1 % are overtaken for 3 ms": lambda link, path: link.ab.set(reorder=0.01, reorder_delay=3 * MS),
    "10 % are overtaken for 20 ms": lambda link, path: link.ab.set(reorder=0.1, reorder_delay=20 * MS),
    "1 % arrive twice": lambda link, path: link.ab.set(duplicate=0.01),
    "up to 10 ms of jitter": lambda link, path: link.ab.set(jitter=10 * MS),
    "10 % of the ACKs are lost": lambda link, path: link.ba.set(loss=0.1),
    "50 % of the ACKs are lost": lambda link, path: link.ba.set(loss=0.5),
    "ACKs arrive each 5 ms": lambda link, path: aggregate(link.ba, 5 * MS),
    "ACKs arrive each 25 ms": lambda link, path: aggregate(link.ba, 25 * MS),
    "data and ACKs arrive each 10 ms": lambda link, path: aggregate_both(link, 10 * MS),
    "the way back has a fiftieth of the rate": lambda link, path: link.ba.set(rate=path.rate // 50, queue=20),
}
#: a policer's figure is relative to its own rate, not to the link's
POLICERS = {"policed, bursts of 15 kB": 15_000, "policed, bursts of 150 kB": 150_000}
#: (change, factor of the delay, factor of the rate); the change is made after the first third of the time
CHANGES = {
    "the round trip becomes ten times as long": (10.0, 1.0),
    "the round trip becomes a tenth": (0.1, 1.0),
    "the rate becomes ten times as high": (1.0, 10.0),
    "the rate becomes a tenth": (1.0, 0.1),
}


def times(path: Case, frames: int) -> tuple[int, int]:
    """Return from when until when a path is measured (ns).

    The time is 100 round trips, 30 s or 500 frames, or as much as `frames` allow, but at least 30 round trips.
    """
    each = path.frame() * 8 * S // path.rate
    whole = max(100 * path.rtt, 30 * S, 500 * each)
    whole = max(min(whole, frames * each), 30 * path.rtt)
    if path.flows:
        whole = max(whole, frames * each)
    if path.trouble in CHANGES:
        whole = 3600 * S * frames // 600_000
    return whole // 9 * 3, whole // 9 * 9


def run(path: Case, algorithm: str, frames: int) -> Result:
    """Run one path with one algorithm (or with the path's own several)."""
    flows = path.flows or (algorithm,)
    net = Network(1)
    top = CHANGES.get(path.trouble, (1.0, 1.0))
    window = int(path.rate * max(top[1], 1) * path.rtt * max(top[0], 1) / S / 8 * (2 + path.queue) * 2)
    size = min(max(window, 4 << 20), GIB)
    settings: dict[str, Any] = {"tcp_mem_low": GIB << 10, "tcp_mem_pressure": GIB << 10, "tcp_mem_high": GIB << 10}
    settings |= {"tcp_rmem": size, "tcp_rmem_max": size, "tcp_wmem": size, "tcp_wmem_max": size}
    a, b = (net.host(name, **settings) for name in "ab")
    rate, policed = path.rate, POLICERS.get(path.trouble)
    wire: dict[str, Any] = {"rate": rate * 10 if policed else rate, "queue": path.frames_in_queue()}
    if len(flows) > 1:
        # Without jitter, in virtual time exact to the nanosecond, the same connection's frames would always meet the
        # full queue.
        wire["jitter"] = 2 * path.frame() * 8 * S // rate
    link = net.link(
        a, b, addrs=("10.0.0.1/24", "10.0.0.2/24"), delay=path.rtt // 2, mtu=path.mtu, ab=wire, ba={"rate": rate}
    )
    if policed:
        police(link.ab, rate, policed)
    elif path.trouble in TROUBLES:
        TROUBLES[path.trouble](link, path)
    net.introduce()
    socks: list[Any] = []
    listener = stream(b)
    listener.bind("", 80)
    listener.listen(len(flows))

    def drain(sock: Any) -> Program:
        while True:
            yield sock.recv(1 << 18)

    def serve() -> Program:
        while True:
            spawn(net, drain((yield listener.accept())))

    def pour(number: int) -> Program:
        yield sleep(number * 100 * MS)
        sock = stream(a)
        socks.append(sock)
        sock.setsockopt(TCP, TCP_CONGESTION, flows[number])
        yield sock.connect("10.0.0.2", 80)
        while True:
            yield sock.sendall(BLOCK)

    spawn(net, serve())
    for number in range(len(flows)):
        spawn(net, pour(number))
    begin, end = times(path, frames)

    def delivered() -> list[int]:
        """Return the bytes delivered by connection.

        Data after a hole counts, too, although the application does not have it yet.
        """
        return [sock.endpoint.bytes_acked + sock.endpoint.rtxq.sacked_out for sock in socks]

    marks = [0]

    def pass_time(until: int) -> None:
        while net.now < until:
            net.run(until=net.now + end // 9)
            marks.append(sum(delivered()))

    pass_time(begin)
    before = delivered()
    if path.trouble in CHANGES:
        delay, speed = CHANGES[path.trouble]
        rate = int(rate * speed)
        link.set(delay=int(path.rtt / 2 * delay))
        link.set(rate=rate)
    pass_time(end)
    shares = tuple(after - one for after, one in zip(delivered(), before, strict=True))
    sent = sum(sock.endpoint.data_segs_out for sock in socks)
    again = sum(sock.endpoint.total_retrans for sock in socks)
    whole = rate * path.useful() * (end - begin) / 8 / S
    ninths = tuple((after - one) * 6 / whole for one, after in zip(marks, marks[1:], strict=False))
    timeouts = int(a.counters.TcpExtTCPTimeouts)
    return Result(sum(shares) / whole, again / max(sent, 1), shares, timeouts, (end - begin) / 1e9, ninths)


def jain(shares: tuple[int, ...]) -> float:
    """Return Jain's index: 1 if all have the same, 1/n if one has everything."""
    squares = sum(share * share for share in shares)
    return sum(shares) ** 2 / (len(shares) * squares) if squares else 0.0


#: (rate, round trip, MTU); the MTU is large if there would otherwise be too many frames to simulate
CLEAN = (
    (10_000, 1 * S, 1500),
    (10_000, 30 * S, 1500),
    (64_000, 100 * MS, 1500),
    (64_000, 1 * S, 1500),
    (1_000_000, 10 * MS, 1500),
    (1_000_000, 600 * MS, 1500),
    (100_000, 30 * S, 1500),
    (10_000_000, 1 * MS, 1500),
    (10_000_000, 20 * MS, 1500),
    (10_000_000, 100 * MS, 1500),
    (10_000_000, 2 * S, 1500),
    (100_000_000, 1 * MS, 1500),
    (100_000_000, 50 * MS, 1500),
    (1_000_000_000, 100 * US, 1500),
    (1_000_000_000, 10 * MS, 1500),
    (1_000_000_000, 100 * MS, 9000),
    (10_000_000_000, 10 * US, 1500),
    (10_000_000_000, 1 * MS, 9000),
    (10_000_000_000, 10 * MS, 65535),
    (40_000_000_000, 10 * US, 1500),
    (40_000_000_000, 100 * US, 9000),
    (40_000_000_000, 10 * MS, 65535),
)
QUICK = ((64_000, 1 * S, 1500), (10_000_000, 20 * MS, 1500), (40_000_000_000, 100 * US, 9000))
SHORT, LONG = 0.25, 2.0
RACES = (
    ("reno", "reno"),
    ("cubic", "cubic"),
    ("bbr", "bbr"),
    ("reno", "cubic"),
    ("reno", "bbr"),
    ("cubic", "bbr"),
    ("reno",) * 8,
    ("cubic",) * 8,
    ("bbr",) * 8,
    ("reno",) * 4 + ("bbr",) * 4,
    ("cubic",) * 4 + ("bbr",) * 4,
)


def clean(quick: bool) -> list[Case]:
    """Return paths on which nothing goes wrong."""
    return [
        Case("clean", rate, rtt, queue, mtu)
        for rate, rtt, mtu in (QUICK if quick else CLEAN)
        for queue in (SHORT, LONG)
    ]


def troubled(quick: bool) -> list[Case]:
    """Return paths of 20 Mbit/s and 50 ms with a queue of one BDP, each with a trouble, and paths of 2 Mbit/s that
    change.
    """
    names = [*TROUBLES, *POLICERS, *CHANGES]
    if quick:
        names = ["1 % are lost", "policed, bursts of 15 kB", "the rate becomes a tenth"]
    steady = [Case("trouble", 20_000_000, 50 * MS, trouble=name) for name in names if name not in CHANGES]
    return steady + [Case("change", 2_000_000, 50 * MS, 4.0, trouble=name) for name in names if name in CHANGES]


def races(quick: bool) -> list[Case]:
    """Return paths of 20 Mbit/s and 40 ms with several connections."""
    chosen = RACES[:1] if quick else RACES
    return [Case("race", 20_000_000, 40 * MS, queue, flows=flows) for flows in chosen for queue in (1.0, 4.0)]
