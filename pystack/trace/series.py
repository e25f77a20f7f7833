"""The values of TCP connections over time: cwnd, ssthresh, bytes in flight, round-trip times, RTO, rates, windows.

    series = Series(host.stack)          # from now on, in addition to any other probe
    ...
    conn = series.connections()[0]
    times, cwnd = conn.column("time"), conn.column("cwnd")
    series.write_csv("run.csv")
    series.detach()

A Series is a probe that passes every event on. It adds a row after each event about a connection that changed one of
COLUMNS, and another one with the final values when the next instant begins. Watching changes no decision.
"""

import csv
from collections.abc import Iterable, Iterator
from typing import Any, TextIO

from pystack_c.base.seqnum import seq_diff
from pystack_c.probe import Event, Probe
from pystack_c.tcp.congestion.rate import pacing_limit
from pystack_c.tcp.snapshot import STATE_NAMES
from pystack_c.tcp.tcb import Tcb

#: units: bytes, ns, bytes per second; snd_una and snd_nxt count
#: from the first sequence number; ssthresh -1: not set yet
COLUMNS = (
    "time event state phase cwnd ssthresh in_flight snd_una snd_nxt srtt rttvar rto min_rtt pacing_rate delivery_rate "
    "snd_wnd rcv_wnd unsent delivered delivered_ce retrans"
).split()
PHASES = {0: "open", 1: "disorder", 2: "cwr", 3: "recovery", 4: "loss"}


def sample(tcb: Tcb) -> tuple[Any, ...]:
    """Return the current values of COLUMNS, from `state` on."""
    rate = tcb.rate
    return (
        STATE_NAMES[tcb.state],
        PHASES.get(tcb.ca_state, str(tcb.ca_state)),
        tcb.cwnd,
        tcb.ssthresh if tcb.ssthresh < tcb.core.config.tcp_init_ssthresh else -1,
        tcb.in_flight(),
        seq_diff(tcb.snd_una, tcb.iss),
        seq_diff(tcb.snd_nxt, tcb.iss),
        tcb.srtt,
        tcb.rttvar,
        tcb.rto,
        max(0, tcb.min_rtt),
        pacing_limit(tcb),
        rate.rate if rate is not None else 0,
        tcb.snd_wnd,
        tcb.rcv_wnd(),
        max(0, tcb.unsent()),
        tcb.delivered,
        tcb.delivered_ce,
        tcb.total_retrans,
    )


class Connection:
    """The rows of one connection."""

    def __init__(self, host: str, ident: int, subject: str):
        self.host = host
        self.ident = ident
        self.subject = subject
        self.rows: list[tuple[Any, ...]] = []

    def column(self, name: str) -> list[Any]:
        """Return one column. Raises KeyError for a name that is not in COLUMNS."""
        if name not in COLUMNS:
            raise KeyError(name)
        index = COLUMNS.index(name)
        return [row[index] for row in self.rows]

    def at(self, time: int) -> dict[str, Any]:
        """Return the values at a time (ns). Raises ValueError before the first row."""
        found = None
        for row in self.rows:
            if row[0] > time:
                break
            found = row
        if found is None:
            raise ValueError(f"there is no value for {self.subject} at {time}")
        return dict(zip(COLUMNS, found))

    def _add(self, time: int, event: str, values: tuple[Any, ...]) -> None:
        if not self.rows or self.rows[-1][2:] != values:
            self.rows.append((time, event, *values))


class Series(Probe):
    """Watches the connections of one stack until `detach`. It keeps at most `limit` rows for each connection."""

    def __init__(self, stack: Any, limit: int = 1_000_000):
        self.stack = stack
        self.limit = limit
        self.after = stack.probe
        self.now = stack.now
        self._conns: dict[int, Connection] = {}
        self._touched: dict[int, None] = {}
        stack.probe = self

    def detach(self) -> None:
        """Stop watching. The rows so far remain."""
        self._settle()
        if self.stack.probe is self:
            self.stack.probe = self.after

    def event(self, event: Event) -> None:
        """Process one decision of the core."""
        if event.time != self.now:
            self._settle()
            self.now = event.time
        if event.endpoint and event.kind.startswith("tcp."):
            self._touched[event.endpoint] = None
            self._look(event.endpoint, event.kind, event.subject)
        if self.after is not None:
            self.after.event(event)

    def _settle(self) -> None:
        for ident in self._touched:
            self._look(ident, "settled", "")
        self._touched.clear()

    def _look(self, ident: int, kind: str, subject: str) -> None:
        tcb = self.stack.endpoints.get(ident)
        if not isinstance(tcb, Tcb) or tcb.raddr == 0:
            return
        conn = self._conns.get(ident)
        if conn is None:
            conn = self._conns[ident] = Connection(self.stack.name, ident, subject or tcb.subject())
        if len(conn.rows) < self.limit:
            conn._add(self.now, kind, sample(tcb))

    def connections(self) -> list[Connection]:
        """Return every connection that had an event, in the order of the first events."""
        self._settle()
        return list(self._conns.values())

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield all rows of all connections as dicts, with `host` and `connection` in front."""
        for conn in self.connections():
            for row in conn.rows:
                yield {"host": conn.host, "connection": conn.subject, **dict(zip(COLUMNS, row))}

    def write_csv(self, out: "str | TextIO") -> int:
        """Write all rows as CSV with a header line, to a path or an open text file. Returns the number of rows."""
        if isinstance(out, str):
            with open(out, "w", newline="", encoding="utf-8") as file:
                return write_csv([self], file)
        return write_csv([self], out)


def write_csv(watched: "Iterable[Series]", out: TextIO) -> int:
    """Write the rows of several stacks as one table. Returns the number of rows."""
    writer = csv.writer(out)
    writer.writerow(["host", "connection", *COLUMNS])
    count = 0
    for series in watched:
        for conn in series.connections():
            for row in conn.rows:
                writer.writerow([conn.host, conn.subject, *row])
                count += 1
    return count
