"""Runs one script: its events in virtual time, its packets in and out, its calls through `calls.Calls`."""

import os
from typing import Any

from pystack.pkt import match, model
from pystack.pkt.call_poll import gather_wakes
from pystack.pkt.calls import Calls
from pystack.pkt.calltable import TABLE
from pystack.pkt.code import run_code
from pystack.pkt.errors import Difference, Failure, ScriptError, Unsupported
from pystack.pkt.host import START, PktHost
from pystack.pkt.inject import build
from pystack.pkt.match import Conn
from pystack.pkt.model import Code, Command, IcmpSpec, Script, ScriptEvent, ScriptPacket, Syscall, TcpSpec, UdpSpec
from pystack.pkt.settings import ScriptSettings
from pystack.pkt.shell import Shell
from pystack.pkt.sysctl import Sysctls
from pystack.pkt.text import packet_text, segment_text
from pystack.pkt.wire import ScriptSegment
from pystack_c.base.address import v4

USEC = 1000
#: how long the runner waits for a packet after its time, so that it can show a late one (ns)
PATIENCE = 2_000_000_000
#: how long the runner waits for a packet that may come at any time (`*`) (ns)
FOREVER = 3600_000_000_000
#: the most timers that may fire in one script
MOST_STEPS = 200_000
#: the remote ports of the connections to a listener start here
FIRST_REMOTE_PORT = 50000


