"""Says what the data in a segment or a datagram is: the messages in it, or the message of which it is a part."""

import pystack_c.const as C
from pystack.stepper.explain import datagrams
from pystack.stepper.explain.base import count_of
from pystack.stepper.records import Frame
from pystack.stepper.timeline import Timeline
from pystack.trace import headers
from pystack.visible import one_line

#: the most messages that a sentence names, and the most characters of each
MOST, LONGEST = 4, 100
_BELOW = ("tcp", "udp")
_TITLES = {
    "http": "HTTP", "http2": "HTTP/2", "websocket": "WebSocket", "pgsql": "PostgreSQL", "mongo": "MongoDB", "tls": "TLS",
}  # fmt: skip


def carries(timeline: Timeline, frame: Frame) -> str:
    """Return a sentence about what a frame carries for programs, or ""."""
    said = datagrams.carries(frame)
    try:
        from pystack.stepper import messages
    except ImportError:  # the dissection is not installed
        return said
    layers = messages.tree(frame).layers
    above = next((number for number, layer in enumerate(layers) if layer.abbrev in _BELOW), len(layers)) + 1
    found = [(layer.name, one_line(layer.text)) for layer in layers[above:] if layer.text]
    over_tcp = next((layer for layer in layers[above:] if layer.abbrev == "dns" and not said), None)
    if over_tcp is not None:
        said = datagrams.dns(bytes(frame.data[over_tcp.offset + 2 :]))  # after the length of the message
    if said:
        return said.replace(datagrams.IN_ANSWER, _answers(found), 1)
    if found:
        listed = _listed(found)
        return f"It carries {listed}{'' if listed.endswith('...') else '.'}"
    place = messages.messages_of(timeline).place(frame.index)
    title = "" if place is None else _TITLES.get(place.protocol, "")
    return f"The data is a part of a longer message of {title}." if title else ""


def _answers(found: list[tuple[str, str]]) -> str:
    """Return the records of an answer of DNS, if all of them can be read."""
    text = next((text for name, text in found if name == "DNS"), "").partition(": ")[2]
    return (
        f"{datagrams.IN_ANSWER}: {text}"
        if text and " bytes " not in text and len(text) <= LONGEST
        else datagrams.IN_ANSWER
    )


def _listed(found: list[tuple[str, str]]) -> str:
    """Return the messages, each protocol once."""
    parts: list[str] = []
    last = ""
    for name, whole in found[:MOST]:
        text = _records(whole) if name == "TLS" else whole
        short = text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."
        parts.append(short if name == last else f"{name}: {short}")
        last = name
    more = f"; and {len(found) - MOST} more" if len(found) > MOST else ""
    return "; ".join(parts) + more


def _records(text: str) -> str:
    """Return the names of TLS records, with how many there are in a row. Application data is always encrypted."""
    named: list[tuple[str, int]] = []
    for name in text.split(", "):
        if named and named[-1][0] == name:
            named[-1] = name, named[-1][1] + 1
        else:
            named.append((name, 1))
    encrypted = {"Application Data": "Application Data (encrypted)"}
    return ", ".join(f"{f'{count} times ' if count > 1 else ''}{encrypted.get(name, name)}" for name, count in named)


def passes(frame: Frame) -> str:
    """Return what a router forwards in a frame between hosts that are not recorded: the kind of segment or packet, and its ends; "" for what has a sentence already."""
    found = headers.find(frame.data, frame.link, frame.length)
    if found is None or found.offset:
        return ""
    source, target = headers.address_text(found.source), headers.address_text(found.target)
    if found.proto == C.IPPROTO_ICMP and len(frame.data) > found.at:
        what = _ICMP.get(frame.data[found.at], "an ICMP message")
        return f"It carries {what} from {source} to {target}."
    if found.proto != C.IPPROTO_TCP or len(frame.data) < found.at + 20:
        return ""
    flags = frame.data[found.at + 13]
    size = found.end - found.at - (frame.data[found.at + 12] >> 4) * 4
    port = int.from_bytes(frame.data[found.at + 2 : found.at + 4], "big")
    if flags & C.SYN:
        what = "a SYN-ACK, which accepts a connection," if flags & C.ACK else "a SYN, which asks for a connection,"
    elif flags & C.RST:
        what = "a RST, which ends or refuses a connection,"
    elif flags & C.FIN:
        what = "a FIN, which says that no more data follows,"
    else:
        what = f"{count_of(size)} of data" if size > 0 else "an acknowledgement without data"
    return f"It carries {what} from {source} to port {port} of {target}."


_ICMP = {0: "the reply to a ping", 3: "an ICMP error", 8: "a ping", 11: "an ICMP error (time exceeded)"}
