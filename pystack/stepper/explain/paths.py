"""Explains routes, errors that a socket gets from the network, and TCP's own search for the path MTU."""

import errno
import os

from pystack.stepper.explain.base import Explanation, Look, number
from pystack.stepper.records import Frame
from pystack.trace import headers
from pystack_c.base.address import addr_text


def route(look: Look) -> Explanation:
    """Explain which route was chosen."""
    fields, host = look.entry.fields, look.host
    dst = addr_text(fields["dst"])
    if fields["prefixlen"] < 0:
        return Explanation("routing", f"The route of {host} to {dst}: {look.named()}{look.section()}.")
    gateway = (
        f"to the router {addr_text(fields['gateway'])}"
        if fields["gateway"]
        else "directly, because the destination is on that link"
    )
    which = (
        "the default route, which matches everything"
        if not fields["prefixlen"]
        else f"a prefix of {fields['prefixlen']} bits"
    )
    return Explanation(
        "routing",
        f"Routing: of all routes that match {dst}, {host} takes the one with the longest prefix, which is {which} here ({look.entry.rfc}). "
        f"The packet leaves by {fields['iface']}, {gateway}.",
        ""
        if not fields["gateway"]
        else "Only the MAC address of the frame is the router's. The IP header keeps the destination.",
    )


def expired(look: Look) -> Explanation:
    """Explain a packet whose TTL is used up on a router."""
    hops = _hops(look)
    before = f" Routers had forwarded this packet {hops} times." if hops > 1 else ""
    return Explanation(
        "routing",
        f"The TTL of the packet has reached 0 on {look.host}, which drops it (counter forward-ttl) and reports this to the sender "
        f"(RFC 1812 5.3.1). Each router makes the TTL one less, so a packet that goes round in circles does not do so for ever.{before}",
    )


def _hops(look: Look) -> int:
    """Return how often routers forwarded the packet that this event drops: the packet with its addresses and identification."""
    events, frames = look.timeline.events, look.timeline.frames
    cause = look.cause()
    if cause is None or cause.frame < 0:
        return 0
    same = _identity(frames[cause.frame])
    hops = 0
    for index in range(cause.index - 1, max(cause.index - 20_000, -1), -1):
        if look.timeline.kind(index) == "frame.in" and events[index].frame != cause.frame:
            hops += _identity(frames[events[index].frame]) == same
    return hops


def _identity(frame: Frame) -> "tuple[bytes, bytes, int, int] | None":
    """Return what is the same in a packet on all links: its addresses, its identification and its place in a datagram."""
    found = headers.find(frame.data, frame.link, frame.length)
    return None if found is None else (found.source, found.target, found.ident, found.offset)


def error(look: Look) -> Explanation:
    """Explain an error that the network reported to a socket."""
    code = int(look.entry.fields["error"])
    name = errno.errorcode.get(code, str(code))
    cause = look.cause()
    told = number(look.frame(cause)) if cause is not None and cause.kind == "frame.in" else "a timer"
    later = (
        "the next call on the socket fails with it"
        if not look.entry.subject.startswith("tcp")
        else "the connection keeps it, and fails with it if it ends"
    )
    return Explanation(
        "icmp",
        f"{told[:1].upper()}{told[1:]} is an ICMP error about a packet that this socket of {look.host} sent earlier. Its error is {name} ({os.strerror(code)}): "
        f"{later} ({look.entry.rfc}).",
        f"The send itself had succeeded, because {look.host} learns about the error only when the message arrives.",
    )


def mtu(look: Look) -> Explanation:
    """Explain a step of TCP's own search for the path MTU."""
    fields = look.entry.fields
    action, size = fields["action"], fields["size"]
    text = f"Search for the path MTU ({action}, {size} bytes): {look.named()}{look.section()}."
    if action == "search" and "retransmissions" in look.entry.reason:
        text = (
            f"Black hole: the retransmission timer expired {look.tcb.get('retries', 0)} times in a row, and no router reported anything. "
            f"So {look.host} suspects that the path swallows large packets, and goes on with packets of {size} bytes (RFC 4821 7.7)."
        )
    return Explanation("pmtud", text)


def full_queue(look: Look) -> Explanation:
    """Explain a SYN or an ACK that a listener dropped because its accept queue is full."""
    return Explanation(
        "backlog",
        f"Backlog: the connections that are complete wait in the listener's queue until the program on {look.host} accepts them, and this queue is full, because "
        f"the program does not call accept(). So {look.host} drops the segment (counter {look.entry.fields['name']}, Linux listen(2)).",
        "The client is not told. It takes its SYN for lost, and retransmits it after a second, then after two more, and so on (RFC 6298 5.5). "
        "Until then, it waits, even if the queue has room again.",
    )
