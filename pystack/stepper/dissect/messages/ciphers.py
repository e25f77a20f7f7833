"""The keys of TLS that a capture contains (the NSS key log format), and the records that they open. The package cryptography has the ciphers."""

import hmac
from typing import Any

from pystack.stepper.dissect.messages.base import Bad

#: of each client random: the secrets by their labels in the key log
Keys = dict[bytes, dict[str, bytes]]
AES, CCM, CCM8, CHACHA = range(4)
#: the cipher suites of TLS 1.3: the hash, the cipher, and the size of the key (RFC 8446 B.4)
SUITES = {
    0x1301: ("sha256", AES, 16), 0x1302: ("sha384", AES, 32), 0x1303: ("sha256", CHACHA, 32),
    0x1304: ("sha256", CCM, 16), 0x1305: ("sha256", CCM8, 16),
}  # fmt: skip
#: the same of TLS 1.2, whose suites also name the key exchange (RFC 5288, 5289, 5487, 6655, 7251, 7905, 8442)
SUITES12 = {
    **dict.fromkeys((0x9C, 0x9E, 0xA0, 0xA2, 0xA4, 0xA6, 0xA8, 0xAA, 0xAC, 0xC02B, 0xC02D, 0xC02F, 0xC031, 0xD001), ("sha256", AES, 16)),
    **dict.fromkeys((0x9D, 0x9F, 0xA1, 0xA3, 0xA5, 0xA7, 0xA9, 0xAB, 0xAD, 0xC02C, 0xC02E, 0xC030, 0xC032, 0xD002), ("sha384", AES, 32)),
    **dict.fromkeys((0xC09C, 0xC09E, 0xC0A4, 0xC0A6, 0xC0AC), ("sha256", CCM, 16)),
    **dict.fromkeys((0xC09D, 0xC09F, 0xC0A5, 0xC0A7, 0xC0AD), ("sha256", CCM, 32)),
    **dict.fromkeys((0xC0A0, 0xC0A2, 0xC0A8, 0xC0AA, 0xC0AE), ("sha256", CCM8, 16)),
    **dict.fromkeys((0xC0A1, 0xC0A3, 0xC0A9, 0xC0AB, 0xC0AF), ("sha256", CCM8, 32)),
    **dict.fromkeys(range(0xCCA8, 0xCCAF), ("sha256", CHACHA, 32)),
}  # fmt: skip
#: the usual suites with CBC, which are not decrypted
CBC = {
    0x2F: "RSA_WITH_AES_128_CBC_SHA", 0x33: "DHE_RSA_WITH_AES_128_CBC_SHA", 0x35: "RSA_WITH_AES_256_CBC_SHA",
    0x39: "DHE_RSA_WITH_AES_256_CBC_SHA", 0x3C: "RSA_WITH_AES_128_CBC_SHA256", 0x3D: "RSA_WITH_AES_256_CBC_SHA256",
    0x67: "DHE_RSA_WITH_AES_128_CBC_SHA256", 0x6B: "DHE_RSA_WITH_AES_256_CBC_SHA256",
    0xC009: "ECDHE_ECDSA_WITH_AES_128_CBC_SHA", 0xC00A: "ECDHE_ECDSA_WITH_AES_256_CBC_SHA",
    0xC013: "ECDHE_RSA_WITH_AES_128_CBC_SHA", 0xC014: "ECDHE_RSA_WITH_AES_256_CBC_SHA",
    0xC023: "ECDHE_ECDSA_WITH_AES_128_CBC_SHA256", 0xC024: "ECDHE_ECDSA_WITH_AES_256_CBC_SHA384",
    0xC027: "ECDHE_RSA_WITH_AES_128_CBC_SHA256", 0xC028: "ECDHE_RSA_WITH_AES_256_CBC_SHA384",
}  # fmt: skip
#: the most bytes and lines of a key log that are read
MOST_KEYLOG, MOST_LINES = 1 << 20, 10_000
EXPLICIT = 8
INSTALL = "pip install pystack[decrypt]"


