"""What is above TCP and UDP, against tshark: HTTP/1.1, DNS and TLS records; and what hostile bytes do to them."""

import random
import shutil
import ssl
import time

import pytest

from pystack.stepper import scenarios
from pystack.stepper.dissect import MALFORMED, dissect
from pystack.stepper.dissect import dns as names
from tests.stepper.dissect import pdml
from tests.stepper.dissect.corpus import Sample
from tests.stepper.dissect.test_fuzz import check
from tests.support import build

A, B = 0x0A000001, 0x0A000002


def tcp(data, sport=40000, dport=80):
    return build.ether(build.ipv4(A, B, 6, build.tcp(A, sport, B, dport, 0x18, 1, 1, data)))


def udp(data, sport=40000, dport=53):
    return build.ether(build.ipv4(A, B, 17, build.udp(A, sport, B, dport, data)))


def client_hello(name="www.shop.test"):
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    with pytest.raises(ssl.SSLWantReadError):
        context.wrap_bio(incoming, outgoing, server_hostname=name).do_handshake()
    return outgoing.read()


def record(kind, data, version=0x0303):
    return bytes((kind,)) + version.to_bytes(2, "big") + len(data).to_bytes(2, "big") + data


HTTP = {
    "get": b"GET /a/b?c=d HTTP/1.1\r\nHost: www.shop.test\r\nAccept: */*\r\n\r\n",
    "post": b'POST /orders HTTP/1.1\r\nHost: b\r\nContent-Length: 7\r\n\r\n{"a":1}',
    "ok": b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello",
    "not found": b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
}
SERVER_HELLO = bytes((2, 0, 0, 38)) + b"\3\3" + bytes(32) + b"\0\x13\1\0"
TLS = {
    "client hello": client_hello(),
    "hello and data": record(22, SERVER_HELLO) + record(20, b"\1") + record(23, b"x" * 60),
    "alert": record(21, b"\2\x28"),
    "data": record(23, random.Random(2).randbytes(400)),
}
#: the fields that are compared
NAMES_ALIKE = {
    "http.request.method", "http.request.uri", "http.request.version", "http.response.version", "http.response.code",
    "http.response.phrase", "http.request.line", "http.response.line",
    "dns.id", "dns.flags", "dns.flags.response", "dns.flags.opcode", "dns.flags.authoritative", "dns.flags.truncated",
    "dns.flags.recdesired", "dns.flags.recavail", "dns.flags.z", "dns.flags.authenticated", "dns.flags.checkdisable",
    "dns.flags.rcode", "dns.count.queries", "dns.count.answers", "dns.count.auth_rr", "dns.count.add_rr", "dns.qry.name",
    "dns.qry.type", "dns.qry.class", "dns.resp.name", "dns.resp.type", "dns.resp.class", "dns.resp.ttl", "dns.resp.len",
    "dns.a", "dns.ns", "dns.cname",
    "tls.record.content_type", "tls.record.version", "tls.record.length", "tls.handshake.type", "tls.handshake.length",
    "tls.handshake.extensions_server_name", "tls.alert_message.level", "tls.alert_message.desc",
}  # fmt: skip


@pytest.fixture(scope="module")
def samples():
    found = [Sample(f"http {name}", tcp(data)) for name, data in HTTP.items()]
    found += [Sample(f"tls {name}", tcp(data, 40000, 443)) for name, data in TLS.items()]
    for index, frame in enumerate(scenarios.get("dns-recursion").timeline().frames):
        found.append(Sample(f"dns {index}", frame.data))
    return found


def known(text):
    """tshark ends HTTP where the body begins, and gives each flag of DNS the place of both bytes (see below)."""
    return text.startswith(("dns.flags.", "http at byte"))


def flag_differences(tree, fields):
    """The bits of the flags: tshark draws them, for those that an answer or a question has."""
    drawn = [field for field in fields if field.name.startswith("dns.flags.") and field.bits]
    for field in drawn:
        problem = pdml._compare_bits(tree.find(field.name), field)
        if problem:
            yield f"{field.name}: {problem}"
    if tree.find("dns.flags") is not None and len(drawn) < 4:
        yield "tshark draws no flags"


@pytest.mark.skipif(shutil.which("tshark") is None, reason="needs tshark")
def test_each_field_is_where_tshark_has_it(samples, tmp_path):
    theirs = pdml.tshark(tmp_path / "app.pcapng", samples)
    seen, found = set(), []
    for sample, fields in zip(samples, theirs, strict=True):
        tree = dissect(sample.frame)
        seen |= {node.abbrev for node in tree.walk()}
        found += [
            f"{sample.name}: {text}" for text in pdml.differences(tree, fields, NAMES_ALIKE, True) if not known(text)
        ]
        found += [f"{sample.name}: {text}" for text in flag_differences(tree, fields)]
    assert found == [], "\n".join(found[:30])
    assert seen >= NAMES_ALIKE, NAMES_ALIKE - seen


