"""The page that tools.networks writes: its tables, and why figures on clean paths are low."""

from tools.networks_paths import ALGORITHMS, LONG, MS, SHORT, US, Case, Result, S, jain

LOW = 0.9


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