def read_keys(secrets: list[bytes]) -> Keys:
    """Return the secrets in key logs: those of TLS 1.3, and the master secrets of TLS 1.2 (CLIENT_RANDOM)."""
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


def prf(secret: bytes, label: bytes, seed: bytes, size: int, name: str) -> bytes:
    """Return the pseudorandom function of TLS 1.2 (RFC 5246 5)."""
    seed = label + seed
    found, chain = b"", seed
    while len(found) < size:
        chain = hmac.new(secret, chain, name).digest()
        found += hmac.new(secret, chain + seed, name).digest()
    return found[:size]


def cipher_of(kind: int, key: bytes) -> Any:
    """Return the cipher of a key. Bad is raised if the package cryptography is not there."""
    try:
        from cryptography.hazmat.primitives.ciphers.aead import AESCCM, AESGCM, ChaCha20Poly1305
    except ImportError:
        raise Bad(f"the capture has the keys; the package cryptography decrypts it: {INSTALL}") from None
    if kind == CHACHA:
        return ChaCha20Poly1305(key)
    return AESGCM(key) if kind == AES else AESCCM(key, 8 if kind == CCM8 else 16)


class RecordKey:
    """Opens the records of one side, in order. `number` counts them."""

    #: the type of a record is inside it
    hidden_type = False

    def __init__(self) -> None:
        self.number = 0
        self.cipher: Any = None

    def open(self, record: bytes) -> bytes:
        """Return what a record holds. Bad is raised if the key is another one."""
        try:
            plain = self.decrypt(record)
        except Exception:  # InvalidTag, or a record that is too short for one
            raise Bad("the records cannot be decrypted with the keys in the capture") from None
        self.number += 1
        return plain

    def decrypt(self, record: bytes) -> bytes:
        """Return what a record holds, or raise any exception."""
        raise NotImplementedError


class Key13(RecordKey):
    """The key of TLS 1.3 that follows from a secret (RFC 8446 7.3)."""

    hidden_type = True

    def __init__(self, suite: int, secret: bytes):
        super().__init__()
        self.suite, self.secret = suite, secret
        name, kind, size = SUITES[suite]
        self.cipher = cipher_of(kind, expand(secret, b"key", size, name))
        self.iv = int.from_bytes(expand(secret, b"iv", 12, name), "big")

    def decrypt(self, record: bytes) -> bytes:
        """Return what a record holds (RFC 8446 5.2)."""
        nonce = (self.iv ^ self.number).to_bytes(12, "big")
        plain: bytes = self.cipher.decrypt(nonce, record[5:], record[:5])
        return plain

    def next(self) -> "Key13":
        """Return the key after a KeyUpdate (RFC 8446 7.2)."""
        return Key13(self.suite, expand(self.secret, b"traffic upd", len(self.secret), SUITES[self.suite][0]))


class Key12(RecordKey):
    """The key of TLS 1.2 for the records of one side: 0 of the client, 1 of the server (RFC 5246 6.3)."""

    def __init__(self, suite: int, master: bytes, randoms: tuple[bytes, bytes], side: int):
        super().__init__()
        name, self.kind, size = SUITES12[suite]
        fixed = 12 if self.kind == CHACHA else 4
        block = prf(master, b"key expansion", randoms[1] + randoms[0], 2 * (size + fixed), name)
        self.cipher = cipher_of(self.kind, block[size * side : size * (side + 1)])
        at = 2 * size + fixed * side
        self.iv = block[at : at + fixed]
        self.tag = 8 if self.kind == CCM8 else 16

    def decrypt(self, record: bytes) -> bytes:
        """Return what a record holds (RFC 5246 6.2.3.3, RFC 5288 3, RFC 7905 2)."""
        if self.kind == CHACHA:
            data = record[5:]
            nonce = (int.from_bytes(self.iv, "big") ^ self.number).to_bytes(12, "big")
        else:
            nonce, data = self.iv + record[5 : 5 + EXPLICIT], record[5 + EXPLICIT :]
        size = len(data) - self.tag
        extra = self.number.to_bytes(8, "big") + record[:3] + size.to_bytes(2, "big")
        plain: bytes = self.cipher.decrypt(nonce, data, extra)
        return plain
