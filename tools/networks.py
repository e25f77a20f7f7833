"""Measures how much of a network each algorithm uses. `python -m tools.networks` writes docs/explanation/networks.md.

It runs bulk transfers in virtual time over simulated paths from 10 kbit/s to 40 Gbit/s and from 10 us to 30 s, with
short and long queues; over paths that lose, reorder, delay and police; over paths that change; and several connections
at once on one link. This takes minutes. A seed gives the same figures on each machine and on both builds. The page
explains each figure below 0.9 on a clean path. These explanations are in WORDS, and a figure without one makes the
command fail (exit status 1).
"""

import argparse
import dataclasses
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pystack  # noqa: F401 (first, because it decides which build of the core is loaded)
from pystack.sim.channel import Channel
from pystack.sim.network import MS, US, Link, Network, S
from pystack.sim.programs import Program, sleep, spawn, stream

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "explanation" / "networks.md"
ALGORITHMS = ("reno", "cubic", "bbr")
TCP, TCP_CONGESTION = 6, 13
ETHERNET = 14
HEADERS = 52  # IPv4, TCP and timestamps
LOW = 0.9
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


# -- the page -----------------------------------------------------------------------------------------------------------


def sawtooth(queue: float) -> float:
    """Return the fraction of a link that Reno uses in the long run, with a queue of so many BDPs (at most 1).

    The model is continuous. The window goes from (1 + queue) / 2 BDPs to 1 + queue, by the same step in each round
    trip. If the window exceeds a BDP, the round trip is longer in proportion.
    """
    low, high = (1 + queue) / 2, 1 + queue
    return (high**2 - low**2) / 2 / ((1 - low) + (high**2 - 1) / 2)


SAWTOOTH = (
    "Reno halves its window at each loss. A queue of a quarter of a BDP keeps the link busy only for a part of "
    f"the time until the window has grown again. In the long run this uses {sawtooth(SHORT):.2f} of the link. The reason is the "
    "algorithm and not the stack: with a longer queue Reno uses the whole link."
)
GROWTH = (
    "Slow start ended with half of the BDP and the queue, which is 0.63 of a BDP, and from there Reno grows by "
    "one segment in each round trip. To fill the path, it needs 0.38 round trips for each frame of the BDP, which "
    "is longer than the measurement. The reason is the algorithm again. CUBIC was made for such paths."
)
#: the reason why a figure on a clean path is below 0.9, by (rate, round trip, queue, algorithm)
WORDS: dict[tuple[int, int, float, str], str] = {
    (1_000_000, 600 * MS, SHORT, "reno"): SAWTOOTH,
    (10_000_000, 100 * MS, SHORT, "reno"): SAWTOOTH,
    (40_000_000_000, 10 * US, SHORT, "reno"): SAWTOOTH,
    (40_000_000_000, 100 * US, SHORT, "reno"): SAWTOOTH,
    (100_000, 30 * S, SHORT, "reno"): GROWTH,
    (10_000_000, 2 * S, SHORT, "reno"): GROWTH,
    (100_000_000, 50 * MS, SHORT, "reno"): GROWTH,
    (1_000_000_000, 10 * MS, SHORT, "reno"): GROWTH,
    (1_000_000_000, 100 * MS, SHORT, "reno"): GROWTH,
    (40_000_000_000, 10 * MS, SHORT, "reno"): GROWTH,
}


def rate_text(rate: int) -> str:
    """Return a rate in the unit that fits."""
    for unit, name in ((10**9, "Gbit/s"), (10**6, "Mbit/s"), (10**3, "kbit/s")):
        if rate >= unit:
            return f"{rate / unit:g} {name}"
    return f"{rate} bit/s"


def time_text(ns: int) -> str:
    """Return a time in the unit that fits."""
    for unit, name in ((S, "s"), (MS, "ms"), (US, "us")):
        if ns >= unit:
            return f"{ns / unit:g} {name}"
    return f"{ns} ns"


def figure(result: Result, note: int = 0) -> str:
    """Return the fraction of the link, the retransmitted percentage if there is any, and a note's number."""
    text = f"{result.used:.2f}"
    if result.repeated >= 0.0005:
        text += f" ({100 * result.repeated:.1f} %)"
    return text + (f" [{note}]" if note else "")


