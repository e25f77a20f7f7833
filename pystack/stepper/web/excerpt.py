"""Some frames of a long recording as a page: the same data as of a whole one, but only from one frame to another.

The data is numbered from 0 again, because the page asks for it in chunks. `firstEvent` and `firstFrame` in the overview
say what to add, so that the page shows the numbers of the recording.
"""

from bisect import bisect_left
from typing import TYPE_CHECKING, Any

from pystack.stepper.web.data import EVENT_CHUNK, FRAME_CHUNK, Trace

if TYPE_CHECKING:
    from pystack.stepper.scenarios import Scenario
    from pystack.stepper.timeline import Timeline


def parse(text: str, most: int) -> tuple[int, int]:
    """Return the first and the last frame of "A-B". ValueError says what is wrong with the text."""
    first, dash, last = text.partition("-")
    if not (dash and first.isdecimal() and last.isdecimal() and len(first) < 12 and len(last) < 12):
        raise ValueError(f"{text!r} is not a range of frames such as 100-200")
    if not 1 <= int(first) <= min(int(last), most):
        raise ValueError(f"frames {text}: there are frames 1-{most}")
    return int(first), min(int(last), most)


class Excerpt(Trace):
    """The part of a trace from the departure of frame `first` until frame `last` has arrived, with all that it caused.

    Frames that leave meanwhile are in it, too.
    """

    def __init__(self, timeline: "Timeline", scenario: "Scenario | None", first: int, last: int):
        super().__init__(timeline, scenario)
        frames = timeline.frames
        self.first_frame = first - 1
        # with everything since the frame before it left
        self.first_event = frames[first - 2].event + 1 if first > 1 else 0
        end = 0
        for index in range(first - 1, last):
            frame = frames[index]
            effects = timeline.effects(frame.arrived)
            end = max(end, frame.event, frame.arrived, effects[-1] if effects else -1)
        self.end_event = end + 1
        self.end_frame = last
        while self.end_frame < len(frames) and frames[self.end_frame].event < self.end_event:
            self.end_frame += 1

    @property
    def count(self) -> int:
        """The number of events."""
        return self.end_event - self.first_event

    def _event(self, index: int) -> int:
        """Return the place of an event here, or -1."""
        return index - self.first_event if self.first_event <= index < self.end_event else -1

    def _frame(self, index: int) -> int:
        return index - self.first_frame if self.first_frame <= index < self.end_frame else -1

    def bounds(self) -> tuple[int, int]:
        """Return the first event and the one after the last."""
        return self.first_event, self.end_event

    def sizes(self) -> tuple[int, int]:
        """Return how many events and frames there are."""
        return self.count, self.end_frame - self.first_frame

    def frame_range(self) -> tuple[int, int]:
        """Return the first frame and the one after the last."""
        return self.first_frame, self.end_frame

    def events(self, number: int) -> dict[str, Any]:
        """Return a chunk of events."""
        first = self.first_event + number * EVENT_CHUNK
        found = self.events_between(first, min(first + EVENT_CHUNK, self.end_event))
        for entry in found["events"]:
            entry["index"] = self._event(entry["index"])
            entry["frame"] = self._frame(entry["frame"])
        found["first"] = number * EVENT_CHUNK
        return found

    def frames(self, number: int) -> list[dict[str, Any]]:
        """Return a chunk of frames."""
        first = self.first_frame + number * FRAME_CHUNK
        found = self.frames_between(first, min(first + FRAME_CHUNK, self.end_frame))
        for frame in found:
            frame["index"] = self._frame(frame["index"])
            frame["event"], frame["arrived"] = self._event(frame["event"]), self._event(frame["arrived"])
        return found

    def why(self, index: int) -> str:
        """Explain in sentences why an event happened."""
        return super().why(index + self.first_event)

    # -- the overview and the plots --------------------------------------------------------------------------------------

    def _make_overview(self) -> dict[str, Any]:
        found = super()._make_overview()
        timeline = self.timeline
        events, frames = self.sizes()
        kinds: dict[str, int] = {}
        for index in range(self.first_event, self.end_event):
            kind = timeline.kind(index)
            kinds[kind] = kinds.get(kind, 0) + 1
        places = range(self.first_event, self.end_event, EVENT_CHUNK)
        return {
            **found,
            "answers": [self._event(index) for index in found["answers"] if self._event(index) >= 0],
            "part": True,
            "note": f"frames {self.first_frame + 1}-{self.end_frame}",
            "events": events,
            "frames": frames,
            "firstEvent": self.first_event,
            "firstFrame": self.first_frame,
            "chunkTimes": [timeline.events[index].time for index in places],
            "kinds": {kind: {**found["kinds"][kind], "count": count} for kind, count in kinds.items()},
            # The earlier ones, too, because the diagram shows how the connection came to its state.
            "stateChanges": [
                [max(event - self.first_event, -1), *rest]
                for event, *rest in found["stateChanges"]
                if event < self.end_event
            ],
            "ladder": self._ladder(found["ladder"]),
        }

    def _ladder(self, whole: dict[str, Any]) -> dict[str, Any]:
        rows = bisect_left(whole["events"], self.first_event), bisect_left(whole["events"], self.end_event)
        frames = slice(self.first_frame, self.end_frame)

        def row(place: int) -> int:
            return place - rows[0] if rows[0] <= place < rows[1] else -1

        return {
            **whole,
            "times": whole["times"][rows[0] : rows[1]],
            "events": [self._event(event) for event in whole["events"][rows[0] : rows[1]]],
            "gaps": [0, *whole["gaps"][rows[0] + 1 : rows[1]]],
            "departs": [row(place) for place in whole["departs"][frames]],
            "arrives": [row(place) for place in whole["arrives"][frames]],
            "marks": [[self._event(event), *rest] for event, *rest in whole["marks"] if self._event(event) >= 0],
            **{name: whole[name][frames] for name in ("sender", "receiver", "fates", "flows")},
        }

    def _make_plots(self, key: str) -> dict[str, Any]:
        found = super()._make_plots(key)
        timeline = self.timeline
        begin = timeline.events[self.first_event].time - timeline.start
        end = timeline.events[self.end_event - 1].time - timeline.start
        return {
            "key": key,
            "segments": self._columns(found["segments"]),
            "sacks": self._columns(found["sacks"]),
            "samples": self._columns(found["samples"]),
            "acked": _between(found["acked"], begin, end),
            "edge": _between(found["edge"], begin, end),
            "lines": {name: _between(line, begin, end) for name, line in found["lines"].items()},
        }

    def _columns(self, columns: dict[str, list[Any]]) -> dict[str, list[Any]]:
        kept = [place for place, event in enumerate(columns["event"]) if self._event(event) >= 0]
        found = {name: [column[place] for place in kept] for name, column in columns.items()}
        found["event"] = [self._event(event) for event in found["event"]]
        return found


def _between(line: list[list[Any]], begin: int, end: int) -> list[list[Any]]:
    """Return the part of a line between two times. It begins with the value that is in force then."""
    times, values = line
    first = bisect_left(times, begin)
    last = bisect_left(times, end + 1)
    if first > 0 and (first == len(times) or times[first] > begin):
        return [[begin, *times[first:last]], [values[first - 1], *values[first:last]]]
    return [list(times[first:last]), list(values[first:last])]
