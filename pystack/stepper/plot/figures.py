"""The plots as files, drawn with matplotlib (extra `plot`), in sizes that suit a lecture."""

import io
from typing import TYPE_CHECKING, Any, BinaryIO

from pystack import charts
from pystack.stepper.plot import arrows, data, waterfall
from pystack.visible import one_line

if TYPE_CHECKING:
    from pystack.stepper.timeline import Timeline

#: name -> what it shows
KINDS = {
    "sequence": "time-sequence graph: segments, retransmissions, acknowledgements, the window's edge, SACK",
    "cwnd": "congestion window, slow-start threshold, bytes in flight, the peer's window",
    "rtt": "measured round trips, SRTT and the retransmission timeout",
    "throughput": "bytes sent, retransmitted and acknowledged per second",
    "ladder": "the frames between the hosts as arrows in order of time",
    "waterfall": "where the time of a request went, span by span (`pystack time`)",
}
BLUE, ORANGE, GREEN, RED, PURPLE, SKY, GREY = charts.COLORS
STYLE: dict[Any, Any] = {"font.size": 11, **charts.STYLE}
#: how many frames a ladder shows unless a range is given; more do not fit on a page
LADDER_FRAMES = 30
UNLIMITED = 1 << 30
#: if there are more retransmissions than this, only their colour marks them
MOST_LETTERS = 300


def draw(
    timeline: "Timeline",
    kind: str,
    path: "str | BinaryIO",
    *,
    connection: str | None = None,
    frames: str = "",
    to_scale: bool = False,
) -> None:
    """Draw one plot into a .png, .svg or .pdf file, or as SVG into an open file. `frames` and `to_scale` are for a ladder.

    ValueError says in one line what is wrong.
    """
    import matplotlib

    matplotlib.use("Agg", force=False)
    from matplotlib.figure import Figure

    if timeline.inferred and kind == "cwnd":
        raise timeline.beyond(f"a plot of this kind ({kind})")
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(10, 5.6), layout="constrained")
        if kind == "ladder":
            arrows.draw(figure, timeline, *frame_range(timeline, frames), to_scale)
        elif kind == "waterfall":
            waterfall.draw(figure, timeline, connection or "")
        else:
            key = data.find_connection(timeline, connection)
            axes = figure.add_subplot()
            _PLOTS[kind](axes, timeline, key)
            axes.set_title(one_line(f"{timeline.name}: {key}"), loc="left", fontsize=11)
        # The file holds no date, so the same run gives the same file.
        svg = not isinstance(path, str) or path.endswith(".svg")
        figure.savefig(path, metadata={"Date": None} if svg else None, format="svg" if svg else None)


def svg(timeline: "Timeline", kind: str, **options: Any) -> str:
    """Return a plot as the text of an SVG file. The options and errors are those of `draw`."""
    out = io.BytesIO()
    draw(timeline, kind, out, **options)
    return out.getvalue().decode()


def frame_range(timeline: "Timeline", text: str) -> tuple[int, int]:
    """Return frame numbers "10-40" as indices (from, up to); without a text, the first frames.

    A range that goes beyond the last frame ends there.
    """
    count = len(timeline.frames)
    if not text:
        return 0, min(count, LADDER_FRAMES)
    first, _, last = text.partition("-")
    try:
        low, high = int(first), int(last or first)
    except ValueError:
        raise ValueError(f"frames {text!r} is not a range such as 10-40") from None
    if not (1 <= low <= high and low <= count):
        raise ValueError(f"frames {text}: there are 1-{count}")
    return low - 1, min(high, count)


def _seconds(times: list[int]) -> list[float]:
    return [time / 1e9 for time in times]


def _legend(axes: Any) -> None:
    """Put the legend below the plot, where it hides nothing."""
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=3, fontsize=10)


def _stairs(axes: Any, line: data.StepLine, end: int, scale: float, **style: Any) -> None:
    """Draw a quantity that holds its value until the next change, up to `end`."""
    if line.times:
        times = _seconds([*line.times, max(end, line.times[-1])])
        values = [value / scale for value in (*line.values, line.values[-1])]
        axes.step(times, values, where="post", **style)


def _sequence(axes: Any, timeline: "Timeline", key: str) -> None:
    seq = data.sequence(timeline, key)
    if not seq.segments:
        raise ValueError(f"{key} sent no segment that uses sequence numbers")
    end = max([seq.segments[-1].time, *seq.acked.times[-1:]])
    _stairs(axes, seq.edge, end, 1000, color=ORANGE, lw=1.2, label="window's edge (SND.UNA + SND.WND)")
    _stairs(axes, seq.acked, end, 1000, color=GREEN, lw=1.4, label="acknowledged (SND.UNA)")
    look = {
        data.DATA: (BLUE, "segment"),
        data.SYN_FIN: (BLUE, None),
        data.RETRANSMISSION: (RED, "retransmission"),
    }
    for kind, (colour, label) in look.items():
        chosen = [s for s in seq.segments if s.kind == kind]
        if chosen:
            low, high = [s.low / 1000 for s in chosen], [s.high / 1000 for s in chosen]
            width = 3.4 if kind == data.RETRANSMISSION else 2.4
            axes.vlines(_seconds([s.time for s in chosen]), low, high, colors=colour, lw=width, label=label, zorder=3)
        if kind == data.RETRANSMISSION:
            for s in chosen[:MOST_LETTERS]:
                place = (s.time / 1e9, s.high / 1000)
                axes.annotate("R", place, (0, 2), textcoords="offset points", ha="center", color=RED, fontweight="bold")
    lost = [s for s in seq.segments if s.lost]
    if lost:
        middle = [(s.low + s.high) / 2000 for s in lost]
        axes.plot(_seconds([s.time for s in lost]), middle, "x", color="black", ms=8, mew=2, label="lost", zorder=4)
    if seq.sacks:
        times = _seconds([s[0] for s in seq.sacks])
        axes.vlines(times, [s[1] / 1000 for s in seq.sacks], [s[2] / 1000 for s in seq.sacks], colors=PURPLE, lw=1.6,
                    label="SACK block", zorder=2)  # fmt: skip
    # The edge is often far above everything that is sent, so it may leave the picture.
    top = max(s.high for s in seq.segments) / 1000
    axes.set_ylim(-0.03 * top, top * 1.12)
    axes.set_xlabel("time in s")
    axes.set_ylabel("sequence number - ISS, in kB")
    _legend(axes)


