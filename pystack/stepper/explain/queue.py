"""Explains why a queue dropped or marked a packet."""

from pystack.stepper.explain.base import REACH, Explanation, Look, ms


def discipline(look: Look) -> Explanation:
    """Explain the decision of a queueing discipline."""
    fields = look.entry.fields
    name = fields.get("name", "")
    waiting = f"{fields['qlen']} packets with {fields['backlog']} bytes wait in front of the link"
    did = "dropped" if name else "marked"
    if "sojourn" in fields and "count" in fields:
        return Explanation(
            "bufferbloat",
            f"CoDel {did} the packet because it had waited for {ms(fields['sojourn'])}, and no packet of the last interval waited for "
            f"less than the target: the queue does not only hold a burst, it stands (RFC 8289 4.3). {waiting}.",
            f"It is number {fields['count']}. If the queue still stands, the next one is due {_due(fields['drop_next'] - look.entry.time)}: "
            "the interval divided by the square root of the number after this one was due (RFC 8289 5.6).",
            "The sender reduces its window, so the queue becomes shorter long before it is full.",
        )
    if name == "qdisc-overlimit":
        return Explanation(
            "bufferbloat",
            f"Bufferbloat: the queue is full, so the packet that arrived is dropped: {waiting}. TCP noticed nothing until now, because a "
            "queue delays packets and loses none (RFC 7567 2).",
            _round_trip(look),
        )
    return Explanation(
        "drop" if name else "told", f"{look.host} {did} it, because {look.named()}{look.section()}.", f"{waiting}."
    )


def _due(wait: int) -> str:
    """Say when CoDel drops or marks the next packet. It counts from the time at which one was due, and a packet may come later than that."""
    return f"{ms(wait)} later" if wait > 0 else "with the next packet"


def _round_trip(look: Look) -> str:
    """Compare the round trip now with the shortest one."""
    timeline = look.timeline
    near = range(look.index, max(look.index - REACH, -1), -1)
    samples = [timeline.events[index].fields["sample"] for index in near if timeline.kind(index) == "tcp.rtt"]
    if not samples:
        return ""
    return (
        f"The round trip was {ms(min(samples))} while the queue was empty. It is {ms(samples[0])} now, for each packet that "
        "shares the queue."
    )
