"""TLS 1.3 (RFC 8446) and 1.2 (RFC 5246) with the keys that a capture contains: what is inside the records."""

import hashlib
from bisect import bisect_left, bisect_right
from copy import copy
from typing import TYPE_CHECKING

from pystack.stepper.dissect.layout import note
from pystack.stepper.dissect.messages.base import Bad, StreamMessage, StreamParser, StreamPiece
from pystack.stepper.dissect.messages.ciphers import CBC, SUITES, SUITES12, Key12, Key13, Keys, RecordKey
from pystack.stepper.dissect.tree import Node

if TYPE_CHECKING:
    from pystack.stepper.dissect.messages.talk import TalkReader

CHANGE, ALERT, HANDSHAKE, DATA = 20, 21, 22, 23
CLIENT_HELLO, SERVER_HELLO, END_OF_EARLY_DATA, FINISHED, KEY_UPDATE = 1, 2, 5, 20, 24
#: the random of a HelloRetryRequest (RFC 8446 4.1.3), and the largest record (RFC 5246 6.2.3)
RETRY = hashlib.sha256(b"HelloRetryRequest").digest()
LARGEST = (1 << 14) + 2048
#: the most bytes of a handshake that are kept, and the most times that keys are made, because that takes time
MOST_HANDSHAKE, MOST_CHANGES = 64 << 10, 100
SIDES = ("CLIENT", "SERVER")
TLS12 = b"\3\3"


