"""How much of a request's time the inference from a capture names as the recording of the same run does.

    python -m tests.stepper.timing.alike

prints a row for each run: the share at the client's capture and at the server's.
"""

from collections.abc import Callable
from typing import Any

from pystack.sim.network import MS, Network
from pystack.sim.programs import sleep, spawn
from pystack.stepper import Timeline
from pystack.stepper.scenarios.base import Scenario, finish, listener, pair, stream
from pystack.stepper.timing import Path, path
from tests.stepper.capture import corpus
from tests.stepper.timing.cases import CASES
from tests.stepper.timing.runs import scenario

#: what happens to a frame between the hosts: a capture does not tell them apart
CARRIED = ("propagation", "serialization", "queueing", "shaping", "jitter")
#: reasons that only the stack knows apart
SAME = {"loss, fast retransmit": "loss", "loss, tail probe": "loss", "loss, retransmission timeout": "loss"}


def sums(found: Path, begin: int, end: int) -> dict[tuple[str, str], int]:
    """The ns of each cause and reason between two times, in the words of a capture."""
    total: dict[tuple[str, str], int] = {}
    for span in found:
        key = ("on the way" if span.cause in CARRIED else span.cause, SAME.get(span.why, span.why))
        total[key] = total.get(key, 0) + max(min(span.end, end) - max(span.start, begin), 0)
    return total


def captured(timeline: Timeline, host: str) -> Timeline:
    """What a host of a run would have captured."""
    return Timeline.of(corpus.pcapng(corpus.seen_by(timeline, host)), "lan.pcapng")


def share(one: dict[tuple[str, str], int], two: dict[tuple[str, str], int]) -> float:
    """The part of the time that both name alike."""
    same = sum(min(time, two.get(key, 0)) for key, time in one.items())
    return same / max(sum(one.values()), sum(two.values()))


def alike(timeline: Timeline) -> tuple[float, float]:
    """The share at the client and at the server."""
    known = path(timeline)
    client = known.conn.split()[0]
    server = timeline.other_end(known.conn).split()[0]
    shares = []
    for host in (client, server):
        capture = captured(timeline, host)
        found = path(capture)
        # A capture begins with its first frame, and has another clock.
        shift = corpus.seen_by(timeline, host)[0][0] - capture.start
        exact = sums(known, found.begin + shift, found.end + shift)
        shares.append(share(exact, sums(found, found.begin, found.end)))
    return shares[0], shares[1]


def writer(
    sizes: list[int],
    every: int,
    delay: int = 15 * MS,
    rate: int = 0,
    before: int = 0,
    nodelay: bool = True,
    **settings: Any,
) -> Callable[[Network], None]:
    """A server that writes an answer piece by piece: one of these sizes every `every` ns, the first one after `before`."""

    def run(net: Network) -> None:
        a, b, _ = pair(net, a=settings, b=settings, delay=delay, **({"rate": rate} if rate else {}))
        waiting = listener(b)

        def server() -> Any:
            sock = yield waiting.accept()
            if nodelay:
                sock.setsockopt(6, 1, 1)
            yield sock.recv_exactly(100)
            yield sleep(before) if before else sleep(1)
            for number, size in enumerate(sizes):
                if number:
                    yield sleep(every)
                yield sock.sendall(bytes(size))

        def client() -> Any:
            sock = stream(a)
            yield sock.connect("10.0.0.2", 80)
            yield sock.sendall(bytes(100))
            yield sock.recv_exactly(sum(sizes))

        finish(net, spawn(net, server()), spawn(net, client()))

    return run


ROOMY = {"tcp_wmem": 4 << 20, "tcp_rmem": 4 << 20}
#: servers that write as they compute, and the controls: one that has everything at once
WRITERS = {
    "50 KB every 20 ms": writer([50_000] * 30, 20 * MS, **ROOMY),
    "20 full segments every 20 ms": writer([20 * 1448] * 30, 20 * MS, **ROOMY),
    "20 KB every 3 ms": writer([20_000] * 60, 3 * MS, **ROOMY),
    "2 KB every 20 ms": writer([2_000] * 40, 20 * MS, **ROOMY),
    "50 KB every 100 ms": writer([50_000] * 10, 100 * MS, **ROOMY),
    "20 KB every 3 ms over 50 Mbit/s": writer([20_000] * 60, 3 * MS, rate=50_000_000, **ROOMY),
    "50 KB every 20 ms, as the ACKs come": writer([50_000] * 30, 20 * MS, delay=9_500_000, **ROOMY),
    "20 full segments every 20 ms, as the ACKs come": writer([20 * 1448] * 30, 20 * MS, delay=9_500_000, **ROOMY),
    "20 full segments every 5 ms, 20 Mbit/s": writer([5 * 1448] * 60, 5 * MS, rate=20_000_000, **ROOMY),
    "control: 1 MB at once": writer([1_000_000], 0, **ROOMY),
    "control: 1 MB at once over 20 Mbit/s": writer([1_000_000], 0, rate=20_000_000, **ROOMY),
    "control: 300 KB at once, Reno": writer([300_000], 0, tcp_congestion="reno", **ROOMY),
    "control: 1 MB, small buffers": writer([1_000_000], 0),
    "control: 300 KB at once, BBR": writer([300_000], 0, tcp_congestion="bbr", **ROOMY),
    "control: a window of 3 segments at first": writer([300_000], 0, tcp_init_cwnd=3, **ROOMY),
}  # fmt: skip


def main() -> None:
    """Print the table."""
    runs = [(name, Scenario(name, run, "", "", (), "")) for name, run in WRITERS.items()]
    for kind, group in (
        ("", runs),
        ("known runs", [(one.name, one.scenario()) for one in CASES]),
        ("random runs", [(f"{n}", scenario(n)) for n in range(30)]),
    ):
        total = [0.0, 0.0]
        for name, one in group:
            row = alike(one.timeline())
            total = [total[0] + row[0], total[1] + row[1]]
            if not kind or min(row) < 0.5:
                print(f"  {name[:60]:60} {row[0]:6.1%} {row[1]:6.1%}")
        print(
            f"{kind or 'writers':62} {total[0] / len(group):6.1%} {total[1] / len(group):6.1%}  (mean of {len(group)})"
        )


if __name__ == "__main__":
    main()