@pytest.mark.skipif(shutil.which("tshark") is None, reason="needs tshark")
def test_each_name_is_one_of_wiresharks(samples):
    used = {node.abbrev for sample in samples for node in dissect(sample.frame).walk()} - {"", MALFORMED}
    assert used - pdml.known_names() == set()


def layer(frame):
    return dissect(frame).layers[-1]


def test_the_layer_in_one_line(samples):
    assert layer(tcp(HTTP["get"])).line == "HTTP: GET /a/b?c=d HTTP/1.1"
    assert layer(tcp(HTTP["ok"])).line == "HTTP: HTTP/1.1 200 OK"
    assert layer(tcp(TLS["client hello"])).line == "TLS: Client Hello for www.shop.test"
    assert layer(tcp(TLS["hello and data"])).line == "TLS: Server Hello, Change Cipher Spec, Application Data"
    lines = [layer(sample.frame).line for sample in samples if sample.name.startswith("dns")]
    assert lines[0].lower() == "dns: question: www.shop.test a"  # its letters are mixed against forged answers
    assert "a referral" in lines[2] and "CNAME" not in lines[2]
    assert any(line.lower().startswith("dns: answer to www.shop.test a: web.shop.test, ") for line in lines), lines


def test_other_bytes_are_no_layer():
    for data in (
        b"hello",
        b"GETAWAY /",
        b"HTTP",
        b"\x16\x03",
        b"\x16\x02\x00\x00\x05hello",
        b"",
        b"PRI * HTTP/2.0\r\n\r\n",
    ):
        assert layer(tcp(data)).abbrev == "tcp"
    assert layer(udp(b"\0" * 40, 1000, 2000)).abbrev == "udp"


def test_a_message_in_several_segments():
    whole = HTTP["get"]
    tree = layer(tcp(whole[:40]))
    assert tree.children[-1].text == "the head goes on in the next segment" and tree.text == "GET /a/b?c=d HTTP/1.1"
    tree = layer(tcp(TLS["data"][:100]))
    assert "305 bytes of the record are in the next segments" in [node.text for node in tree.children[0].children]
    query = names_query()
    over_tcp = len(query).to_bytes(2, "big") + query
    assert layer(tcp(over_tcp, 40000, 53)).text == "question: www.shop.test A"
    assert layer(tcp(over_tcp[:20], 40000, 53)).text == "a part of a message"


def names_query():
    return b"\x12\x34\1\0\0\1\0\0\0\0\0\0\3www\4shop\4test\0\0\1\0\1"


def test_compressed_names_end():
    """Pointers that lead to themselves, forwards, or in a circle are errors, and a chain of pointers is short."""
    head = b"\x12\x34\x81\x80\0\1\0\0\0\0\0\0"
    for name in (b"\xc0\x0c", b"\xc0\x10", b"\3abc\xc0\x0c", b"\xc0", b"\x40abc", b"\xff\xff", b"\3ab", b"\1a" * 200):
        tree = dissect(udp(head + name + b"\0\1\0\1"))
        assert tree.errors(), name
    assert names.name_at(b"\1a\0\1b\xc0\0", 0, 3, 7) == ("b.a", 7)


@pytest.mark.parametrize("seed", range(6))
def test_spoiled_bytes_do_no_harm(samples, seed):
    chooser = random.Random(seed)
    for sample in chooser.sample(samples, 12):
        for _ in range(12):
            data = bytearray(sample.frame)
            for _ in range(chooser.randrange(1, 6)):
                data[chooser.randrange(34, len(data))] = chooser.choice(
                    (0, 1, 0x0C, 0xC0, 0xFF, chooser.randrange(256))
                )
            check(bytes(data[: chooser.randrange(34, len(data) + 1)]), 1)
            check(build.fixup(bytes(data)), 1)


def test_the_work_for_one_frame_is_bounded():
    """64 KB of the smallest records, header lines and names are a few nodes."""
    head = b"\x12\x34\x81\x80\xff\xff\xff\xff\xff\xff\xff\xff"
    hostile = [
        tcp(b"GET / HTTP/1.1\r\n" + b"a:\r\n" * 15_000),
        tcp(record(23, b"") * 12_000, dport=443),
        udp(head + (b"\0\0\1\0\1") * 12_000),
        udp(head + b"\1a" * 120 + b"\0\0\1\0\1" + b"\xc0\x0c\0\1\0\1" * 10_000),
    ]
    began = time.process_time()
    for frame in hostile:
        assert sum(1 for _ in dissect(frame).walk()) < 1000
    assert time.process_time() - began < 30  # without the bounds, it would be minutes