def table(head: list[str], rows: list[list[str]]) -> list[str]:
    """Return a table in Markdown."""
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return lines + ["| " + " | ".join(row) + " |" for row in rows]


def flows_text(flows: tuple[str, ...]) -> str:
    """Describe several connections in words."""
    names = list(dict.fromkeys(flows))
    return ", ".join(f"{flows.count(name)} {name}" for name in names)


def race_row(case: Case, result: Result) -> list[str]:
    """Return Jain's index of all, and the shares of each algorithm's connections, relative to the mean."""
    mean = sum(result.shares) / len(result.shares)
    parts = []
    for name in dict.fromkeys(case.flows):
        own = [share for share, flow in zip(result.shares, case.flows, strict=True) if flow == name]
        parts.append(f"{name} {sum(own) / len(own) / mean:.2f}")
    least = min(result.shares) / mean
    return [
        flows_text(case.flows),
        f"{case.queue:g}",
        f"{result.used:.2f}",
        f"{100 * result.repeated:.1f} %",
        f"{jain(result.shares):.2f}",
        ", ".join(parts),
        f"{least:.2f}",
    ]


HEAD = """# A table of networks

The tables say how much of a link a bulk transfer uses, as a fraction of the payload that the link can carry (1 is everything). The transfers
run in virtual time. `python -m tools.networks` (`make networks`) writes this page. A number in brackets is the percentage of the data segments
that were retransmitted. BDP, the bandwidth-delay product, is the number of full-sized frames that the path holds. The size of a queue is
given in BDPs, and each queue has room for at least ten frames. A path is measured for 100 round trips, 30 s or 500 frames, whichever is
longest. If that would take more simulated frames than a run may have, the measurement is shorter, but never shorter than 30 round trips. The figure counts
the data that the sender knows to have arrived from the end of the first third on. The buffers at both ends are so large
that they limit nothing, and all other settings are the defaults. There is one seed, and the figures are the same on each machine.

High rates have a larger MTU, because a simulated second of 40 Gbit/s in frames of 1500 bytes would take minutes. If a path would need a
window above 1 GiB (40 Gbit/s at 1 s, for example), TCP cannot fill it (RFC 7323 2.2), so it is not in the table.

CUBIC's window grows with time, not with round trips. If a round trip takes seconds, its time in the queue included, the window is back at
its old size within one round trip, and the queue overflows at once. That is why CUBIC retransmits 9 to 14 % on the slowest paths. BBR's
smallest window is four segments ([congestion control](../howto/congestion.md)).

## Clean paths
"""


def trouble_rows(found: "list[tuple[Case, str, Result]]", kind: str, title: str) -> list[str]:
    """Return a row for each trouble, or for each change with the time after it."""
    rows: dict[str, list[str]] = {}
    for case, _, result in found:
        if case.name == kind:
            text = figure(result)
            if kind == "change":
                text += ": " + " ".join(f"{part:.2f}" for part in result.ninths[3:])
            rows.setdefault(case.trouble, [case.trouble]).append(text)
    return table([title, *ALGORITHMS], list(rows.values()))


