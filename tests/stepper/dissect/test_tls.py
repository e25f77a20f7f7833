"""What TLS hides, with the keys: of openssl, curl, PostgreSQL and asyncpg, compared with tshark; and what hostile records do."""

import random
import shutil
import ssl
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pystack.stepper import Timeline, messages
from pystack.stepper.dissect.messages import TalkReader, ciphers, tls
from pystack.stepper.dissect.messages.http1 import Http1
from pystack.stepper.dissect.messages.postgres import Postgres
from tests.stepper.dissect import wires
from tests.stepper.dissect.test_messages import differences, lines, needs_tshark, own, tshark

#: program -> Debian's package
PACKAGES = {"openssl": "openssl", "curl": "curl"}
SUITES = [
    "TLS_AES_128_CCM_SHA256", "TLS_AES_128_CCM_8_SHA256", "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-ECDSA-AES128-CCM", "ECDHE-ECDSA-AES256-CCM8",
]  # fmt: skip
REQUEST, ANSWER = "HTTP GET / HTTP/1.1", "HTTP/1.0 200 ok"


def needs(*programs):
    """Skip the test if a program or the package cryptography is missing."""
    pytest.importorskip("cryptography", reason="needs the package cryptography: pip install pystack[decrypt]")
    for program in programs:
        if shutil.which(program) is None:
            pytest.skip(f"needs {program} (package {PACKAGES[program]})")


def capture(said, keys, port=443, seed=None):
    return wires.pcapng(wires.frames(said, port, seed and random.Random(seed)), keys)


def by_tshark(data, path):
    """Return the frames of the requests that tshark finds, and all the text that it decrypts."""
    path.write_bytes(data)
    words = [
        "tshark",
        "-n",
        "-r",
        str(path),
        "-Y",
        "http.request",
        "-T",
        "fields",
        "-e",
        "frame.number",
        "-z",
        "follow,tls,ascii,0",
    ]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True)
    return {int(line) for line in done.stdout.splitlines() if line.isdigit() and int(line) < 100}, done.stdout


@pytest.mark.parametrize("suite", SUITES)
def test_every_suite_is_decrypted(suite, tmp_path):
    needs("openssl", "curl")
    said, keys = wires.tls(suite)
    for seed in (None, 2):
        assert lines(Timeline.of(capture(said, keys, seed=seed)))[:2] == [REQUEST, ANSWER]
    timeline = Timeline.of(capture(said, keys))
    ours = {one.frame + 1 for one in messages.messages_of(timeline).all(timeline) if one.message.line == REQUEST}
    if shutil.which("tshark"):
        requests, text = by_tshark(capture(said, keys), tmp_path / "tls.pcapng")
        assert requests >= ours and len(ours) == 1 and ANSWER.lower() in text.lower()
    spoiled = [(number, way, data[:-1] + bytes((data[-1] ^ 1,))) for number, way, data in said[-1:]]
    assert any("cannot be decrypted" in line for line in lines(Timeline.of(capture(said[:-1] + spoiled, keys))))
    assert lines(Timeline.of(capture(said, b""))) == []


def test_a_suite_with_cbc_is_named():
    needs("openssl", "curl")
    (line,) = lines(Timeline.of(capture(*wires.tls("ECDHE-ECDSA-AES128-SHA"))))
    assert line == (
        "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA is not decrypted, only AES-GCM, AES-CCM and ChaCha20-Poly1305 of TLS 1.2 and 1.3 are"
    )


def test_a_session_that_is_used_again():
    needs("openssl")
    for version in ("-tls1_2", "-tls1_3"):
        assert lines(Timeline.of(capture(*wires.resumed(version)))) == ["HTTP GET / HTTP/1.0", ANSWER] * 2


def test_early_data():
    """The client sends data before the server answers; a server that takes none ignores them, and the client sends the rest as usual."""
    needs("openssl")
    early = b"GET /early HTTP/1.0\r\n\r\n"
    first = ["HTTP GET / HTTP/1.0", ANSWER]
    found = lines(Timeline.of(capture(*wires.resumed("-tls1_3", early))))
    # the rest of what the client sends may come before the answer, or never, because the server closes
    assert found[:3] == [*first, "HTTP GET /early HTTP/1.0"] and found.count(ANSWER) == 2
    assert lines(Timeline.of(capture(*wires.resumed("-tls1_3", early, False)))) == first * 2


