"""Advice that was tried: for what a path waited for, the changes that may help run as branches, and only what helps is advised."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import pystack_c.const as C
from pystack.stepper.branch import ChangeError, branch
from pystack.stepper.changes import parse
from pystack.stepper.keys import ConnKey
from pystack.stepper.scenarios.base import Scenario
from pystack.stepper.timeline import Timeline
from pystack.stepper.timing.path import Path, PathError
from pystack.stepper.timing.walk import path

#: a larger initial window, in segments, and larger buffers, in bytes
LARGE_WINDOW, LARGE_BUFFER = 40, 4 << 20


class Advice(NamedTuple):
    """A change that was tried.

    change   as for --what-if
    text     what it means for a program or its host
    at_most  ns that the spans took which it may remove: it saves no more of them, but it may save other time, too
    saved    ns by which the end came earlier when the change was made; negative: later
    gone     ns by which these spans became shorter, at most `at_most`: the rest of `saved` comes from spans that the change was not meant for
    """

    change: str
    text: str
    at_most: int
    saved: int
    gone: int


class Remedy(NamedTuple):
    """A change that may shorten spans: those for which `applies` is true. `changes` makes it, for the hosts of the path."""

    applies: Callable[[str, str], bool]
    changes: Callable[[str, str], list[tuple[str, str]]]


def _both(template: str, text: str) -> Callable[[str, str], list[tuple[str, str]]]:
    return lambda client, server: [
        (template.format(host=host), text.format(host=host)) for host in dict.fromkeys((client, server)) if host
    ]


def _client(template: str, text: str) -> Callable[[str, str], list[tuple[str, str]]]:
    return lambda client, server: [(template.format(host=client), text.format(host=client))] if client else []


REMEDIES = (
    Remedy(
        lambda cause, why: why == "Nagle",
        _both("nodelay={host}", "set TCP_NODELAY on {host}, or write everything at once"),
    ),
    Remedy(
        lambda cause, why: why == "Nagle",
        _both("onewrite={host}", "let {host} write everything at once (one sendmsg(), a buffered stream, or TCP_CORK)"),
    ),
    Remedy(
        lambda cause, why: why == "connection",
        _client(
            "fastopen={host}",
            "let {host} send the request in the SYN (TCP Fast Open)",
        ),
    ),
    Remedy(
        lambda cause, why: cause == "delayed ACK",
        _both("quickack={host}", "let {host} acknowledge at once (TCP_QUICKACK)"),
    ),
    Remedy(
        lambda cause, why: why == "congestion window",
        _both(
            f"set={{host}}:tcp_init_cwnd={LARGE_WINDOW}", f"begin with a window of {LARGE_WINDOW} segments on {{host}}"
        ),
    ),
    Remedy(
        lambda cause, why: why == "congestion window" or why.startswith("loss"),
        _both("congestion={host}:bbr", "use BBR on {host}"),
    ),
    Remedy(
        lambda cause, why: why == "congestion window" or why.startswith("loss"),
        _both("congestion={host}:reno", "use Reno on {host}"),
    ),
    Remedy(
        lambda cause, why: why == "send buffer",
        _both(f"set={{host}}:tcp_wmem={LARGE_BUFFER}", "give the sockets of {host} a larger send buffer"),
    ),
    Remedy(
        lambda cause, why: why in ("receive window", "zero window", "silly window", "reading late"),
        _both(f"set={{host}}:tcp_rmem={LARGE_BUFFER}", "give the sockets of {host} a larger receive buffer"),
    ),
)


#: what a connection that is kept does not need again
OPENING = ("connection", "SYN retransmission", "backlog", "TLS handshake", "name lookup")
KEEP = Remedy(
    lambda cause, why: why in OPENING or cause == "TLS computing",
    _client(
        "keepalive={host}", "let {host} keep its connection for further requests (the time is that of the next one)"
    ),
)


def openers(timeline: Timeline, found: Path) -> list[str]:
    """Return the hosts whose connections a path waited for."""
    hosts = []
    for span in found:
        if span.why == "connection" and span.frame:
            frame = timeline.frames[span.frame - 1]
            outs = [timeline.events[at].fields for at in frame.why if timeline.kind(at) == "tcp.out"]
            if any(out["flags"] & (C.SYN | C.ACK) == C.SYN for out in outs):
                hosts.append(frame.host)
    return list(dict.fromkeys(hosts))


def candidates(timeline: Timeline, found: Path) -> Iterator[tuple[str, str, Remedy]]:
    """Yield the changes to try, each once, with the remedy that they are."""
    client, server = hosts_of(timeline, found)
    for host in openers(timeline, found):
        for change, text in KEEP.changes(host, ""):
            yield change, text, KEEP
    for remedy in REMEDIES:
        if any(remedy.applies(span.cause, span.why) for span in found):
            for change, text in remedy.changes(client, server):
                yield change, text, remedy


def time_of(found: Path, remedy: Remedy) -> int:
    """Return the ns of the spans that a remedy may remove."""
    return sum(span.duration for span in found if remedy.applies(span.cause, span.why))


def hosts_of(timeline: Timeline, found: Path) -> tuple[str, str]:
    """Return the hosts at the two ends of a path's connection ("" for one that is not recorded)."""
    return ConnKey.of(found.conn).host, ConnKey.of(timeline.other_end(found.conn)).host


def tried(scenario: Scenario, timeline: Timeline, found: Path, seed: int = 1) -> list[Advice]:
    """Run the scenario with each change. Returns all of them, the one that saves most first; one that saves nothing is no advice."""
    advice = []
    for change, text, remedy in candidates(timeline, found):
        try:
            walked = path(branch(scenario, None, parse(change), seed=seed, original=timeline), found.conn)
        except (ChangeError, PathError):
            continue
        time = time_of(found, remedy)
        advice.append(Advice(change, text, time, found.elapsed - walked.elapsed, time - time_of(walked, remedy)))
    return sorted(advice, key=lambda one: -one.saved)
