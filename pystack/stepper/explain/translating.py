"""Explanations of address translation."""

from typing import Any

from pystack.stepper.explain import below
from pystack.stepper.explain.base import Explanation, Look
from pystack.stepper.records import Frame
from pystack.stepper.timeline import Timeline


def bound(look: Look) -> Explanation:
    """Explain the translation that was chosen for a new connection."""
    fields, host = look.entry.fields, look.host
    proto, _, ends = look.entry.subject.removeprefix("ct ").partition(" ")
    client, server, new, verb = _ends(proto, ends, fields)
    rule = "a rule" if "rule" in look.entry.reason else "the need for a unique answer"
    if fields["kind"] == "dnat":
        return Explanation(
            "translation",
            f"Address translation: {client} {verb} {server}, an address of {host} or beyond it, and {rule} changes the "
            f"destination to {new} (RFC 3022 2.2).",
            f"{host} remembers that in its table of connections, so later packets of the connection need no rule. The source of the answers "
            f"becomes {server} again, which the client expects.",
            f"The source stays as it is, so the server at {new} sees the client's address.",
        )
    return Explanation(
        "translation",
        f"Address translation: {client} {verb} {server}, and {rule} of {host} changes the source to {new} (RFC 3022 2.2), because "
        f"answers could not find the way to {client}.",
        f"{host} remembers that in its table of connections. Answers to {new} get the destination {client} again.",
    )


def _ends(proto: str, ends: str, fields: dict[str, Any]) -> tuple[str, str, str, str]:
    """Return the client, the server and the new end as text, and what the client does. ICMP has an identifier in place of ports."""
    client, _, server = ends.partition("-")
    server, _, ident = server.partition(" id ")
    if ident:
        return client, server, str(fields["addr"]), f"sends an ICMP query (identifier {ident}) to"
    if not fields["port"]:
        return client, server, str(fields["addr"]), "sends packets to"
    verb = "opens a connection to" if proto == "tcp" else "sends a datagram to"
    return client, server, f"{fields['addr']}:{fields['port']}", verb


def packet(look: Look) -> Explanation:
    """Explain the translation of one packet."""
    fields = look.entry.fields
    old, new = f"{fields['old']}:{fields['old_port']}", f"{fields['new']}:{fields['new_port']}"
    if fields["old_port"] == fields["new_port"]:
        old, new = str(fields["old"]), str(fields["new"])
    return Explanation(
        "translation",
        f"Address translation: {look.host} has this connection in its table, so the {fields['what']} {old} becomes {new}, and the checksums "
        "change with it (RFC 3022 4.2).",
    )


#: how many events before a frame are searched for its translation
REACH = 60


def changes(timeline: Timeline, frame: Frame) -> list[str]:
    """Say how a host translated the packet of a frame before it sent it; [] if it did not."""
    found: list[str] = []
    for index in range(frame.event - 1, max(frame.event - REACH, -1), -1):
        entry = timeline.events[index]
        if entry.host != frame.host:
            continue
        if entry.kind in ("frame.in", "timer.fired", "call"):
            break
        if entry.kind == "frame.out":
            break
        if entry.kind == "balance.choose":
            found.append(below.balance(Look(timeline, index)).sentences[0])
        elif entry.kind == "nat.packet":
            found.append(packet(Look(timeline, index)).sentences[0])
    return found[::-1]
