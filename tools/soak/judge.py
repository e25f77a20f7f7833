"""What flat means: the samples of a soak, and the rules that judge them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import mean, median

# Latencies are not judged below this many seconds under load. There are too few of them then, and other programs
# influence them too much.
JUDGE_LATENCY = 600.0


@dataclass
class Sample:
    """One sample of the stack's process.

    memory        its resident bytes
    blocks        small objects that Python has allocated, after a collection
    descriptors   open files
    threads       Python's threads
    endpoints     sockets and connections in the core
    timers        timers in the core that are set
    latency       kind of exchange -> median, 99th percentile and maximum, in milliseconds
    """

    at: float
    memory: int
    blocks: int
    descriptors: int
    threads: int
    endpoints: int
    timers: int
    latency: dict[str, list[float]] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)


def at_rest(before: Sample, after: Sample, connections: int) -> list[str]:
    """Compare two samples without load, with this many connections between them."""
    wrong = []
    for name in ("descriptors", "threads", "endpoints"):
        old, new = getattr(before, name), getattr(after, name)
        if new > old:
            wrong.append(f"{name} at rest: {old} before, {new} after {connections} connections")
    # A timer of ARP may be set or not.
    if after.timers > before.timers + 1:
        wrong.append(f"timers at rest: {before.timers} before, {after.timers} after {connections} connections")
    # Less than one object for ten connections is allowed: caches and free lists fill up, but not with every connection.
    if after.blocks > before.blocks + 2000 + connections // 10:
        wrong.append(f"objects at rest: {before.blocks} before, {after.blocks} after {connections} connections")
    if after.memory > before.memory * 1.1 + (8 << 20):
        wrong.append(f"memory at rest: {before.memory >> 10} KB before, {after.memory >> 10} KB after")
    return wrong


def quarters(values: list[float], middle: Callable[[list[float]], float] = median) -> tuple[float, float]:
    """Return the medians (or another `middle`) of the second quarter and of the last."""
    quarter = max(1, len(values) // 4)
    return middle(values[quarter : 2 * quarter] or values), middle(values[-quarter:])


def under_load(samples: list[Sample]) -> list[str]:
    """Compare the last quarter of the samples with the second one, because the first may still be filling pools."""
    if len(samples) < 8:
        return [f"{len(samples)} samples are too few to judge by"]
    wrong = []
    for name, unit, share, floor in (
        ("memory", 10, 1.1, 8 << 20),
        ("blocks", 0, 1.1, 20000),
        ("descriptors", 0, 1.25, 8),
        ("threads", 0, 1.25, 8),
        ("endpoints", 0, 1.25, 32),
        ("timers", 0, 1.25, 32),
    ):
        old, new = quarters([float(getattr(sample, name)) for sample in samples])
        if new > old * share + floor:
            what = {"memory": "memory (KB)", "blocks": "objects"}.get(name, name)
            wrong.append(f"{what} under load: {int(old) >> unit} in the second quarter, {int(new) >> unit} in the last")
    if samples[-1].at - samples[0].at < JUDGE_LATENCY:
        return wrong
    for kind in sorted(samples[0].latency):
        told = [sample.latency[kind] for sample in samples if kind in sample.latency]
        # One handshake in a hundred loses a SYN and waits a second for its timer, so it is chance whether the 99th percentile of a minute
        # is 0.2 s or 1 s. The median of such values jumps from one to the other, and their mean does not.
        for index, name, factor, extra, middle in (
            (0, "median", 2.0, 5.0, median),
            (1, "99th percentile", 3.0, 250.0, mean),
        ):
            old, new = quarters([each[index] for each in told], middle)
            if new > old * factor + extra:
                wrong.append(f"{kind}, {name}: {old:.1f} ms in the second quarter, {new:.1f} ms in the last")
    return wrong
