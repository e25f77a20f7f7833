"""The scale of the terminal's ladder: how long a line is, and how many lines a wait has."""

from statistics import median

from pystack.stepper.timeline import Timeline

#: a wait of more lines than this is broken off, so that a few frames always fit on the screen
MOST = 8
#: the usual flight of a frame has at most so many lines
FLIGHT = 5
#: so many lines a frame has on average, at most
ROOM = 3


def line_time(timeline: Timeline) -> int:
    """Return the time of one line in ns, a round number, or 0 if all frames left at the same time.

    Of 1, 2, 5, 10, ... it is the smallest with which the ladder does not get much longer than with a line for each frame.
    """
    frames = timeline.frames
    times = [frame.time for frame in frames]
    steps = [later - earlier for earlier, later in zip(times, times[1:]) if later > earlier]
    if not steps:
        return 0
    flights = [
        frame.arrival - frame.time for frame in frames if frame.arrival is not None and frame.arrival > frame.time
    ]
    shortest = median(flights) / FLIGHT if flights else 0
    units = [one * 10**power for power in range(13) for one in (1, 2, 5)]
    low, high = 0, len(units) - 1
    while low < high:
        middle = (low + high) // 2
        unit = units[middle]
        if unit >= shortest and sum(min(step / unit, MOST) for step in steps) <= ROOM * len(frames):
            high = middle
        else:
            low = middle + 1
    return units[low]


def distance(wait: int, unit: int) -> int:
    """Return how many lines after the row before it a row is, or 0 if the wait is broken off."""
    found = max(1, (wait + unit // 2) // unit)
    return found if found <= MOST else 0
