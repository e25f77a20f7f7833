"""Bulk transfers with Reno and CUBIC: with losses, with small and large queues, and two at a time."""

from functools import cache
from typing import Any

from pystack.labs.lab_11_congestion.fairness import jain, two_flows
from pystack.labs.looks import LabLook
from pystack.labs.values import LabControl, LabValue
from pystack.phy.match import is_data
from pystack.sim.programs import Program
from pystack.testing.lab import MS, Lab, S, lab_net, pattern, sleep

R = 50 * MS
MSS = 1460
RATE = 10_000_000  # bits a second
BDP = 42  # packets of 1,500 bytes that are on the way in R at this rate
DATA = pattern(1 << 20)


def network(queue: int = BDP, congestion: str = "reno") -> Lab:
    """Build the network: a sender `a` and a receiver `b`, with a queue of packets before the link."""
    return lab_net(R // 2, log=False, tcp_congestion=congestion, link={"ab": {"rate": RATE, "queue": queue}})


def pour(sock: Any) -> Program:
    """Write for ever."""
    while True:
        yield sock.sendall(DATA)


def drain(sock: Any, count: list[int]) -> Program:
    """Read for ever; count[0] is the bytes so far."""
    while True:
        count[0] += len((yield sock.recv(1 << 20)))


def flow(lab: Lab) -> tuple[list[int], Any]:
    """Start a bulk transfer. Returns the count of its bytes, and the sender's connection."""
    client, server = lab.connected()
    count = [0]
    lab.spawn(pour(client))
    lab.spawn(drain(server, count))
    return count, client.endpoint


@cache
def mathis(period: int, seconds: int = 30) -> float:
    """Lose every N-th segment. Returns the rate, as a share of MSS / R * sqrt(1.5 N)."""
    lab = lab_net(R // 2, log=False, tcp_congestion="reno")
    lab.link.ab.drop_every(period, match=is_data)
    count, _ = flow(lab)
    lab.net.run(until=lab.net.now + 10 * S)
    before = count[0]
    lab.net.run(until=lab.net.now + seconds * S)
    return (count[0] - before) / seconds / (MSS / (R / S) * (1.5 * period) ** 0.5)


def utilisation(queue: int, congestion: str = "reno", seconds: int = 10) -> tuple[float, float]:
    """Return the share (%) of the time in which the link is busy, and the share of the frames that is lost."""
    lab = network(queue, congestion)
    flow(lab)
    lab.net.run(until=lab.net.now + 10 * S)
    stats = lab.link.ab.stats
    busy, frames, lost = stats.busy, stats.frames, stats.dropped()
    lab.net.run(until=lab.net.now + seconds * S)
    return 100 * (stats.busy - busy) / (seconds * S), 100 * (stats.dropped() - lost) / (stats.frames - frames)


@cache
def after_a_loss(congestion: str, rtt: int = 100 * MS, seconds: int = 10) -> list[tuple[float, float]]:
    """Lose a segment at a window of 100. Returns (seconds since the end of the recovery, window in segments)."""
    lab = lab_net(rtt // 2, log=False, tcp_congestion=congestion, tcp_init_cwnd=100, tcp_init_ssthresh=100 * MSS)
    lab.link.ab.drop(5, match=is_data)
    samples = []
    _, tcb = flow(lab)

    def watch():
        while True:
            samples.append((lab.net.now, tcb.cwnd / MSS))
            yield sleep(rtt // 4)

    lab.spawn(watch())
    lab.net.run(until=lab.net.now + seconds * S)
    # The recovery is over where the window is at its lowest for the last time.
    low = min(cwnd for _, cwnd in samples)
    start = max(time for time, cwnd in samples if cwnd == low and time < 3 * S)
    return [((time - start) / S, cwnd) for time, cwnd in samples if time >= start]


def window_at(congestion: str, seconds: float) -> float:
    """Return the window (segments) so long after the loss."""
    return next(cwnd for time, cwnd in after_a_loss(congestion) if time >= seconds)


@cache
def share(congestion: str, seconds: int = 4) -> float:
    """Lose every 100th segment before a link of 10 Mbit/s. Returns the share (%) of the data that the link could carry."""
    lab = network(BDP, congestion)
    lab.link.ab.drop_every(100, match=is_data)
    count, _ = flow(lab)
    lab.net.run(until=lab.net.now + 3 * S)
    before = count[0]
    lab.net.run(until=lab.net.now + seconds * S)
    return 100 * (count[0] - before) * 8 / seconds / (RATE * MSS / 1514)


K = (0.3 * 100 / 0.4) ** (1 / 3)  # seconds
MATHIS = 100 * (MSS * 8 / (R / S) * (1.5 * 100) ** 0.5) / (RATE * MSS / 1514)  # % of the link
VALUES = [
    LabValue("100", "Every 100th segment is lost: which share of the formula is the rate?", "0.75 to 1.05", 0.9, "", 0.15),
    LabValue("400", "Every 400th?", "0.85 to 1.05", 0.95, "", 0.1),
    LabValue("1600", "Every 1,600th?", "0.90 to 1.05", 0.975, "", 0.075),
    LabValue("faster", "How much faster is it at 400 than at 100, and at 1,600 than at 400?", "√4", [2.15, 2.15], "", 0.15),
    LabValue("42", "A queue of 42 packets: how long is the link busy?", "100 %", 100, "%", 1),
    LabValue("4", "A queue of 4 packets?", "75 % without a queue, so a little more", 79, "%", 3),
    LabValue("lowest", "CUBIC's window after the loss?", "0.7 * 100", 70, "segments", 2),
    LabValue("back", "CUBIC: when is the window back at 100, in the middle of its flat part?", "∛(0.3 W / 0.4)", K, "seconds", 0.1),
    LabValue("later", "CUBIC: which window after twice that time?", "W + 0.3 W", 130, "segments", 4),
    LabValue("fair", "Two senders with the same R: which index?", "1", 1, "", 0.05),
    LabValue("bbr", "BBR, and every 100th segment is lost: which share of the 10 Mbit/s does its data get?", "90 % to 100 %", 95, "%", 5),
    LabValue("unfair", "R and 2 R: how many times more does the first one get?", "2 to 4", 3, "times", 1),
]  # fmt: skip


def measure(name: str) -> Any:
    """Measure one of VALUES."""
    if name in ("100", "400", "1600"):
        return mathis(int(name))
    if name in ("42", "4"):
        return utilisation(int(name))[0]
    if name == "bbr":
        return share("bbr")
    if name == "faster":
        return [2 * mathis(400) / mathis(100), 2 * mathis(1600) / mathis(400)]
    if name in ("fair", "unfair"):
        x, y = two_flows(RATE, 0 if name == "fair" else 25 * MS)
        return jain(x, y) if name == "fair" else x / y
    if name == "back":
        # The curve is flat there, so its middle is between 99 and 101.
        return sum(next(time for time, cwnd in after_a_loss("cubic") if cwnd >= level) for level in (99, 101)) / 2
    return window_at("cubic", 0 if name == "lowest" else 2 * K)


CONTROLS = [
    LabControl(
        "No congestion control: a window of 1,000 segments, whatever happens",
        LabValue("fixed", "The share of the frames that is lost", "more than 20 %", 60, "%", 40),
    ),
    LabControl(
        "Reno instead of CUBIC",
        LabValue("reno", "The window 1 s and 5 s after the loss", "50 + 10, + 40", [60, 100], "segments", 3),
    ),
    LabControl(
        "Reno instead of BBR",
        LabValue("lossy", "The share of the 10 Mbit/s", "0.75 to 1.05 times MSS / R * √(1.5 * 100)", 0.9 * MATHIS, "%", 0.15 * MATHIS),
    ),
]  # fmt: skip


def control(name: str) -> Any:
    """Measure a control."""
    if name == "lossy":
        return share("reno")
    if name == "fixed":
        return utilisation(BDP, "fixed", 5)[1]
    return [window_at("reno", 1), window_at("reno", 5)]


LOOKS = [
    LabLook("CUBIC after a loss at a window of 100 segments", lambda: after_a_loss.__wrapped__("cubic", 400 * MS, 11), 'event.kind == "retransmit"', "cwnd", "a "),
]  # fmt: skip