def _cwnd(axes: Any, timeline: "Timeline", key: str) -> None:
    seq = data.sequence(timeline, key)
    end = max([s.time for s in seq.segments] + seq.acked.times[-1:] + [0])
    lines = {name: data.steps(timeline, key, name) for name in ("in_flight", "cwnd", "ssthresh", "snd_wnd")}
    if not lines["cwnd"].times:
        raise ValueError(f"{key}: no congestion window in it")
    # Before the first loss, ssthresh is "as high as possible" (RFC 5681 3.1), so it would only distort the axis.
    ssthresh = lines["ssthresh"]
    known = [(time, value) for time, value in zip(ssthresh.times, ssthresh.values) if value < UNLIMITED]
    lines["ssthresh"] = data.StepLine([time for time, _ in known], [value for _, value in known])
    flight = lines["in_flight"]
    if flight.times:
        times = _seconds([*flight.times, max(end, flight.times[-1])])
        values = [value / 1000 for value in (*flight.values, flight.values[-1])]
        axes.fill_between(times, values, step="post", color=SKY, alpha=0.35, lw=0, label="in flight")
    _stairs(axes, lines["snd_wnd"], end, 1000, color=ORANGE, lw=1.1, label="peer's window (SND.WND)")
    _stairs(axes, lines["ssthresh"], end, 1000, color=RED, lw=1.4, ls="--", label="ssthresh")
    _stairs(axes, lines["cwnd"], end, 1000, color=BLUE, lw=2, label="cwnd")
    resent = [s.time for s in seq.segments if s.kind == data.RETRANSMISSION]
    if resent:
        heights = [lines["cwnd"].at(time) / 1000 for time in resent]
        axes.plot(_seconds(resent), heights, "v", color=RED, ms=7, label="retransmission", zorder=4)
    top = max(lines["cwnd"].values + lines["ssthresh"].values + lines["in_flight"].values) / 1000
    axes.set_ylim(0, top * 1.12 or 1)
    axes.set_xlabel("time in s")
    axes.set_ylabel("kB")
    _legend(axes)


def _rtt(axes: Any, timeline: "Timeline", key: str) -> None:
    rtt = data.rtt(timeline, key)
    if not rtt.samples:
        raise ValueError(f"{key} measured no round trip")
    end = max([rtt.samples[-1][0], *rtt.rto.times[-1:], *(time for time, _ in rtt.backoffs)])
    _stairs(axes, rtt.rto, end, 1e6, color=RED, lw=1.4, label="RTO")
    known = data.StepLine([t for t, v in zip(*rtt.srtt) if v > 0], [v for v in rtt.srtt.values if v > 0])
    _stairs(axes, known, end, 1e6, color=BLUE, lw=1.8, label="SRTT")
    axes.plot(_seconds([s[0] for s in rtt.samples]), [s[1] / 1e6 for s in rtt.samples], ".", color=GREEN, ms=7,
              label="sample", zorder=3)  # fmt: skip
    if rtt.backoffs:
        times, values = zip(*rtt.backoffs)
        axes.plot(_seconds(list(times)), [value / 1e6 for value in values], "^", color=RED, ms=7, label="back-off",
                  zorder=4)  # fmt: skip
    # The RTO before the first sample is a constant (RFC 6298 2.1), far above the other values, so it may leave the
    # picture.
    first = rtt.samples[0][0]
    tops = [s[1] for s in rtt.samples] + [value for time, value in zip(*rtt.rto) if time >= first]
    axes.set_ylim(0, max(*tops, 1) / 1e6 * 1.12)
    axes.set_xlabel("time in s")
    axes.set_ylabel("ms")
    _legend(axes)


def _throughput(axes: Any, timeline: "Timeline", key: str) -> None:
    flow = data.throughput(timeline, key)
    if not flow.times:
        raise ValueError(f"{key} sent nothing")
    scale = flow.width / 8000  # bytes per slot of nanoseconds -> Mbit/s
    times = [time / 1e9 for time in flow.times]
    width = flow.width / 1e9
    first = [value / scale for value in flow.first]
    axes.bar(times, first, width, align="edge", color=SKY, alpha=0.7, label="sent for the first time")
    if any(flow.again):
        again = [value / scale for value in flow.again]
        axes.bar(times, again, width, bottom=first, align="edge", color=RED, label="retransmitted")
    acked = [value / scale for value in flow.acked]
    axes.step([*times, times[-1] + width], [*acked, acked[-1]], where="post", color=GREEN, lw=1.8, label="acknowledged")
    axes.set_xlabel(f"time in s, slots of {flow.width / 1e6:.3g} ms")
    axes.set_ylabel("Mbit/s")
    _legend(axes)


_PLOTS = {"sequence": _sequence, "cwnd": _cwnd, "rtt": _rtt, "throughput": _throughput}
