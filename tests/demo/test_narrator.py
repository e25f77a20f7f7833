"""The narrator: what it shows of many frames, and that nothing it leaves out is uncounted."""

import io

from pystack.style import Style
from pystack.trace.annotate import IN, OUT, DroppedFrame, FrameRecord
from pystack.trace.narrator import HEAD, TAIL, Narrator, amount


def record(number: int, direction: str = IN, reason: str = "", drop: str = "") -> FrameRecord:
    made = FrameRecord(number * 1_000_000, "h", "tap0", direction, bytes(100), 0, f"frame {number}")
    if reason:
        made.reasons.append(reason)
    if drop:
        made.drops.append(DroppedFrame(drop, "why", "RFC 0"))
    return made


def narrate(records: list[FrameRecord], **options: bool) -> tuple[list[str], Narrator]:
    out = io.StringIO()
    narrator = Narrator(Style(color=False, stream=out), **options)
    narrator.step("step")
    for one in records:
        narrator.frame(one)
    narrator.settle()
    narrator.close()
    return out.getvalue().splitlines()[2:], narrator


def test_few_frames_are_all_shown():
    lines, narrator = narrate([record(i) for i in range(HEAD)])
    assert [line.split("frame ")[1] for line in lines] == [str(i) for i in range(HEAD)]
    assert narrator.step_tally.frames_in == HEAD


def test_many_frames_show_head_count_and_tail():
    total = 1000
    lines, narrator = narrate([record(i, IN if i % 2 else OUT) for i in range(total)])
    assert len(lines) == HEAD + 1 + TAIL
    hidden = total - HEAD - TAIL
    assert f"... {hidden} more: {hidden // 2} in ({amount(hidden // 2 * 100)})" in lines[HEAD]
    assert lines[-1].endswith(f"frame {total - 1}")
    assert (narrator.step_tally.frames_in, narrator.step_tally.frames_out) == (total // 2, total // 2)
    assert narrator.total.bytes_in == total // 2 * 100


def test_all_frames_shows_all():
    lines, _ = narrate([record(i) for i in range(500)], everything=True)
    assert len(lines) == 500


def test_quiet_shows_none_but_counts():
    lines, narrator = narrate([record(i) for i in range(500)], quiet=True)
    assert lines == [] and narrator.total.frames_in == 500


def test_a_drop_among_many_is_shown():
    records = [record(i) for i in range(200)]
    records[100] = record(100, drop="tcp-bad-checksum")
    lines, narrator = narrate(records)
    (shown,) = [line for line in lines if "DROPPED" in line]
    assert "frame 100" in shown and "DROPPED tcp-bad-checksum: why [RFC 0]" in shown
    assert narrator.step_tally.drops == 1
    assert sum(int(line.split("... ")[1].split(" more")[0]) for line in lines if " more: " in line) + len(
        [line for line in lines if "frame " in line]
    ) == len(records)


def test_lines_wrap_at_the_terminals_width(monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    lines, _ = narrate([record(1, reason="word " * 30)])
    assert len(lines) > 2 and all(len(line) <= 60 for line in lines)
    monkeypatch.delenv("COLUMNS")
    lines, _ = narrate([record(1, reason="word " * 30)])
    assert len(lines) == 1


def test_amount():
    assert [amount(n) for n in (0, 999, 1000, 10_000_000, 5e9)] == ["0 B", "999 B", "1.0 KB", "10.0 MB", "5.0 GB"]
