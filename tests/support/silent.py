"""A probe that finds silent changes: each variable of a connection may change only with an event that tells it."""

from typing import Any

from pystack_c.probe import Event, Probe

TIMER = ("timer.set", "timer.fired", "timer.cancelled")
#: variable -> the kinds of event that may tell its change
TOLD = {
    "state": ("tcp.state",),
    "snd_wnd": ("tcp.window",),
    "srtt": ("tcp.rtt",),
    "rttvar": ("tcp.rtt",),
    "rto": ("tcp.rtt", "tcp.rto"),
    "backoff": ("tcp.rtt", "tcp.rto"),
    "cwnd": ("tcp.cwnd",),
    "ssthresh": ("tcp.cwnd",),
    "mss": ("tcp.mss",),
    "phase": ("tcp.recovery",),
    "timers": TIMER,
}
#: the same for what a handshake sets: told once the numbers it hangs on are known
LATER = {"rcv_nxt": ("irs", ("tcp.data", "tcp.fin")), "snd_una": ("iss", ("tcp.acked",))}


class Silent(Probe):
    """`found` lists the changes that no event told; `kinds` counts the events."""

    snapshots = True

    def __init__(self) -> None:
        self.last: dict[tuple[str, int], dict[str, Any]] = {}
        self.found: list[str] = []
        self.kinds: dict[str, int] = {}

    def begin(self) -> None:
        """Another network: endpoint numbers begin anew."""
        self.last.clear()

    def event(self, event: Event) -> None:
        """Compare with the endpoint's event before."""
        self.kinds[event.kind] = self.kinds.get(event.kind, 0) + 1
        if event.after is None or "snd_una" not in event.after:
            return
        key = (event.host, event.endpoint)
        before = self.last.get(key)
        self.last[key] = event.after
        if before is None:
            return
        if event.before != before:
            self.found.append(f"{event!r}: `before` is not the `after` of the event before")
        rules = dict(TOLD)
        for name, (start, kinds) in LATER.items():
            if before[start] == event.after[start]:
                rules[name] = kinds
        for name, kinds in rules.items():
            if before[name] != event.after[name] and event.kind not in kinds:
                self.found.append(f"{name} {before[name]} -> {event.after[name]} at {event!r}")