class Runner:
    """One run of one script."""

    def __init__(self, script: Script, settings: ScriptSettings, probe: Any = None):
        self.script = script
        self.settings = settings
        self.notes: list[str] = []
        self.output: list[str] = []
        self.config: Any = settings.make_config()
        self.sysctls = Sysctls(self.config, self.notes)
        self.shell = Shell(self, self.sysctls, os.path.dirname(script.path))
        self.conn: Conn | None = None
        self.conns: list[Conn] = []
        self.remote_ports = 0
        self.names: dict[str, Any] = {}
        self.line = 0
        self.last_start = 0
        self.tolerance = 0
        #: routes that commands made, with MTU, MSS to announce and initial window
        self.routes: dict[tuple[int, int], tuple[int, int, int] | None] = {}
        self.time_range = (0, 0)
        self.steps = 0
        for name in settings.init_scripts:
            self.shell.include(name, 1)
        if script.init is not None:
            self.line = script.init[1]
            self._command(script.init[0], script.init[1])
        self.host = PktHost(settings, self.config)
        self.stack = self.host.stack
        self.stack.probe = probe
        self.sysctls.flush = self.stack.tcp.fastopen_cache.clear
        for (dst, prefixlen), metrics in self.routes.items():
            self.host.route(dst, prefixlen, metrics)
        self.calls = Calls(self, TABLE, gather_wakes)

    # -- the events ------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Run all events. Failure, ScriptError or Unsupported says what went wrong."""
        try:
            for event in self.script.events:
                self.line = event.line
                self._set_time(event)
                self._event(event)
                self.last_start = self.time_range[0]
            self.calls.finish()
            if self.script.cleanup is not None:
                self._command(*self.script.cleanup)
        except Failure as failure:
            failure.time = self.seconds(self.host.now)
            raise

    def _event(self, event: ScriptEvent) -> None:
        action = event.action
        if isinstance(action, ScriptPacket) and not action.inbound:
            self._expect(event, action)
            return
        if isinstance(action, Syscall):
            self.calls.finish()
        start = self.time_range[0]
        if start + self.tolerance < self.host.now:
            self._late("this line", start)
        self.advance(start)
        if isinstance(action, ScriptPacket):
            self._inject(action)
        elif isinstance(action, Syscall):
            self.calls.start(action, event, self._end_of(action, event))
        elif isinstance(action, Command):
            self._command(action, event.line)
        elif isinstance(action, Code):
            self._code(action, event.line)

    def _set_time(self, event: ScriptEvent) -> None:
        """Set the event's range of time, in live nanoseconds, and its tolerance."""
        time = event.time
        relative = time.kind in (model.RELATIVE, model.RELATIVE_RANGE, model.ANY)
        base = self.host.now if relative else START
        self.time_range = (base + time.start * USEC, base + time.end * USEC)
        since = self.time_range[0] - (self.last_start or START)
        percent = int(since * self.settings.tolerance_percent / 100)
        self.tolerance = max(self.settings.tolerance_usecs * USEC, percent)

    def _end_of(self, call: Syscall, event: ScriptEvent) -> int:
        if call.end < 0:
            return -1
        return self.time_range[0] - event.time.start * USEC + call.end * USEC

    def _command(self, command: Command, line: int) -> None:
        if self.shell.run(command.text, line):
            raise Failure(line, f"the command `{command.text.strip()}` failed")

    def _code(self, code: Code, line: int) -> None:
        tcb = self.current_tcb()
        if tcb is None:
            raise ScriptError(line, "code needs a connection")
        run_code(code.text, line, self.calls.tcp_info(tcb), self.names, self.output)

    # -- time --------------------------------------------------------------------------------------------------------

    def seconds(self, live: int) -> float:
        """Return the seconds since the script began."""
        return (live - START) / 1e9

    def advance(self, target: int) -> None:
        """Advance to a time. Timers fire, and blocked calls return."""
        while self.step(target):
            pass
        if target > self.host.now:
            self.host.now = target

    def step(self, limit: int) -> bool:
        """Advance to the next timer or timeout, up to a time. Return False if there is none."""
        self.steps += 1
        if self.steps > MOST_STEPS:
            raise Unsupported(self.line, f"a script in which more than {MOST_STEPS} timers fire is not supported")
        deadline = self.host.poll_timeout()
        own = self.calls.deadline()
        if own is not None and (deadline is None or own < deadline):
            if own > limit:
                return False
            self.host.now = max(self.host.now, own)
            self.calls.poll()
            return True
        if deadline is None or deadline > limit:
            return False
        self.host.fire(deadline)
        self.calls.poll()
        return True

    def _late(self, what: str, wanted: int) -> None:
        raise Failure(
            self.line,
            f"{what} is due at {self.seconds(wanted):.6f} s, but it is already {self.seconds(self.host.now):.6f} s",
        )

    # -- packets in --------------------------------------------------------------------------------------------------

    def _inject(self, packet: ScriptPacket) -> None:
        conn = self._conn_for(packet)
        body = packet.body
        if isinstance(body, TcpSpec):
            if conn.state == match.SYNACK_SENT and body.flags & model.ACK:
                conn.state = match.SYNACK_ACKED
            elif conn.state == match.SYN_SENT and body.flags & model.SYN and body.flags & model.ACK:
                conn.state = match.SYN_ACKED
                conn.remote_isn = body.seq
        data = build(packet, conn, self.host, self.settings, self.line)
        gro = self.settings.gro_size
        gso_size = gro if gro and isinstance(body, TcpSpec) and body.length > gro else 0
        if self.calls.writes_soon or self.calls.background:
            # On Linux, a writer that waits for the handshake sends the ACK together with its data.
            self.host.held = True
            self.host.receive(self.host.tun, data, 0, 0, gso_size)
            self.calls.poll()
            self.host.held = False
            self.host.pump()
        else:
            self.host.inject(data, gso_size)
        self.calls.poll()

    def _conn_for(self, packet: ScriptPacket) -> Conn:
        """Return the connection to which a packet of the script belongs. An inbound one at a listener creates it."""
        conn = self.conn
        body = packet.body
        if isinstance(body, TcpSpec):
            if packet.inbound and (conn is None or conn.state == match.LISTENING):
                return self._passive(body)
            if packet.inbound and conn is not None and conn.state == match.NEW and not conn.lport:
                # The socket may be bound, or not even that. The segment goes to its port in either case.
                conn.lport, conn.rport = self.settings.bind_port, FIRST_REMOTE_PORT + self.remote_ports
            syn = body.flags & (model.SYN | model.ACK) == model.SYN
            if not packet.inbound and syn and conn is not None and conn.state == match.CONNECTING:
                conn.state = match.SYN_SENT
                conn.script_local_isn = body.seq
        elif conn is None:
            conn = self.conn = Conn(proto=17, lport=self.settings.bind_port, rport=self.settings.connect_port)
        if conn is None:
            raise ScriptError(self.line, "there is no socket for this packet")
        wanted = {6: TcpSpec, 17: UdpSpec}[conn.proto]
        if not isinstance(body, wanted | IcmpSpec) and not (packet.sport or packet.dport):
            raise ScriptError(self.line, "no matching socket for this packet")
        return conn

    def _passive(self, body: TcpSpec) -> Conn:
        conn = Conn(state=match.SYN_RECEIVED, remote_isn=body.seq, lport=self.settings.bind_port)
        conn.rport = FIRST_REMOTE_PORT + self.remote_ports
        self.remote_ports += 1
        self.conn = conn
        self.conns.append(conn)
        return conn

    # -- packets out -------------------------------------------------------------------------------------------------

    def _expect(self, event: ScriptEvent, packet: ScriptPacket) -> None:
        """Check that the connection sends this packet next. If the packet is large, the connection may send it as several packets."""
        conn = self._conn_for(packet)
        body = packet.body
        if isinstance(body, TcpSpec) and conn.state == match.SYN_RECEIVED:
            if body.flags & model.SYN and body.flags & model.ACK and not body.seq_ignored:
                conn.script_local_isn = body.seq
        parts: list[ScriptSegment] = []
        length = 0
        wanted = body.length if isinstance(body, TcpSpec) else 0
        while True:
            seg = self._sniff(event, packet, conn, parts)
            mapped = match.to_script(seg, conn)
            if isinstance(body, TcpSpec) and body.seq_absolute:
                mapped.seq = seg.seq
            if parts and isinstance(body, TcpSpec):
                differences = match.continues(parts[-1], mapped, body, length)
                if differences:
                    short = Difference("payload length", str(body.length), str(length))
                    self._mismatch(packet, [*parts, mapped], [short, *differences])
                    return
            parts.append(mapped)
            length += len(seg.payload)
            if length >= wanted or not seg.payload or self.settings.strict_segments:
                break
        whole = match.merge(parts)
        if len(parts) > 1 and self.settings.gso_push and isinstance(body, TcpSpec):
            whole.flags = whole.flags & ~model.PSH | body.flags & model.PSH
        if isinstance(body, TcpSpec):
            whole = match.map_timestamp(whole, body, conn)
        since_start = int((self.time_range[0] - START) * self.settings.tolerance_percent / 100)
        tolerance = max(self.settings.tolerance_usecs, since_start / USEC)
        differences = match.compare(packet, whole, self.settings, conn, tolerance)
        if differences:
            self._mismatch(packet, [whole], differences)
        elif event.time.kind != model.ANY:
            self._check_time(packet, whole)

    def _check_time(self, packet: ScriptPacket, seg: ScriptSegment) -> None:
        first, last = self.time_range
        if first - self.tolerance <= seg.time <= last + self.tolerance:
            return
        wanted = f"{self.seconds(first):.6f}" + (f"~{self.seconds(last):.6f}" if last != first else "")
        detail = Difference("time", f"{wanted} s", f"{self.seconds(seg.time):.6f} s")
        self._mismatch(packet, [seg], [detail])

    def _mismatch(self, packet: ScriptPacket, parts: list[ScriptSegment], differences: list[Difference]) -> None:
        ace = isinstance(packet.body, TcpSpec) and packet.body.ace is not None
        failure = Failure(
            self.line,
            str(differences[0]),
            packet_text(packet),
            "\n".join(f"{self.seconds(seg.time):.6f} {segment_text(seg, ace)}" for seg in parts),
            differences,
        )
        if "packet" in self.settings.non_fatal:
            self.notes.append(f"line {self.line}: {failure.message} (not fatal)")
            return
        raise failure

    def _sniff(self, event: ScriptEvent, packet: ScriptPacket, conn: Conn, parts: list[ScriptSegment]) -> ScriptSegment:
        """Return the next packet that the stack sends for this connection."""
        last = self.time_range[1]
        limit = self.host.now + FOREVER if event.time.kind == model.ANY else max(last, self.host.now) + PATIENCE
        sent = self.host.sent
        while True:
            while sent:
                seg = sent.pop(0)
                if self._belongs(seg, packet, conn):
                    if seg.flags & model.SYN:
                        conn.syn_length = len(seg.payload)
                    return seg
            if not self.step(limit):
                break
        have = "\n".join(f"{self.seconds(seg.time):.6f} {segment_text(seg)}" for seg in parts)
        text = "no packet was sent" if not parts else f"only {sum(len(p.payload) for p in parts)} bytes were sent"
        raise Failure(self.line, text, packet_text(packet), have)

    def _belongs(self, seg: ScriptSegment, packet: ScriptPacket, conn: Conn) -> bool:
        """Return True if the packet belongs to the connection.

        The first SYN or datagram determines its local port and sequence number.
        """
        if isinstance(packet.body, IcmpSpec) or seg.proto == 1:
            return isinstance(packet.body, IcmpSpec) and seg.proto == 1
        if seg.proto != conn.proto or seg.dst != self.host.remote:
            return False
        if seg.proto == 6 and conn.state == match.SYN_SENT and conn.lport == 0:
            if seg.flags & (model.SYN | model.ACK) != model.SYN or seg.dport != conn.rport:
                return False
            conn.lport, conn.live_local_isn = seg.sport, seg.seq
            return True
        if seg.proto == 17:
            conn.lport = conn.lport or seg.sport
            return seg.sport == conn.lport
        ours = seg.sport == (packet.sport or conn.lport) and seg.dport == (packet.dport or conn.rport)
        if ours and conn.state == match.SYN_RECEIVED and seg.flags & model.SYN and seg.flags & model.ACK:
            conn.state = match.SYNACK_SENT
            conn.live_local_isn = seg.seq
        return ours

    # -- for other modules ---------------------------------------------------------------------------------------------

    def current_tcb(self) -> Any:
        """Return the Tcb of the connection under test, or None."""
        conn = self.conn
        if conn is None:
            return None
        tcb = self.calls.endpoint(conn.fd)
        if tcb is None:
            tcb = self.stack.tcp.find(v4(self.host.local), conn.lport, v4(self.host.remote), conn.rport)
        return tcb

    def change_route(self, dst: int, prefixlen: int, metrics: tuple[int, int, int] | None) -> None:
        """Carry out `ip route`: set a route of the script's network, or remove it (None)."""
        self.routes[(dst, prefixlen)] = metrics
        if hasattr(self, "host"):
            self.host.route(dst, prefixlen, metrics)

    def drop_connection(self, tcb: Any) -> None:
        """Carry out tcpdrop: end the connection without sending anything."""
        from pystack_c.tcp.close import finish

        finish(tcb, "dropped by the administrator", "")
