"""Which bytes of a connection are the handshake of TLS, and which calls of a program wrote them.

The records of a handshake are read from the frames (RFC 8446 5.1, RFC 5246 6.2.1). Most of a handshake of TLS 1.3 is encrypted and looks like text, so
its end follows from the order: a client's first encrypted record after ChangeCipherSpec is its Finished, and all that a server writes before the
client's second flight arrives is the handshake. A server that sends text before that flight, and early data of a client, are taken for a part of the handshake.
"""

import pystack_c.const as C
from pystack.stepper.gathered import signed
from pystack.stepper.keys import ConnKey
from pystack.stepper.records import Entry, Frame
from pystack.stepper.timeline import Timeline
from pystack.stepper.timing.index import Lookup
from pystack.trace import headers

CHANGE_CIPHER, ALERT, HANDSHAKE, TEXT = 20, 21, 22, 23
CLIENT_HELLO, SERVER_HELLO = 1, 2
#: a handshake is not longer than this, in bytes
MOST = 1 << 16


class Handshakes:
    """The handshakes of a recording, found when somebody asks for them."""

    def __init__(self, timeline: Timeline, index: Lookup):
        self.timeline = timeline
        self.index = index
        self._ends: dict[str, int] = {}
        self._writes: dict[str, list[tuple[int, int]]] = {}
        self._ends_of: dict[tuple[str, str], str] | None = None
        self._conns: dict[bytes, str] = {}

    def end(self, conn: str) -> int:
        """Return how many bytes of what a connection's host sends are the handshake of TLS; 0: it does not speak TLS."""
        if conn not in self._ends:
            self._ends[conn] = self._find_end(conn)
        return self._ends[conn]

    def of_frame(self, frame: Frame) -> bool:
        """Return True if a frame carries bytes of a handshake, and no others."""
        found = segment(frame)
        if found is None:
            return False
        ends, seq, length = found
        conn = self._sender(ends) if length else ""
        end = self.end(conn) if conn else 0
        return end > 0 and self._offset(conn, seq) + length <= end

    def of_bytes(self, conn: str, seq: int, length: int) -> bool:
        """Return True if these bytes of what a connection's host sends belong to a handshake."""
        end = self.end(conn)
        return end > 0 and self._offset(conn, seq) + length <= end

    def of_call(self, entry: Entry) -> bool:
        """Return True if a call wrote bytes of a handshake."""
        if not entry.conn or not self.end(entry.conn):
            return False
        before = 0
        for at, after in self.writes(entry.conn):
            if at == entry.index:
                return before < self.end(entry.conn)
            before = after
        return False

    def writes(self, conn: str) -> list[tuple[int, int]]:
        """Return the calls that wrote to a connection: the event, and the bytes that were written after it."""
        if conn not in self._writes and self.timeline.inferred:
            # A capture has no calls, but the segments that carried what was written.
            outs = [(at, self.timeline.events[at].fields) for at in self.index.all("tcp.out", conn)]
            self._writes[conn] = [
                (at, self._offset(conn, out["seq"]) + out["length"]) for at, out in outs if out["length"]
            ]
        elif conn not in self._writes:
            found, written = [], 0
            for at in self.index.all("call", conn):
                entry = self.timeline.events[at]
                result = entry.fields.get("result")
                if isinstance(result, int) and entry.fields.get("name") in ("send", "connect_fastopen"):
                    written += result
                    found.append((at, written))
            self._writes[conn] = found
        return self._writes[conn]

    # -- finding the end -----------------------------------------------------------------------------------------------

    def _find_end(self, conn: str) -> int:
        if ConnKey.of(conn).host not in self.timeline.hosts:
            return 0
        records = _records(self._stream(conn))
        if not records or records[0][0] != HANDSHAKE or records[0][2] not in (CLIENT_HELLO, SERVER_HELLO):
            return 0
        if records[0][2] == CLIENT_HELLO:
            return _end_of_client(records)
        plain = _end_of_plain(records)
        second = self._second_flight(conn)
        written = [after for at, after in self.writes(conn) if second < 0 or at < second]
        return max(plain, min(written[-1], MOST) if written and _encrypted(records) else 0)

    def _second_flight(self, conn: str) -> int:
        """Return the event at which bytes after a client's first messages arrived, or -1."""
        client = self.timeline.other_end(conn)
        first = sum(size for _, size, _ in _leading(_records(self._stream(client)))) if client else 0
        if self.timeline.inferred:
            return next((at for at, after in self.writes(client) if after > first), -1) if client else -1
        arrived = 0
        for at in self.index.all("tcp.data", conn):
            arrived += self.timeline.events[at].fields["length"]
            if arrived > first:
                return at
        return -1

    def _sender(self, ends: bytes) -> str:
        """Return the connection that sends a segment with these ends, as `segment` returns them, or ""."""
        conn = self._conns.get(ends)
        if conn is None:
            half = (len(ends) - 4) // 2
            source = headers.end_text(ends[:half], int.from_bytes(ends[-4:-2], "big"))
            target = headers.end_text(ends[half:-4], int.from_bytes(ends[-2:], "big"))
            conn = self._conns[ends] = self._senders().get((source, target), "")
        return conn

    def _senders(self) -> dict[tuple[str, str], str]:
        """Return the connections by their addresses and ports: (source, destination) of what they send."""
        if self._ends_of is None:
            keys = [(ConnKey.of(conn), conn) for conn in self.timeline.connections]
            self._ends_of = {(key.local, key.remote): conn for key, conn in keys}
        return self._ends_of

    def _offset(self, conn: str, seq: int) -> int:
        """Return the place in a connection's stream of the byte with a sequence number."""
        first = self.timeline.events[self.index.all("tcp.out", conn)[0]].fields
        return signed(seq - first["seq"]) - 1

    def _stream(self, conn: str) -> bytes:
        """Return the first bytes that a connection's host sent, as far as frames have them without a gap."""
        outs = self.index.all("tcp.out", conn)
        if not outs or not self.timeline.events[outs[0]].fields["flags"] & 2:  # the SYN was not recorded
            return b""
        stream = b""
        for at in outs:
            out = self.timeline.events[at]
            length = out.fields["length"]
            if length == 0 or out.frame < 0:
                continue
            syn = out.fields["flags"] >> 1 & 1  # a SYN comes before its data
            offset = self._offset(conn, out.fields["seq"] + syn)
            if offset > len(stream):
                break
            data = self.timeline.frames[out.frame].data[-length:]
            if len(data) != length:
                break
            stream += data[len(stream) - offset :]
            if len(stream) > MOST or stream[:1] != bytes([HANDSHAKE]):
                break
        return stream


