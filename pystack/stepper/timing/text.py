"""A critical path as text: a waterfall of bars, the sums, and the comparison of two paths."""

from collections.abc import Iterator

from pystack.stepper.timing.path import Path, Span
from pystack.visible import one_line

BAR = 32
EIGHTHS = " ▏▎▍▌▋▊▉█"
#: rows of the waterfall; shorter spans next to each other are drawn as one if there are more
ROWS = 60


def ms(time: int) -> str:
    """Return a time in ms, with all its digits: the sums must be exact."""
    whole, rest = divmod(abs(time), 1_000_000)
    digits = f"{rest:06d}".rstrip("0")
    return f"{'-' if time < 0 else ''}{whole}.{digits.ljust(3, '0')} ms"


def bar(begin: int, start: int, end: int, elapsed: int, width: int = BAR) -> str:
    """Return the bar of a span: where it lies in the whole, in eighths of a character."""
    left = (start - begin) * width * 8 // elapsed
    right = max(left + 1, -((begin - end) * width * 8 // elapsed))
    cells = []
    for cell in range(width):
        low, high = cell * 8, cell * 8 + 8
        filled = max(0, min(right, high) - max(left, low))
        cells.append(EIGHTHS[8] if filled == 8 else EIGHTHS[filled] if filled else " ")
    return "".join(cells)


def what(span: Span) -> str:
    """Return the cause and why, such as "delayed ACK (Nagle)", with all conditions that were satisfied together."""
    return f"{span.cause} ({' and '.join((span.why, *span.also))})" if span.why else span.cause


def rows(path: Path, most: int = ROWS) -> list[Span]:
    """Return the spans to draw: neighbours with the same cause and why are one row if there are more than `most`."""
    if len(path.spans) <= most:
        return path.spans
    found: list[Span] = []
    for span in path.spans:
        before = found[-1] if found else None
        if before is not None and (before.cause, before.why, before.also) == (span.cause, span.why, span.also):
            found[-1] = Span(
                before.start, span.end, span.cause, span.why, span.host, 0, span.event, before.text, also=span.also
            )
        else:
            found.append(span)
    return found


def waterfall(path: Path) -> Iterator[str]:
    """Yield the path, one line a span."""
    drawn = rows(path)
    shown = (
        drawn if len(drawn) <= ROWS else sorted(sorted(drawn, key=lambda s: -s.duration)[:ROWS], key=lambda s: s.start)
    )
    width = max(len(what(span)) for span in shown)
    for span in shown:
        frame = f"frame {span.frame}" if span.frame else span.host
        mark = " ~" if span.inferred else ""
        yield one_line(
            f"{ms(span.start - path.begin):>16} {ms(span.duration):>16} |{bar(path.begin, span.start, span.end, path.elapsed)}| "
            f"{what(span).ljust(width)}  {frame}{mark}"
        )
    if len(shown) < len(drawn):
        left = sum(span.duration for span in drawn) - sum(span.duration for span in shown)
        yield f"{'':16} {ms(left):>16} in {len(drawn) - len(shown)} shorter spans (--json has all of them)"


def sums(path: Path) -> Iterator[str]:
    """Yield what each cause took in all, and the sum, which is the elapsed time."""
    total = 0
    for (cause, why), time in path.totals().items():
        total += time
        name = f"{cause} ({why})" if why else cause
        yield f"{ms(time):>16} {100 * time / path.elapsed:5.1f} %  {name}"
    yield f"{ms(total):>16} 100.0 %  in all"


def changes(one: Path, two: Path) -> list[tuple[str, str, int, int]]:
    """Return (cause, why, time in the one path, in the other) for all that they have, the largest change first."""
    before, after = one.totals(), two.totals()
    found = [(*key, before.get(key, 0), after.get(key, 0)) for key in {**before, **after}]
    return sorted(found, key=lambda row: (-abs(row[3] - row[2]), row[0], row[1]))


def compared(one: Path, two: Path) -> Iterator[str]:
    """Yield which causes grew and which shrank from one path to another."""
    yield f"{'before':>16} {'after':>16} {'change':>16}"
    for cause, why, before, after in changes(one, two):
        name = f"{cause} ({why})" if why else cause
        yield f"{ms(before):>16} {ms(after):>16} {ms(after - before):>16}  {name}"
    yield f"{ms(one.elapsed):>16} {ms(two.elapsed):>16} {ms(two.elapsed - one.elapsed):>16}  in all"