def postgres(version):
    needs("openssl")
    pytest.importorskip("asyncpg", reason="needs the package asyncpg")
    if not wires.postgres_binaries():
        pytest.skip("needs PostgreSQL (package postgresql)")
    return wires.postgres_tls(version)


@needs_tshark
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_postgres_in_tls_has_tsharks_values(version, tmp_path):
    data = capture(*postgres(version), 5432)
    ours, cut = own(Timeline.of(data))
    theirs = tshark(data, tmp_path / "tls.pcapng")
    assert len(theirs) > 40
    found = differences(ours, cut, theirs)
    assert found == [], "\n".join(found[:40])


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_postgres_in_tls_in_words(version):
    said, keys = postgres(version)
    found = lines(Timeline.of(capture(said, keys, 5432)))
    assert found[:2] == ["PostgreSQL SSLRequest", "PostgreSQL TLS begins, so the messages after it are encrypted"]
    assert found[2].startswith("PostgreSQL StartupMessage: version 3.0, user postgres")
    assert any(line.startswith("PostgreSQL Parse: ") and line.endswith(" SELECT 'x' || $1::text") for line in found)
    assert lines(Timeline.of(capture(said, keys, 5432, seed=3))) == found
    hidden = Timeline.of(capture(said, b"", 5432))
    assert lines(hidden) == found[:2]
    # the records are fields of their frames, although PostgreSQL is known
    assert any(messages.tree(frame).find("tls.record") for frame in hidden.frames)


def test_tls_in_a_tunnel():
    """After CONNECT through a proxy, the connection of TLS is decrypted, too."""
    needs("openssl", "curl")
    said, keys = wires.tls("ECDHE-ECDSA-AES128-GCM-SHA256")
    before = [(0, 0, b"CONNECT server:443 HTTP/1.1\r\n\r\n"), (0, 1, b"HTTP/1.1 200 ok\r\n\r\n")]
    found = lines(Timeline.of(capture(before + said, keys, 3128)))
    assert found == ["HTTP CONNECT server:443 HTTP/1.1", "HTTP/1.1 200 ok", REQUEST, ANSWER]


# --- by hand -----------------------------------------------------------------------------------------------------------

HELLO = b"\x16\3\1\0\x28\1\0\0\x24\3\3" + bytes(34)
ANSWER12 = b"\x16\3\3\0\x2a\2\0\0\x26\3\3" + b"\7" * 32 + b"\0%b\0"
CHANGE = b"\x14\3\3\0\1\1"
MASTER = b"m" * 48


def sealed(side, suite, number, kind, data):
    """Return a record of TLS 1.2, encrypted by this test."""
    key = ciphers.Key12(suite, MASTER, (bytes(32), b"\7" * 32), side)
    extra = number.to_bytes(8, "big") + bytes((kind, 3, 3)) + len(data).to_bytes(2, "big")
    if key.kind == ciphers.CHACHA:
        nonce = (int.from_bytes(key.iv, "big") ^ number).to_bytes(12, "big")
        body = key.cipher.encrypt(nonce, data, extra)
    else:
        explicit = b"explicit"
        body = explicit + key.cipher.encrypt(key.iv + explicit, data, extra)
    return bytes((kind, 3, 3)) + len(body).to_bytes(2, "big") + body


def spoken(suite, requests):
    """Return what both sides say, with a handshake that is as short as can be."""
    code = suite.to_bytes(2, "big")
    said = [(0, HELLO), (1, ANSWER12 % code), (0, CHANGE), (0, sealed(0, suite, 0, 22, b"\x14\0\0\x0c" + bytes(12)))]
    said += [(1, CHANGE), (1, sealed(1, suite, 0, 22, b"\x14\0\0\x0c" + bytes(12)))]
    return said + [(0, sealed(0, suite, number, 23, text)) for number, text in enumerate(requests, 1)]


