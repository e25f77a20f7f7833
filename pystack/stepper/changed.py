"""Where a value came from: the last event that changed a field of a connection."""

from typing import TYPE_CHECKING

from pystack.stepper import snapshot

if TYPE_CHECKING:
    from pystack.stepper.timeline import Timeline


def last_change(timeline: "Timeline", index: int, key: str, field: str) -> int:
    """Return the last event up to `index` that changed this field of the connection, or -1.

    If event `index` itself changed it, it is the change before, so that repeated calls go further back. LookupError if
    there is no such connection or field.
    """
    number = timeline.number_of(key)
    if number is None or field not in snapshot.FIELDS:
        raise LookupError(f"no field {field!r} of {key!r}")
    place = snapshot.FIELDS.index(field)
    for at in range(index, -1, -1):
        for other, delta in timeline.states.deltas[at]:
            if other != number or delta is None:
                continue
            fresh, changes = delta
            if (fresh or place in changes[::2]) and at != index:
                return at
    return -1