def segment(frame: Frame) -> tuple[bytes, int, int] | None:
    """Return the addresses and ports of a TCP segment (source and destination address, then both ports), the number of its first byte and its length; or None."""
    data = frame.front
    found = headers.find(data, frame.link, frame.length)
    if found is None or found.proto != C.IPPROTO_TCP or found.offset or found.more:
        return None
    tcp = found.at
    if len(data) < tcp + 20:
        return None
    length = found.end - tcp - (data[tcp + 12] >> 4) * 4
    ends = found.source + found.target + data[tcp : tcp + 4]
    return ends, int.from_bytes(data[tcp + 4 : tcp + 8], "big") + (data[tcp + 13] >> 1 & 1), length


def _records(stream: bytes) -> list[tuple[int, int, int]]:
    """Return the records at the head of a stream: (type, size, type of the message in it)."""
    found = []
    at = 0
    while at + 6 <= len(stream) and stream[at + 1] == 3 and CHANGE_CIPHER <= stream[at] <= TEXT:
        size = 5 + int.from_bytes(stream[at + 3 : at + 5], "big")
        found.append((stream[at], size, stream[at + 5]))
        at += size
    return found


def _leading(records: list[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
    """Return the messages before the first ChangeCipherSpec or text."""
    found = []
    for record in records:
        if record[0] != HANDSHAKE:
            break
        found.append(record)
    return found


def _encrypted(records: list[tuple[int, int, int]]) -> bool:
    """Return True for TLS 1.3: after ChangeCipherSpec, the messages look like text."""
    kinds = [kind for kind, _, _ in records]
    change = kinds.index(CHANGE_CIPHER) if CHANGE_CIPHER in kinds else -1
    return change >= 0 and kinds[change + 1 : change + 2] == [TEXT]


def _end_of_plain(records: list[tuple[int, int, int]]) -> int:
    """Return the end of the records whose type says that they are a part of the handshake."""
    end = at = 0
    for kind, size, _ in records:
        at += size
        if kind == TEXT:
            break
        end = at
    return end


def _end_of_client(records: list[tuple[int, int, int]]) -> int:
    if not _encrypted(records):
        return _end_of_plain(records)
    return _end_of_plain(records) + next(size for kind, size, _ in records if kind == TEXT)