class Tls(StreamParser):
    """A connection of TLS whose keys may be known. Its messages are those of the protocol inside."""

    protocol, title = "tls", "TLS"

    def __init__(self, client: int, keys: Keys, inside: "TalkReader"):
        super().__init__(client)
        self.keys = keys
        self.inside = inside
        self.off = not keys
        self.random = b""
        self.handshakes = (bytearray(), bytearray())
        self.open: list[RecordKey | None] = [None, None]
        #: of TLS 1.2: the keys after the next ChangeCipherSpec of each side
        self.pending: list[Key12 | None] = [None, None]
        self.early: Key13 | None = None
        self.refused = False
        self.answered = False
        self.changes = 0
        self.secrets: dict[str, bytes] = {}
        self.suite = 0
        #: of each side: where the plain bytes of each record end, and where the records begin and end
        self.plain: tuple[list[int], list[int]] = ([], [])
        self.records: tuple[list[tuple[int, int]], list[tuple[int, int]]] = ([], [])

    def size(self, way: int, data: bytearray) -> int:
        """Return the size of a record."""
        if self.off:
            return len(data)
        if len(data) < 5:
            return 0
        length = int.from_bytes(data[3:5], "big")
        if not 20 <= data[0] <= 23 or data[1] != 3 or length > LARGEST:
            raise Bad("no record of TLS (RFC 8446 5.1)")
        return 5 + length

    def read(self, piece: StreamPiece) -> list[StreamMessage]:
        """Return the messages that a record completes."""
        if self.off:
            return []
        try:
            return self._record(piece)
        except Bad as error:
            self.off = True
            return [piece.message(self.protocol, self.title, str(error), [note(str(error), 0, piece.size)])]

    def _record(self, piece: StreamPiece) -> list[StreamMessage]:
        kind, way = piece.data[0], piece.way
        key = self.open[way]
        if kind == CHANGE:
            if self.pending[way] is not None:  # in TLS 1.3, it means nothing
                self.open[way], self.pending[way] = self.pending[way], None
        elif key is None:
            if kind == HANDSHAKE:
                self._hello(way, piece.data[5:])
            elif kind == DATA and way == self.client and not self.answered:
                return self._early(piece)
            elif kind == DATA:
                self.off = True  # there are no keys for this connection
        elif key.hidden_type and kind == DATA:
            content = self._open13(way, key, piece.data).rstrip(b"\0")
            return self._content(piece, content[-1] if content else 0, content[:-1])
        elif not key.hidden_type:
            return self._content(piece, kind, key.open(piece.data))
        return []

    def _early(self, piece: StreamPiece) -> list[StreamMessage]:
        """Read a record that the client sends before the server answers (RFC 8446 2.3). Its suite is that of an earlier connection, so each is tried."""
        if self.refused:
            return []
        secret = self.keys.get(self.random, {}).get("CLIENT_EARLY_TRAFFIC_SECRET", b"")
        tried = [self.early] if self.early else [Key13(one, secret) for one in SUITES if len(secret) == _size(one)]
        for key in tried:
            try:
                content = key.open(piece.data).rstrip(b"\0")
            except Bad:
                continue
            self.early = key
            return self._content(piece, content[-1] if content else 0, content[:-1])
        self.refused = True
        return []

    def _open13(self, way: int, key: RecordKey, record: bytes) -> bytes:
        """Open a record of TLS 1.3. The client may still send early data after the server has answered."""
        if way == self.client and self.early is not None:
            try:
                return self.early.open(record)
            except Bad:
                self.early = None
        return key.open(record)

    def _content(self, piece: StreamPiece, kind: int, plain: bytes) -> list[StreamMessage]:
        """Take what was in a record."""
        way = piece.way
        if kind == HANDSHAKE and isinstance(self.open[way], Key12):
            self._hello(way, plain)  # both sides agree on new keys, or the handshake ends
        elif kind == HANDSHAKE:
            for number, _ in self._handshake(way, plain):
                if number in (FINISHED, KEY_UPDATE):
                    self._count()
                if number == FINISHED:
                    self.open[way] = self._key(way, "TRAFFIC_SECRET_0")
                elif number == KEY_UPDATE and isinstance(now := self.open[way], Key13):
                    self.open[way] = now.next()
                elif number == END_OF_EARLY_DATA:
                    self.early = None
        if kind != DATA or not plain:
            return []
        ends = self.plain[way]
        ends.append((ends[-1] if ends else 0) + len(plain))
        self.records[way].append((piece.start, piece.start + piece.size))
        return [self._outside(message) for message in self.inside.take(self._inner(way), plain)]

    def _inner(self, way: int) -> int:
        return way if self.client == 0 else 1 - way

    def _outside(self, message: StreamMessage) -> StreamMessage:
        """Return a message with the place of its records. Its bytes are nowhere in the frames, so its fields have no place."""
        message.way = self._inner(message.way)
        ends, records = self.plain[message.way], self.records[message.way]
        first, last = bisect_right(ends, message.start), bisect_left(ends, message.end)
        message.start = records[min(first, len(records) - 1)][0]
        # of a very large message only the beginning is waited for, so its end may be in a record to come
        message.end = records[min(last, len(records) - 1)][1]
        message.nodes = [note("decrypted with the keys in the capture", 0, 0), *map(_hidden, message.nodes)]
        return message

    def _handshake(self, way: int, data: bytes) -> list[tuple[int, bytes]]:
        """Return the handshake messages that are complete."""
        held = self.handshakes[way]
        held += data
        found = []
        while len(held) >= 4:
            end = 4 + int.from_bytes(held[1:4], "big")
            if end > MOST_HANDSHAKE:
                raise Bad("a handshake message is too long")
            if len(held) < end:
                break
            found.append((held[0], bytes(held[4:end])))
            del held[:end]
        return found

    def _hello(self, way: int, data: bytes) -> None:
        """Read the messages that both sides agree on keys with: both randoms, and the cipher suite."""
        for kind, body in self._handshake(way, data):
            if kind == CLIENT_HELLO and way == self.client and len(body) >= 34:
                self.random = body[2:34]
            if kind == SERVER_HELLO and way != self.client and len(body) >= 38 and body[2:34] != RETRY:
                self._agreed(body)

    def _agreed(self, body: bytes) -> None:
        """Make the keys that follow from the server's answer."""
        self._count()
        self.answered = True
        at = 35 + body[34]
        self.suite = int.from_bytes(body[at : at + 2], "big")
        self.secrets = self.keys.get(self.random, {})
        if not self.secrets:
            self.off = True
        # supported_versions with TLS 1.3 (RFC 8446 4.2.1)
        elif b"\0\x2b\0\2\3\4" in body[at:]:
            if self.suite not in SUITES:
                raise Bad(f"no key for the cipher suite {self.suite:#06x} of TLS 1.3 can be made")
            for side in (0, 1):
                self.open[side] = self._key(side, "HANDSHAKE_TRAFFIC_SECRET")
        else:
            self._agreed12(body[:2], body[2:34])

    def _count(self) -> None:
        """Count a change of keys. A forged capture may have very many."""
        self.changes += 1
        if self.changes > MOST_CHANGES:
            raise Bad(f"more than {MOST_CHANGES} changes of keys")

    def _agreed12(self, version: bytes, random: bytes) -> None:
        """Make the keys of TLS 1.2, which are used after each side's ChangeCipherSpec (RFC 5246 7.1)."""
        if version != TLS12 or self.suite not in SUITES12:
            name = f"TLS_{CBC[self.suite]}" if self.suite in CBC else f"the cipher suite {self.suite:#06x}"
            old = "" if version == TLS12 else " in a version before TLS 1.2"
            raise Bad(
                f"{name}{old} is not decrypted, only AES-GCM, AES-CCM and ChaCha20-Poly1305 of TLS 1.2 and 1.3 are"
            )
        master = self.secrets.get("CLIENT_RANDOM")
        if master is None:
            raise Bad("the capture has no CLIENT_RANDOM of this connection")
        for side in (0, 1):
            self.pending[side] = Key12(self.suite, master, (self.random, random), int(side != self.client))

    def _key(self, way: int, label: str) -> Key13:
        secret = self.secrets.get(f"{SIDES[way != self.client]}_{label}")
        if secret is None:
            raise Bad(f"the capture has no {SIDES[way != self.client]}_{label} of this connection")
        return Key13(self.suite, secret)


def _size(suite: int) -> int:
    """Return the size of the secrets of a cipher suite of TLS 1.3."""
    return hashlib.new(SUITES[suite][0]).digest_size


def _hidden(node: Node) -> Node:
    new = copy(node)
    new.offset_bits = new.width_bits = 0
    if isinstance(node.value, int):
        new.value = node.value.to_bytes(-(-node.width_bits // 8), "big")
    new.children = [_hidden(child) for child in node.children]
    return new
