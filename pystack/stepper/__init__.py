"""Stepping through a recording: a timeline of every decision, a cursor over it, expressions, scenarios, what-if.

from pystack.stepper import Cursor, Timeline, scenarios

timeline = scenarios.get("loss-fast-retransmit").timeline()      # or Timeline.load("run.pytrace")
cursor = Cursor(timeline)
cursor.add_break('event.kind == "retransmit"')
cursor.run()
print(cursor.entry.reason, cursor.diff())
"""

from pystack.stepper.capture import CaptureTimeline
from pystack.stepper.cursor import Cursor
from pystack.stepper.timeline import Timeline

# Timeline.load makes a CaptureTimeline of a capture. It is set here, because its module imports that of Timeline.
Timeline.of_capture = CaptureTimeline

__all__ = ["Cursor", "Timeline"]
