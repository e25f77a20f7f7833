"""The connections of a capture as a table, and its findings, in plain text."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pystack.stepper.capture.tcp import FINDINGS
from pystack.visible import one_line

if TYPE_CHECKING:
    from pystack.stepper.capture.timeline import CaptureTimeline


def conversations(timeline: "CaptureTimeline") -> Iterator[str]:
    """Yield a line for each connection: its ends, bytes and frames each way, duration, handshake, findings."""
    talks = timeline.conversations()
    yield f"{'':>4} {'client > server':43} {'bytes >':>10} {'bytes <':>10} {'frames':>7} {'begins':>11} {'lasts':>11} {'handshake':>10}"
    for talk in talks:
        ends = f"{talk.client} > {talk.server}"
        hand = f"{talk.handshake / 1e6:.3f} ms" if talk.handshake >= 0 else "not seen"
        yield one_line(
            f"{talk.number:>4} {ends:43} {talk.bytes[0]:>10} {talk.bytes[1]:>10} {sum(talk.frames):>7} "
            f"{(talk.start - timeline.start) / 1e9:>9.6f} s {talk.duration / 1e9:>9.6f} s {hand:>10}"
        )
        found = ", ".join(f"{FINDINGS[name]} {count}" for name, count in talk.counts.items())
        if found:
            yield f"     {found}"
    if not talks:
        yield "     no TCP connection in it"