@pytest.mark.parametrize("suite", [0x9C, 0xC030, 0xC0AE, 0xCCA8])
def test_the_order_of_records_counts(suite):
    needs()
    requests = [b"GET /1 HTTP/1.1\r\n\r\n", b"GET /2 HTTP/1.1\r\n\r\n"]
    keys = {bytes(32): {"CLIENT_RANDOM": MASTER}}

    def heard(said):
        talk = TalkReader((40_000, 443), keys=keys)
        return [message.line for way, data in said for message in talk.take(way, data)]

    said = spoken(suite, requests)
    assert heard(said) == ["HTTP GET /1 HTTP/1.1", "HTTP GET /2 HTTP/1.1"]
    assert heard(said[:-2] + said[:-3:-1]) == ["TLS the records cannot be decrypted with the keys in the capture"]
    assert heard(said[:-2] + said[-1:]) == ["TLS the records cannot be decrypted with the keys in the capture"]
    other = {bytes(32): {"EXPORTER_SECRET": MASTER}}
    talk = TalkReader((40_000, 443), keys=other)
    (line,) = [message.line for way, data in said for message in talk.take(way, data)]
    assert line == "TLS the capture has no CLIENT_RANDOM of this connection"


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_spoiled_records_of_tls_1_2_do_no_harm(data):
    needs()
    suite = data.draw(st.sampled_from((0x9C, 0xC0AE, 0xCCA8, 0x2F)))
    said = spoken(suite if suite != 0x2F else 0x9C, [b"GET /1 HTTP/1.1\r\n\r\n"])
    talk = TalkReader((40_000, 443), keys={bytes(32): {"CLIENT_RANDOM": MASTER}})
    for way, good in said:
        changed = bytearray(good)
        for _ in range(data.draw(st.integers(0, 2))):
            changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
        for message in talk.take(way, bytes(changed)):
            assert message.title in ("TLS", Http1.title, Postgres.title) and message.end > message.start


def test_the_work_of_a_forged_handshake_is_bounded(monkeypatch):
    """Keys are made at most so many times in a connection, and early data is tried once."""
    needs()
    made = []
    for name in ("Key12", "Key13"):
        kind = getattr(ciphers, name)
        monkeypatch.setattr(tls, name, lambda *values, kind=kind: made.append(kind) or kind(*values))
    keys = {bytes(32): {"CLIENT_RANDOM": MASTER, "CLIENT_EARLY_TRAFFIC_SECRET": b"s" * 32}}
    talk = TalkReader((40_000, 443), keys=keys)
    talk.take(0, HELLO + b"\x17\3\3\0\x20" + bytes(32))
    tried = len(made)
    for _ in range(200):
        talk.take(0, b"\x17\3\3\0\x20" + bytes(32))
    assert len(made) == tried == 4
    (line,) = [one.line for _ in range(200) for one in talk.take(1, ANSWER12 % b"\0\x9c")]
    assert line == f"TLS more than {tls.MOST_CHANGES} changes of keys" and len(made) == tried + 2 * tls.MOST_CHANGES


def test_the_prf_of_the_memo():
    """The test vector for SHA-256 that is passed around on the list of the working group."""
    secret = bytes.fromhex("9bbe436ba940f017b17652849a71db35")
    seed = bytes.fromhex("a0ba9f936cda311827a6f796ffd5198c")
    found = ciphers.prf(secret, b"test label", seed, 100, "sha256").hex()
    assert found.startswith("e3f229ba727be17b8d122620557cd453c2aab21d07c3d495329b52d4e61edb5a")


def test_tls_after_postgres_without_keys_is_left_alone():
    talk = TalkReader((40_000, 5432))
    said = [(0, b"\0\0\0\x08\x04\xd2\x16\x2f"), (1, b"S"), (0, HELLO), (1, b"\x17\3\3\0\1x"), (0, b"no record")]
    assert len([message for way, data in said for message in talk.take(way, data)]) == 2