def page(found: "list[tuple[Case, str, Result]]") -> tuple[str, list[str]]:
    """Return the page, and the figures that have no explanation."""
    lines = [HEAD]
    notes: dict[str, int] = {}
    missing = []
    rows: dict[tuple[int, int, int], list[str]] = {}
    for case, algorithm, result in found:
        if case.name != "clean":
            continue
        row = rows.setdefault(
            (case.rate, case.rtt, case.mtu),
            [
                rate_text(case.rate),
                time_text(case.rtt),
                str(case.mtu),
                f"{case.bdp():.1f}",
                time_text(int(float(f"{result.seconds:.3g}") * S)),
            ],
        )
        note = 0
        if round(result.used, 2) < LOW:
            word = WORDS.get((case.rate, case.rtt, case.queue, algorithm), "")
            if not word:
                missing.append(
                    f"{row[0]} {row[1]}, queue {case.queue:g}, {algorithm}: {result.used:.3f} of the link, without a word"
                )
            note = notes.setdefault(word, len(notes) + 1)
        row.append(figure(result, note))
    head = ["Rate", "Round trip", "MTU", "BDP", "Measured"]
    head += [f"{algorithm}, queue {queue:g}" for queue in (SHORT, LONG) for algorithm in ALGORITHMS]
    lines += table(head, list(rows.values()))
    if notes:
        lines += ["", f"Why a figure is below {LOW}:", ""]
        lines += [f"{number}. {word}" for word, number in notes.items()]
    lines += ["", "## Troubles", "", TROUBLE_HEAD, ""]
    lines += trouble_rows(found, "trouble", "Trouble")
    lines += ["", "## Changes", "", CHANGE_HEAD, ""]
    lines += trouble_rows(found, "change", "Change")
    lines += ["", "## Several connections", "", RACE_HEAD, ""]
    head = ["Connections", "Queue", "Link", "Retransmitted", "Jain", "Mean shares", "Least share"]
    lines += table(head, [race_row(case, result) for case, _, result in found if case.name == "race"])
    return "\n".join(lines) + "\n", missing


TROUBLE_HEAD = """These runs have 20 Mbit/s, a round trip of 50 ms, a queue of one BDP (83 frames) and one connection. A policer drops what exceeds 20 Mbit/s
on a link of 200 Mbit/s, and the figure is relative to the policer's rate. A sender that sends its window in bursts of 200 Mbit/s exceeds a
small bucket while its rate is still low. A paced sender does not send bursts."""
CHANGE_HEAD = """These runs have 2 Mbit/s, a round trip of 50 ms, a queue of 33 frames (four BDPs) and one connection. After 60 s the path changes, without
a loss. The first figure covers the next 120 s, relative to the new rate. The figures after the colon cover 20 s each. The queue keeps its size
in frames. (The frames that were in the queue when the rate fell are counted, too, so a figure may exceed 1.)"""
RACE_HEAD = """These runs have 20 Mbit/s, a round trip of 40 ms, and a queue of so many BDPs (66 frames each). The connections begin 100 ms apart. Jain's
index is 1 if all connections have the same rate, and 1/n if one of n connections has everything. Shares are relative to the mean share: the
mean share of each algorithm, and the least share of a single connection."""


def work(job: tuple[Case, str, int]) -> Result:
    """Make one run, in a process of its own."""
    case, algorithm, frames = job
    return run(case, algorithm, frames)


def jobs(quick: bool, frames: int) -> list[tuple[Case, str, int]]:
    """Return all runs."""
    single = [*clean(quick), *troubled(quick)]
    found = [(case, algorithm, frames) for case in single for algorithm in ALGORITHMS]
    return found + [(case, "", 2 * frames) for case in races(quick)]


def main(argv: "list[str] | None" = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m tools.networks", description=(__doc__ or "").split("\n")[0])
    parser.add_argument(
        "--quick", action="store_true", help="a few paths, a tenth of the frames, printed instead of written"
    )
    parser.add_argument(
        "--frames", type=int, default=30_000, help="simulated data frames of a run (default: %(default)s)"
    )
    parser.add_argument("--jobs", type=int, default=2, help="processes (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=PAGE, help="the page (default: docs/explanation/networks.md)")
    options = parser.parse_args(argv)
    todo = jobs(options.quick, options.frames // 10 if options.quick else options.frames)
    found = []
    with ProcessPoolExecutor(options.jobs) as pool:
        for (case, algorithm, _), result in zip(todo, pool.map(work, todo), strict=True):
            found.append((case, algorithm, result))
            print(
                f"{len(found)}/{len(todo)} {rate_text(case.rate)} {time_text(case.rtt)} queue {case.queue:g} {case.trouble} "
                f"{flows_text(case.flows)} {algorithm}: {figure(result)}; {result.timeouts} timeouts; "
                + " ".join(f"{part:.2f}" for part in result.ninths),
                file=sys.stderr,
                flush=True,
            )
    text, missing = page(found)
    if options.quick:
        print(text)
        return 0
    options.output.write_text(text)
    for line in missing:
        print(line)
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
