"""TLS 1.3 (RFC 8446) with the keys that a capture contains: what is inside the records. The package cryptography has the ciphers."""

import hashlib
import hmac
from bisect import bisect_left, bisect_right
from copy import copy
from typing import TYPE_CHECKING, Any

from pystack.stepper.dissect.layout import note
from pystack.stepper.dissect.messages.base import Bad, StreamMessage, StreamParser, StreamPiece
from pystack.stepper.dissect.tree import Node

if TYPE_CHECKING:
    from pystack.stepper.dissect.messages.talk import TalkReader

#: of each client random: the secrets by their labels in the key log
Keys = dict[bytes, dict[str, bytes]]
#: the cipher suites: the hash, and the size of the key (RFC 8446 B.4)
SUITES = {0x1301: ("sha256", 16), 0x1302: ("sha384", 32), 0x1303: ("sha256", 32)}
CHACHA = 0x1303
ALERT, HANDSHAKE, DATA = 21, 22, 23
CLIENT_HELLO, SERVER_HELLO, FINISHED, KEY_UPDATE = 1, 2, 20, 24
#: the random of a HelloRetryRequest (RFC 8446 4.1.3), and the largest record (5.2)
RETRY = hashlib.sha256(b"HelloRetryRequest").digest()
LARGEST = (1 << 14) + 256
#: the most bytes of a handshake that are kept, and the most bytes and lines of a key log that are read
MOST_HANDSHAKE, MOST_KEYLOG, MOST_LINES = 64 << 10, 1 << 20, 10_000
SIDES = ("CLIENT", "SERVER")
INSTALL = "pip install pystack[decrypt]"


def read_keys(secrets: list[bytes]) -> Keys:
    """Return the secrets of TLS 1.3 in key logs (the NSS key log format)."""
    found: Keys = {}
    for line in b"\n".join(secrets)[:MOST_KEYLOG].split(b"\n")[:MOST_LINES]:
        parts = line.split()
        if len(parts) != 3 or not parts[0].isascii():
            continue
        try:
            random, secret = bytes.fromhex(parts[1].decode("ascii")), bytes.fromhex(parts[2].decode("ascii"))
        except ValueError:
            continue
        if len(random) == 32 and len(secret) in (32, 48):
            found.setdefault(random, {})[parts[0].decode("ascii")] = secret
    return found


def expand(secret: bytes, label: bytes, size: int, name: str) -> bytes:
    """Return HKDF-Expand-Label with an empty context (RFC 8446 7.1). `size` is at most that of the hash."""
    whole = b"tls13 " + label
    info = size.to_bytes(2, "big") + bytes((len(whole),)) + whole + b"\0\1"
    return hmac.new(secret, info, name).digest()[:size]


class _Key:
    """Decrypts the records of one side with one secret."""

    def __init__(self, suite: int, secret: bytes):
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

        self.suite, self.secret, self.number = suite, secret, 0
        name, size = SUITES[suite]
        key = expand(secret, b"key", size, name)
        self.cipher: Any = ChaCha20Poly1305(key) if suite == CHACHA else AESGCM(key)
        self.iv = int.from_bytes(expand(secret, b"iv", 12, name), "big")

    def open(self, record: bytes) -> bytes:
        """Return what a record holds (RFC 8446 5.2). Bad is raised if the key is another one."""
        nonce = (self.iv ^ self.number).to_bytes(12, "big")
        try:
            plain: bytes = self.cipher.decrypt(nonce, record[5:], record[:5])
        except Exception:  # InvalidTag, or a record that is too short for one
            raise Bad("the records cannot be decrypted with the keys in the capture") from None
        self.number += 1
        return plain

    def next(self) -> "_Key":
        """Return the key after a KeyUpdate (RFC 8446 7.2)."""
        name = SUITES[self.suite][0]
        return _Key(self.suite, expand(self.secret, b"traffic upd", len(self.secret), name))


class Tls(StreamParser):
    """A connection of TLS whose keys may be known. Its messages are those of the protocol inside."""

    protocol, title = "tls", "TLS"

    def __init__(self, client: int, keys: Keys, inside: "TalkReader"):
        super().__init__(client)
        self.keys = keys
        self.inside = inside
        self.off = False
        self.random = b""
        self.handshakes = (bytearray(), bytearray())
        self.open: list[_Key | None] = [None, None]
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
        kind, way = piece.data[0], piece.way
        try:
            key = self.open[way]
            if kind == HANDSHAKE and key is None:
                self._hello(way, piece.data[5:])
            elif kind == DATA and key is not None:
                return self._data(way, key, piece)
            elif kind == DATA:
                self.off = True  # there are no keys for this connection, or it is TLS 1.2
        except Bad as error:
            self.off = True
            return [piece.message(self.protocol, self.title, str(error), [note(str(error), 0, piece.size)])]
        return []

    def _data(self, way: int, key: _Key, piece: StreamPiece) -> list[StreamMessage]:
        content = key.open(piece.data).rstrip(b"\0")
        kind, plain = content[-1] if content else 0, content[:-1]
        if kind == HANDSHAKE:
            for number, _ in self._handshake(way, plain):
                if number == FINISHED:
                    self.open[way] = self._key(way, "TRAFFIC_SECRET_0")
                elif number == KEY_UPDATE and (now := self.open[way]) is not None:
                    self.open[way] = now.next()
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
        """Read the messages before the encryption: both randoms, and the cipher suite."""
        for kind, body in self._handshake(way, data):
            if kind == CLIENT_HELLO and way == self.client and len(body) >= 34:
                self.random = body[2:34]
            if kind != SERVER_HELLO or way == self.client or len(body) < 38 or body[2:34] == RETRY:
                continue
            at = 35 + body[34]
            self.suite = int.from_bytes(body[at : at + 2], "big")
            self.secrets = self.keys.get(self.random, {})
            # supported_versions with TLS 1.3 (RFC 8446 4.2.1)
            if self.suite not in SUITES or b"\0\x2b\0\2\3\4" not in body[at:] or not self.secrets:
                self.off = True
                return
            for side in (0, 1):
                self.open[side] = self._key(side, "HANDSHAKE_TRAFFIC_SECRET")
            return

    def _key(self, way: int, label: str) -> _Key:
        secret = self.secrets.get(f"{SIDES[way != self.client]}_{label}")
        if secret is None:
            raise Bad(f"the capture has no {SIDES[way != self.client]}_{label} of this connection")
        try:
            return _Key(self.suite, secret)
        except ImportError:
            raise Bad(f"the capture has the keys; the package cryptography decrypts it: {INSTALL}") from None


def _hidden(node: Node) -> Node:
    new = copy(node)
    new.offset_bits = new.width_bits = 0
    if isinstance(node.value, int):
        new.value = node.value.to_bytes(-(-node.width_bits // 8), "big")
    new.children = [_hidden(child) for child in node.children]
    return new
