"""The messages of real programs, each field compared with tshark's value; and what hostile bytes and other segments do."""

import datetime
import random
import shutil
import struct
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
import zlib
from collections import defaultdict

import click
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from pystack.cli.main import cli
from pystack.labs.lab_30_wireshark_http2 import experiment as lab_30
from pystack.stepper import Timeline, messages, text
from pystack.stepper.dissect import MALFORMED
from pystack.stepper.dissect.messages import CHOICES, TalkReader
from pystack.stepper.dissect.messages.bson import Damaged, Document
from pystack.stepper.dissect.messages.ciphers import read_keys
from pystack.stepper.dissect.messages.http1 import Http1
from pystack.stepper.search import search
from pystack.stepper.streams import Payload, StreamSide
from pystack.stepper.tui import ladder
from pystack.stepper.tui.session import TerminalSession
from pystack.stepper.web.data import Trace
from tests.stepper.dissect import pdml, wires
from tests.stepper.dissect.test_fuzz import inside
from tests.support import build

needs_tshark = pytest.mark.skipif(shutil.which("tshark") is None, reason="needs tshark")

#: the ports that make tshark choose its dissectors
PORTS = {
    "http2": 80,
    "h2": 80,
    "websocket": 80,
    "websocket plain": 80,
    "sse": 80,
    "sse until close": 80,
    "postgres": 5432,
    "mongo": 27017,
}
NEEDS = {
    "http2": ("nghttpd", "nghttp", "curl"), "h2": (), "websocket": (), "websocket plain": (), "sse": ("curl",),
    "sse until close": ("curl",), "postgres": ("psql",), "mongo": (),
}  # fmt: skip
PACKAGES = {
    "http2": "hpack",
    "h2": "h2",
    "websocket": "websockets",
    "websocket plain": "websockets",
    "postgres": "asyncpg",
    "mongo": "nx_27017",
}


@pytest.fixture(scope="module")
def talks():
    """Return what the programs of a conversation said, or skip the test."""

    def said(name):
        for program in NEEDS[name]:
            if shutil.which(program, path="/usr/bin:/usr/sbin:/bin") is None:
                pytest.skip(f"needs {program}")
        if name in PACKAGES:
            pytest.importorskip(PACKAGES[name])
        if name == "postgres":
            if not wires.postgres_binaries():
                pytest.skip("needs postgresql")
            return wires.postgres()
        plain = {"websocket plain": lambda: wires.websocket(None), "sse until close": lambda: wires.sse(False)}
        return plain[name]() if name in plain else getattr(wires, name)()

    return said


#: the fields that are compared, and nothing that tshark shows under these names may be missing
COMPARED = {
    "http2": (
        "http2.magic", "http2.length", "http2.type", "http2.flags", "http2.flags.end_stream", "http2.flags.eh", "http2.flags.padded",
        "http2.flags.priority", "http2.flags.ack.settings", "http2.flags.ack.ping", "http2.r", "http2.streamid", "http2.padding",
        "http2.header.name", "http2.header.value", "http2.headers", "http2.continuation.header", "http2.data.data",
        "http2.settings.id", "http2.settings.header_table_size", "http2.settings.enable_push", "http2.settings.max_concurrent_streams",
        "http2.settings.initial_window_size", "http2.settings.max_frame_size", "http2.settings.max_header_list_size",
        "http2.settings.unknown", "http2.ping", "http2.pong", "http2.rst_stream.error", "http2.goaway.r", "http2.goaway.last_stream_id",
        "http2.goaway.error", "http2.goaway.addata", "http2.window_update.r", "http2.window_update.window_size_increment",
        "http2.exclusive", "http2.stream_dependency", "http2.headers.weight", "http2.push_promise.r",
        "http2.push_promise.promised_stream_id", "http2.push_promise.header", "http2.headers.padding", "http2.data.padding",
    ),
    "websocket": (
        "websocket.fin", "websocket.rsv", "websocket.pmc", "websocket.opcode", "websocket.mask", "websocket.payload_length",
        "websocket.payload_length_ext_16", "websocket.payload_length_ext_64", "websocket.masking_key",
        "websocket.payload.close.status_code", "websocket.payload.close.reason", "websocket.payload.ping", "websocket.payload.pong",
    ),
    "pgsql": (
        "pgsql.type", "pgsql.length", "pgsql.version_major", "pgsql.version_minor", "pgsql.request_code", "pgsql.parameter_name",
        "pgsql.parameter_value", "pgsql.query", "pgsql.authtype", "pgsql.auth.sasl.mech", "pgsql.auth.sasl.data.length",
        "pgsql.auth.sasl.data", "pgsql.statement", "pgsql.portal", "pgsql.returns", "pgsql.tag", "pgsql.status", "pgsql.pid", "pgsql.key",
        "pgsql.field.count", "pgsql.oid.table", "pgsql.oid.type", "pgsql.col.index", "pgsql.col.name", "pgsql.col.typemod",
        "pgsql.val.length", "pgsql.val.data", "pgsql.format", "pgsql.ssl_response", "pgsql.severity", "pgsql.text", "pgsql.code",
        "pgsql.message", "pgsql.position", "pgsql.where", "pgsql.file", "pgsql.line", "pgsql.routine", "pgsql.copydata",
    ),
    "mongo": (
        "mongo.message_length", "mongo.request_id", "mongo.response_to", "mongo.opcode", "mongo.msg.flags",
        "mongo.msg.flags.checksumpresent", "mongo.msg.flags.moretocome", "mongo.msg.flags.exhaustallowed",
        "mongo.msg.sections.section.kind", "mongo.msg.sections.section.size", "mongo.msg.sections.section.doc_sequence_id",
        "mongo.document.length", "mongo.element.name", "mongo.element.type", "mongo.element.value.length",
        "mongo.element.value.string", "mongo.element.value.int", "mongo.element.value.int64", "mongo.element.value.double",
        "mongo.element.value.bool", "mongo.element.value.bytes", "mongo.element.value.objectid", "mongo.element.value.decimal128",
        "mongo.element.value.regex.pattern", "mongo.element.value.regex.options",
    ),
}  # fmt: skip
EVERYTHING = {name for names in COMPARED.values() for name in names}


def tshark(capture, path, *options):
    """Return {(frame number, field): values} of a capture, where a value is in hex digits, or a number for a part of a byte."""
    path.write_bytes(capture)
    command = ["tshark", "-r", str(path), "-T", "pdml", "-n", *options]
    done = subprocess.run(command, capture_output=True, timeout=120, check=True)
    found = defaultdict(list)
    for number, packet in enumerate(ElementTree.fromstring(done.stdout).findall("packet"), 1):
        parents = {field: parent for parent in packet.iter() for field in parent}
        shows = {field.get("name"): field.get("show") for field in packet.iter("field")}
        way = f"{shows.get('tcp.srcport')}-{shows.get('tcp.dstport')}"
        for field in packet.iter("field"):
            name, parent = field.get("name"), parents[field]
            beside = [other.get("name") for other in parent]
            # It shows the body of a stream once more, with the last frame, and a flag that CONTINUATION has not (RFC 9113 6.10).
            odd = name == "http2.flags.padded" and "http2.flags.unused_continuation" in beside
            again = name == "http2.data.data" and "http2.body.fragments" in beside
            if name in EVERYTHING and int(field.get("size", "0")) and not odd and not again:
                found[place(number, name, way), name].append(field.get("value") or "")
    return found


def place(number, name, way):
    """tshark shows a header with its first byte, and the stepper with the end of the block, which may be a later frame.

    Frames of the other direction may be between these. So the headers of each direction of a connection are compared by themselves.
    """
    return f"0, ports {way}" if name.startswith("http2.header.") else number


def own(timeline):
    """Return the same of the stepper: {(frame number, field): nodes}, and the frames of which not all is shown."""
    found, cut = defaultdict(list), set()
    for said in messages.messages_of(timeline).all(timeline):
        number = said.frame + 1
        ends = timeline.frames[said.frame].conn.rpartition(" tcp ")[2].partition(" ")[0].split("-")
        way = "-".join(end.rpartition(":")[2] for end in ends)
        for node in (node for top in said.message.nodes for node in top.walk()):
            if node.abbrev in EVERYTHING and node.value != b"":  # tshark gives an empty value no place
                found[place(number, node.abbrev, way), node.abbrev].append(node)
            if "not shown" in node.text or node.name.startswith("More "):
                cut.add(number)
    return found, cut


def same(node, value):
    if not node.width_bits:  # decrypted: it has no place, and parts of bytes are bytes
        return int.from_bytes(node.value, "big") == int(value or "0", 16)
    if node.width_bits % 8 or node.name in ("Fin", "Mask"):
        return node.value == int(value or "0", 16)
    digits = node.value.hex() if isinstance(node.value, bytes) else f"{node.value:0{node.width_bits // 4}x}"
    return digits == value.lower()


def differences(ours, cut, theirs):
    """In words; nothing if both say the same. Of a frame with more fields than are shown, the first ones are compared."""
    found = []
    for key in sorted(set(ours) | set(theirs), key=str):
        mine, others = ours.get(key, []), theirs.get(key, [])
        if key[0] in cut:
            others = others[: len(mine)]
        if len(mine) != len(others):
            found.append(f"frame {key[0]}: {key[1]}: {len(mine)} here, and {len(others)} in tshark")
        for node, value in zip(mine, others):
            if not same(node, value):
                found.append(f"frame {key[0]}: {key[1]}: {node.value!r} here, and {value} in tshark")
    return found


@needs_tshark
@pytest.mark.parametrize("name", [name for name in PORTS if not name.startswith("sse")])
def test_each_field_has_tsharks_value(talks, name, tmp_path):
    capture = wires.pcapng(wires.frames(talks(name), PORTS[name]))
    ours, cut = own(Timeline.of(capture))
    # the server's first frame may come before the client's preface, and tshark does not look back
    options = ("-d", "tcp.port==80,http2") if name in ("http2", "h2") else ()
    theirs = tshark(capture, tmp_path / "talk.pcapng", *options)
    assert len(theirs) > 60
    found = differences(ours, cut, theirs)
    assert found == [], "\n".join(found[:40])


@needs_tshark
def test_each_compared_field_was_seen(talks):
    seen = set()
    for name in PORTS:
        seen |= {field for _, field in own(wires.timeline(talks(name), PORTS[name]))[0]}
    assert EVERYTHING - seen == set()


@needs_tshark
def test_each_name_is_one_of_wiresharks(talks):
    used = set()
    for name in PORTS:
        timeline = wires.timeline(talks(name), PORTS[name])
        for said in messages.messages_of(timeline).all(timeline):
            used |= {said.message.protocol} | {node.abbrev for top in said.message.nodes for node in top.walk()}
    assert used - pdml.known_names() - {"", MALFORMED} == set()


def said(timeline):
    return [(one.message.way, one.message.line) for one in messages.messages_of(timeline).all(timeline)]


def lines(timeline, way=None):
    return [line for side, line in said(timeline) if way in (None, side)]


@needs_tshark
@pytest.mark.parametrize("name", ["h2", "websocket plain", "postgres", "mongo"])
def test_control_a_changed_byte_is_noticed(talks, name, tmp_path):
    """A bit of each compared field is changed in the capture that tshark gets: the comparison finds it."""
    spoken = talks(name)
    found, cut = own(wires.timeline(spoken, PORTS[name]))
    options = ("-d", "tcp.port==80,http2") if name == "h2" else ()
    theirs = tshark(wires.pcapng(wires.frames(spoken, PORTS[name])), tmp_path / "good.pcapng", *options)
    assert differences(found, cut, theirs) == []
    missed = []
    for key, values in theirs.items():
        changed = dict(theirs)
        digit = values[-1][-1:] or "0"
        changed[key] = [*values[:-1], values[-1][:-1] + ("0" if digit != "0" else "1")]
        shown = len(found.get(key, []))
        if shown == len(values) and not differences(found, cut, changed):
            missed.append(key)
    assert missed == []
    # and in the bytes themselves: one side of the comparison gets another number
    number, at = {"websocket plain": (2, 2), "mongo": (2, -2)}.get(name, (4, -1))
    connection, way, data = spoken[number]
    changed_data = bytearray(data)
    changed_data[at] ^= 1
    spoiled = [*spoken[:number], (connection, way, bytes(changed_data)), *spoken[number + 1 :]]
    assert differences(own(wires.timeline(spoiled, PORTS[name]))[0], cut, theirs) != []


@pytest.mark.parametrize("name", PORTS)
def test_the_segments_do_not_matter(talks, name):
    """The same bytes in segments that end anywhere, with repeats, are the same messages with the same fields."""
    spoken = talks(name)
    whole = wires.timeline(spoken, PORTS[name])
    expected = [one.message for one in messages.messages_of(whole).all(whole)]
    assert len(expected) >= 8
    for seed in range(3):
        if sum(len(data) for _, _, data in spoken) > 60_000 and seed:
            continue
        other = wires.timeline(spoken, PORTS[name], seed)
        found = [one.message for one in messages.messages_of(other).all(other)]
        for way in (0, 1):
            one, two = ([(m.line, m.start, m.nodes) for m in side if m.way == way] for side in (expected, found))
            assert sorted(one, key=lambda m: m[:2]) == sorted(two, key=lambda m: m[:2])


def test_http2_in_words(talks):
    found = said(wires.timeline(talks("h2"), 80))
    for way, line in (
        (0, "HTTP/2 connection preface"),
        (0, "HTTP/2 HEADERS, stream 1: GET /orders"),
        (0, "HTTP/2 PING"),
        (1, "HTTP/2 PING: ACK"),
        (1, "HTTP/2 HEADERS, stream 1: 200"),
        (1, "HTTP/2 DATA, stream 1: 180 bytes, end of the stream"),
        (1, "HTTP/2 PUSH_PROMISE, stream 1: GET /style.css"),
        (1, "HTTP/2 RST_STREAM, stream 3: ENHANCE_YOUR_CALM"),
        (0, "HTTP/2 WINDOW_UPDATE, stream 5: 700 more bytes"),
        (1, "HTTP/2 GOAWAY: INTERNAL_ERROR, last stream 5"),
    ):
        assert (way, line) in found, line


@pytest.mark.parametrize("name", ["websocket", "websocket plain"])
def test_websocket_in_words(talks, name):
    found = said(wires.timeline(talks(name), 80))
    assert found[:2] == [(0, "HTTP GET /chat HTTP/1.1"), (1, "HTTP/1.1 101 Switching Protocols")]
    for line in ('Text "hello"', 'Text "Grüße"', "Binary: 60 bytes", 'Text ""', 'Text "a message ", more parts follow',
                 'Close 1001 (going away) "that is all"'):  # fmt: skip
        assert (0, f"WebSocket {line}") in found, line
    assert (1, 'WebSocket Text "a message in three pieces"') in found
    assert (0, 'WebSocket Ping "there?"') in found and (1, 'WebSocket Pong "there?"') in found


@pytest.mark.parametrize("name", ["sse", "sse until close"])
def test_events_in_words(talks, name):
    timeline = wires.timeline(talks(name), 80)
    assert lines(timeline, 1) == [
        "HTTP/1.1 200 OK",
        "SSE comment",
        'SSE event: "first"',
        'SSE event price, id 7: "12 13"',
        "SSE event, retry 2500 ms, without data",
        'SSE event: "no space"',
        'SSE event: "Grüße"',
        "SSE event empty, without data",
        'SSE event, retry soon, which is no number: ""',
    ]
    fields = {node.name for one in messages.messages_of(timeline).all(timeline) for node in one.message.nodes}
    assert {"event", "data", "id", "retry", "Comment", "unknown"} <= fields


@needs_tshark
def test_the_events_are_those_of_the_body_that_tshark_sees(talks, tmp_path):
    path = tmp_path / "events.pcapng"
    spoken = talks("sse")
    path.write_bytes(wires.pcapng(wires.frames(spoken, 80)))
    command = ["tshark", "-r", str(path), "-Y", "http.response", "-T", "fields", "-e", "http.file_data"]
    body = bytes.fromhex(subprocess.run(command, capture_output=True, timeout=60, check=True, text=True).stdout.strip())
    theirs = [line.partition(b":")[2].removeprefix(b" ") for line in body.splitlines() if line]
    timeline = wires.timeline(spoken, 80)
    ours = [
        node.value
        for one in messages.messages_of(timeline).all(timeline)
        if one.message.title == "SSE"
        for node in one.message.nodes
        if node.name not in ("End of the event", "Note")
    ]
    assert ours == theirs and len(ours) > 10


def test_postgres_in_words(talks):
    found = said(wires.timeline(talks("postgres"), 5432))
    for way, line in (
        (0, "SSLRequest"), (1, "no TLS"), (0, "StartupMessage: version 3.0, user postgres, database postgres"),
        (1, "AuthenticationSASL"), (0, "SASLInitialResponse: SCRAM-SHA-256"), (1, "AuthenticationOk"),
        (0, "Query: SELECT 1 AS one, NULL AS nothing, 'text' AS word;"), (1, "RowDescription: one, nothing, word"),
        (1, "DataRow: 1, NULL, text"), (1, "CommandComplete: SELECT 1"), (1, "ReadyForQuery: idle"),
        (1, 'ErrorResponse: ERROR 42703 column "broken" does not exist'), (1, "NoticeResponse: NOTICE 00000 listen"),
        (0, "Bind: sums (0x0000000a)"), (0, "Execute"), (1, "PortalSuspended"), (0, "Terminate"),
    ):  # fmt: skip
        assert (way, f"PostgreSQL {line}") in found, line


def test_mongo_in_words(talks):
    found = lines(wires.timeline(talks("mongo"), 27017))
    for part in (
        'insert "items" in base, 150 in documents', "ok, n 150", 'find "items" in base', "ok, 60 documents, the cursor",
        'getMore "items" in base', "ok, 30 documents", "noSuchCommand in base",
    ):  # fmt: skip
        assert any(part in line for line in found), part
    assert all(line.startswith("MongoDB OP_MSG ") for line in found)


def test_bson_has_the_values_that_the_package_bson_gives():
    """The package of pymongo writes documents of every type, and the fields have its values."""
    bson = pytest.importorskip("bson")
    document = {
        "double": -0.25, "text": "Grüße", "inner": {"a": [1, 2, {"b": None}]}, "bytes": b"\0\1", "yes": True, "no": False,
        "id": bson.ObjectId("0123456789abcdef01234567"), "long": bson.Int64(-(1 << 40)), "int": -7, "empty": {}, "none": [],
        "when": datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC), "time": bson.Timestamp(5, 6), "nothing": None,
        "regex": bson.Regex("^a", "i"), "code": bson.Code("f()"), "scope": bson.Code("g()", {"x": 1}), "min": bson.MinKey(),
        "number": bson.Decimal128("1.25"), "ref": bson.DBRef("c", 1),
    }  # fmt: skip
    data = bson.encode(document)
    found = Document(data, 0, len(data))
    assert found.end == len(data) and list(found.top) == list(document)
    shown = {
        "double": "-0.25", "text": '"Grüße"', "yes": "true", "no": "false", "long": str(-(1 << 40)), "int": "-7", "nothing": "null",
        "id": "0123456789abcdef01234567", "when": "2026-01-02T03:04:05+00:00", "time": "5, 6", "regex": "^a", "code": '"f()"',
        "bytes": "2 bytes", "empty": "document, empty", "none": "array, empty", "min": "min key", "inner": "document, 1 element",
    }  # fmt: skip
    assert {name: found.top[name] for name in shown} == shown
    for cut in range(len(data)):
        with pytest.raises(Damaged):
            Document(data[:cut], 0, cut)


# --- what is recognised ------------------------------------------------------------------------------------------------


def heard(*pieces, ports=(40_000, 80), chosen=""):
    talk = TalkReader(ports, chosen)
    return [message for way, data in pieces for message in talk.take(way, data)]


def test_other_bytes_are_no_messages():
    chooser = random.Random(5)
    samples = [
        b"SSH-2.0-OpenSSH_9.2\r\n", b"GET lost\r\n\r\n", b"GET / HTTP/3\r\n\r\n", b"\x16\x03\x01\x00\x05hello", b"\0" * 100,
        b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", b"HTTP/1.1 OK\r\n\r\n", b"\0\0\0\x10\0\3\0\0database\0\0", b"event: x\ndata: y\n\n",
        b"\0\0\x12\x04\0\0\0\0\0" + bytes(18), b"\x81\x05hello", b"Q\0\0\0\x0dSELECT 1\0", b"",
    ]  # fmt: skip
    samples += [chooser.randbytes(chooser.randrange(1, 300)) for _ in range(2000)]
    # the lengths and the opcode of MongoDB, and nothing else of it
    samples += [
        struct.pack("<iiiiI", 60, 1, 0, 2013, 0) + b"\x07" + bytes(39),
        struct.pack("<iiii", 60, 1, 0, 2010) + bytes(44),
    ]
    for data in samples:
        for order in ((0, 1), (1, 0)):
            assert heard((order[0], data), (order[1], data)) == [], data


def test_decode_as():
    query = b"Q\0\0\0\x0dSELECT 1\0"
    assert heard((0, query)) == []
    assert [one.line for one in heard((0, query), ports=(40_000, 5432))] == ["PostgreSQL Query: SELECT 1"]
    assert [one.line for one in heard((0, b"\x81\x85\1\2\3\4igohn"), chosen="websocket")] == ['WebSocket Text "hello"']
    get = b"GET / HTTP/1.1\r\n\r\n"
    assert heard((0, get), chosen="none") == [] != heard((0, get))
    assert "malformed" in heard((0, get), chosen="http2")[0].line
    timeline = wires.timeline([(0, 0, query)], 9999)
    assert lines(timeline) == []
    for wrong in ("9999", "9999=", "9999=quic", "0=http", "x=http", "70000=http", "=http", "٣=http"):
        with pytest.raises(ValueError, match="PORT=PROTOCOL"):
            messages.decode_as(timeline, (wrong,))


def test_a_protocol_chosen_for_a_port():
    startup = struct.pack(">II", 24, 196608) + b"user\0me\0extra\0\0\0"
    timeline = wires.timeline([(0, 0, startup), (0, 1, b"Z\0\0\0\5I")], 9999)
    assert lines(timeline)[1:] == ["PostgreSQL ReadyForQuery: idle"]
    messages.decode_as(timeline, ("9999=none",))
    assert lines(timeline) == []


def test_an_upgrade_to_http2(talks):
    """RFC 7540 3.2: the request is stream 1, and the preface follows."""
    pytest.importorskip("hpack")
    h2 = talks("h2")
    get = b"GET / HTTP/1.1\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\r\n"
    switch = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n"
    found = [one.line for one in heard((0, get), (1, switch), *((way, data) for _, way, data in h2))]
    assert found[:3] == ["HTTP GET / HTTP/1.1", "HTTP/1.1 101 Switching Protocols", "HTTP/2 connection preface"]
    assert "HTTP/2 HEADERS, stream 1: GET /orders" in found


def test_tls_hides_the_messages_of_postgres():
    found = heard((0, struct.pack(">II", 8, 80877103)), (1, b"S"), (0, b"\x16\x03\x01\x00\x05hello"))
    assert [one.line for one in found] == [
        "PostgreSQL SSLRequest",
        "PostgreSQL TLS begins, so the messages after it are encrypted",
    ]


def test_where_bodies_end():
    """Requests behind bodies of all kinds are found, and what is in a body is none (RFC 9112 6.3)."""
    inside = b"GET /no HTTP/1.1\r\n\r\n"
    ask = b"HEAD /a HTTP/1.1\r\n\r\nPOST /b HTTP/1.1\r\nContent-Length: %d\r\n\r\n%s" % (len(inside), inside)
    ask += (
        b"PUT /c HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n%x;x=y\r\n%s\r\n0\r\nT: x\r\n\r\nGET /d HTTP/1.1\r\n\r\n"
        % (len(inside), inside)
    )
    answers = (
        b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n"
    )
    answers += b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\nHTTP/1.0 200 OK\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"
    found = heard((0, ask), (1, answers))
    assert [one.line for one in found] == [
        "HTTP HEAD /a HTTP/1.1", "HTTP POST /b HTTP/1.1", "HTTP PUT /c HTTP/1.1", "HTTP GET /d HTTP/1.1", "HTTP/1.1 200 OK",
        "HTTP/1.1 100 Continue", "HTTP/1.1 204 No Content", "HTTP/1.1 304 Not Modified", "HTTP/1.0 200 OK",
    ]  # fmt: skip


# --- damaged streams -----------------------------------------------------------------------------------------------------

H2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"
GET = b"GET / HTTP/1.1\r\n\r\n"
UPGRADED = (0, GET), (1, b"HTTP/1.1 101 X\r\nUpgrade: websocket\r\n\r\n")


@pytest.mark.parametrize(
    ("pieces", "why"),
    [
        (((0, H2 + b"\0\x40\1\0\0\0\0\0\1"),), "a frame of 16385 bytes; its receiver takes at most 16384"),
        (((0, H2 + b"\0\0\1\1\4\0\0\0\1\xff"),), "the header block cannot be decoded"),
        (((0, H2 + b"\0\0\3\6\0\0\0\0\0abc"),), "a payload of 3 bytes; this type has 8"),
        (((0, H2 + b"\0\0\0\1\4\0\0\0\0"),), "a frame of this type belongs to a stream"),
        (((0, H2 + b"\0\0\1\x09\4\0\0\0\1\x82"),), "no header block goes on here"),
        (((0, H2 + b"\0\0\1\0\x08\0\0\0\1\5"),), "more padding than payload"),
        (((0, H2 + b"\0\0\5\4\0\0\0\0\0abcde"),), "5 bytes are no whole number of settings"),
        ((*UPGRADED, (0, b"\x81\5hello")), "a frame of the client is not masked"),
        ((*UPGRADED, (1, b"\x83\5hello")), "the opcode 3 does not exist"),
        ((*UPGRADED, (1, b"\xc1\5hello")), "a reserved bit is set"),
        ((*UPGRADED, (1, b"\x09\0")), "a control frame"),
        ((*UPGRADED, (1, b"\x81\x7f" + b"\xff" * 8)), "a length of more than 63 bits"),
        (((0, GET + b"nonsense\r\n\r\n"),), "no request line"),
        (((0, GET), (1, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n")), "no hexadecimal number"),
        (((0, GET), (1, b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n")), "Content-Length is no number"),
        (((0, struct.pack(">II", 8, 80877103) + b"\0\0\0\3"),), "a length of 3 bytes"),
        (((0, struct.pack(">II", 8, 80877103)), (1, b"N"), (1, b"\xff\0")), "no message has the type 0xff"),
        (((0, struct.pack("<iiiiIBi", 31, 1, 0, 2013, 0, 0, 10) + b"\x01abcdefgh\0"),), "does not end"),
    ],
)
def test_a_damaged_stream_is_malformed(pieces, why):
    found = heard(*pieces)
    assert "malformed" in found[-1].line
    texts = [found[-1].line, *(node.text for top in found[-1].nodes for node in top.walk() if node.abbrev == MALFORMED)]
    assert any(why in text for text in texts), texts
    # the other side goes on, and this one is silent if the next message cannot be found
    heard(*pieces, *((way, bytes(range(256))) for way in (0, 1)))


def test_a_damaged_header_block_spoils_the_later_ones():
    found = heard((0, H2 + b"\0\0\1\1\4\0\0\0\1\xff" + b"\0\0\1\1\4\0\0\0\3\x82"))
    assert [one.line.partition(": ")[2][:40] for one in found[-2:]] == [
        "malformed: the header block cannot be de",
        "malformed: an earlier header block was d",
    ]


def test_without_hpack_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "hpack", None)
    found = heard((0, H2 + b"\0\0\1\1\4\0\0\0\1\x82"))
    assert "the package hpack decodes them: pip install pystack[dissect]" in found[-1].line
    assert "malformed" not in found[-1].line and found[-2].line == "HTTP/2 SETTINGS: "[:15]


OP_MSG = struct.pack("<iiiiIBi", 38, 1, 0, 2013, 0, 0, 17) + b"\x10find\0\1\0\0\0\0\0"
STREAMS = [
    [
        (0, H2 + b"\0\0\6\1\5\0\0\0\1\x82\x87\x84\x41\x01a" + b"\0\0\4\x08\0\0\0\0\0\0\0\1\0"),
        (1, b"\0\0\6\4\0\0\0\0\0\0\4\0\0\1\0"),
    ],
    [*UPGRADED, (0, b"\x81\x85\1\2\3\4igohn\x88\x82\0\0\0\0\3\xe8"), (1, b"\x82\x7e\0\xc8" + bytes(200))],
    [
        (0, GET),
        (
            1,
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n9\r\ndata: a\n\n\r\n",
        ),
    ],
    [
        (0, struct.pack(">II", 17, 196608) + b"user\0me\0\0" + b"Q\0\0\0\x0dSELECT 1\0"),
        (1, b"T\0\0\0\x1b\0\1a\0" + bytes(18) + b"D\0\0\0\x0b\0\1\0\0\0\1x"),
    ],
    [(0, OP_MSG), (1, OP_MSG)],
]


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_spoiled_streams_do_no_harm(data):
    """Good beginnings of each protocol, with changed bytes, in pieces: no exception, and every place is in the message."""
    talk = TalkReader((40_000, 80))
    spoken = data.draw(st.sampled_from(STREAMS))
    for way, good in spoken:
        changed = bytearray(good)
        for _ in range(data.draw(st.integers(0, 3))):
            changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
        cut = data.draw(st.integers(0, len(changed)))
        for piece in (changed[:cut], changed[cut:], data.draw(st.binary(max_size=40))):
            for message in talk.take(way, bytes(piece)):
                size = (message.end - message.start) * 8
                assert size > 0 and "\n" not in message.line
                for node in (node for top in message.nodes for node in top.walk()):
                    assert 0 <= node.offset_bits and node.offset_bits + node.width_bits <= max(size, 8), node
                    assert "\n" not in node.text


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1), st.binary(max_size=60)), max_size=6), st.sampled_from(CHOICES))
def test_random_bytes_of_a_chosen_protocol(pieces, chosen):
    whole = heard(*pieces, chosen=chosen)
    single = heard(*((way, data[n : n + 1]) for way, data in pieces for n in range(len(data))), chosen=chosen)
    for way in (0, 1):
        assert [(m.line, m.start) for m in whole if m.way == way] == [(m.line, m.start) for m in single if m.way == way]


def test_the_memory_is_bounded():
    """No data without an end fills the memory."""
    events = (0, GET), (1, b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
    for beginning, more in (
        ((), b"x" * 60_000),
        (((0, GET),), b"X: y\r\n" * 8000),
        (((0, GET),), b"HTTP/1.1 200 OK\r\n" + b"a" * 60_000),
        (events, b"data: x\n" * 8000),
        (events, b"z" * 60_000),
        (((0, H2),), b"\0\0\0\4\0\0\0\0\0" * 600),
        (UPGRADED, b"\x82\x7f\0\0\1\0\0\0\0\0" + b"w" * 50_000),
    ):
        talk = TalkReader()
        for way, data in beginning:
            talk.take(way, data)
        for _ in range(30):
            talk.take(1, more)
            talk.take(0, more)
        assert all(len(held) <= 1 << 20 for held in talk.held)
        if isinstance(talk.parser, Http1) and (stream := talk.parser.sides[1].events) is not None:
            assert len(stream.held) + stream.size <= 3 << 16 and len(stream.spans) < 100


def test_a_compressed_message_is_decompressed_up_to_a_limit():
    bomb = zlib.compressobj(9, wbits=-15)
    packed = (bomb.compress(bytes(100 << 20)) + bomb.flush(zlib.Z_SYNC_FLUSH))[:-4]
    answer = b"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
    talk = TalkReader()
    for way, data in ((0, GET), (1, answer), (1, b"\xc2\x7f" + struct.pack(">Q", len(packed)) + packed)):
        found = talk.take(way, data)
    assert (
        max(len(node.value) for top in found[-1].nodes for node in top.walk() if isinstance(node.value, bytes))
        <= 1 << 16
    )
    # the rest of it is unknown, so the next message cannot be read, and it is not guessed
    assert [one.line for one in talk.take(1, b"\xc1\x02\xca\x00")] == ["WebSocket Text: 2 bytes, compressed"]


def test_a_very_large_frame_of_http2_has_its_whole_size():
    """Only its first 64 KiB are kept, and a block of headers that goes on after them is not taken for a damaged one."""
    larger = b"\0\0\6\4\0\0\0\0\0\0\5\0\x10\0\0"  # the server takes frames of 1 MiB
    padded = (100_003).to_bytes(3) + b"\0\x08\0\0\0\1\x02" + b"x" * 100_002
    data = (100_000).to_bytes(3) + b"\0\1\0\0\0\1" + b"x" * 100_000
    headers = (70_000).to_bytes(3) + b"\1\4\0\0\0\3" + b"\x82" * 70_000
    found = heard((0, H2), (1, larger), (0, padded + data + headers))
    said = [one.line for one in found[-3:]]
    assert (
        "100000 bytes" in said[0] and said[0].endswith("bytes") and said[1].endswith("100000 bytes, end of the stream")
    )
    assert said[2].endswith("malformed: a header block has more than 65536 bytes")


def test_many_compressed_messages_are_kept_up_to_a_limit(monkeypatch):
    """Each of them may become 64 KiB from less than 100 bytes, so their number is no limit."""
    monkeypatch.setattr(messages, "MOST_VALUES", 4 << 20)
    pack = zlib.compressobj(9, wbits=-15)
    bombs = b""
    for _ in range(400):
        packed = (pack.compress(bytes(65_000)) + pack.flush(zlib.Z_SYNC_FLUSH))[:-4]
        bombs += bytes((0xC2, len(packed))) + packed
    answer = b"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
    timeline = wires.timeline([(0, 0, GET), (0, 1, answer), (0, 1, bombs)], 80)
    found = [said.message for said in messages.messages_of(timeline).all(timeline)]
    # the limit, and what 8 KiB of the stream can hold
    assert 60 < len(found) < 200 and sum(len(one.nodes[-1].value) for one in found[2:]) < 12 << 20
    assert list(messages.lines(timeline))[-1] == "(there are more messages than are kept)"


def test_deep_documents_end():
    inner = b"\x05\0\0\0\0"
    for _ in range(2000):
        inner = struct.pack("<i", len(inner) + 8) + b"\x03a\0" + inner + b"\0"
    found = Document(inner, 0, len(inner))
    assert sum(1 for _ in found.node.walk()) < 100


# --- in a recording ------------------------------------------------------------------------------------------------------


def test_a_frame_has_the_messages_that_end_in_it(talks):
    """All layers are inside the frame, a message in several segments is in the last one, and the labels say it."""
    timeline = wires.timeline(talks("h2"), 80, seed=4)
    expected = lines(timeline)
    shown = []
    for frame in timeline.frames:
        tree = messages.tree(frame)
        for layer in tree.layers:
            inside(layer, 0, len(frame.data) * 8)
        shown += [layer.line.replace(": ", " ", 1) for layer in tree.layers if layer.abbrev == "http2"]
    assert sorted(shown) == sorted(expected)
    beside = [messages.beside(frame) for frame in timeline.frames]
    assert any("HTTP/2 HEADERS, stream 1: GET /orders" in text for text in beside)
    assert any("in earlier frames" in node.text for frame in timeline.frames for node in messages.tree(frame).walk())


def test_a_frame_shows_the_same_in_any_order(talks):
    """What a frame shows does not depend on which frames a view has shown before."""
    capture = wires.pcapng(wires.frames(talks("h2"), 80, random.Random(3)))
    forwards, backwards = Timeline.of(capture), Timeline.of(capture)
    one = [messages.beside(frame) for frame in forwards.frames]
    two = [messages.beside(frame) for frame in list(backwards.frames)[::-1]][::-1]
    assert one == two and any(one)


def test_segments_in_another_order(talks):
    """Neighbours that change places, and repeats: the same messages."""
    frames = wires.frames(talks("h2"), 80, random.Random(6))
    chooser = random.Random(7)
    for n in range(5, len(frames) - 1, 3):
        frames[n], frames[n + 1] = frames[n + 1], frames[n]
    mixed = [frame for frame in frames for _ in range(1 + (chooser.random() < 0.2))]
    timeline = Timeline.of(wires.pcapng(mixed))
    assert sorted(lines(timeline, 0)) == sorted(lines(wires.timeline(talks("h2"), 80), 0))


def test_the_longer_one_of_two_early_segments_is_read():
    def early(seq, data, syn=False):
        return Payload("10.0.0.1:1", "10.0.0.2:2", "TCP", data, seq, syn, 0)

    near_the_wrap = 0xFFFFFFFE
    side = StreamSide()
    assert side.take(early(near_the_wrap, b"", True), 0) == []
    assert side.take(early(2, b"e"), 1) == side.take(early(2, b"efgh"), 2) == side.take(early(2, b"ef"), 3) == []
    assert side.take(early(near_the_wrap, b"", True), 4) == []  # the same SYN begins nothing
    assert side.take(early(near_the_wrap, b"abcde"), 5) == [(5, b"abcde"), (2, b"fgh")]
    assert side.take(early(4, b"ghij"), 6) == [(6, b"ij")]
    assert (side.early, side.order, side.held, side.next, side.place) == ({}, [], 0, 8, 10)


def test_the_work_for_a_frame_does_not_grow_with_the_segments_that_wait():
    class Counted(dict):
        looked = 0

        def __iter__(self):
            for key in super().__iter__():
                Counted.looked += 1
                yield key

    side = StreamSide()
    side.early = Counted()
    for number in range(1000):
        side.take(Payload("a", "b", "TCP", b"x", 10 + 2 * number if number else 1, False, 0), number)
    assert len(side.early) == 999
    for number in range(1000):
        side.take(Payload("a", "b", "TCP", b"", 2, False, 0), 1000 + number)
    assert Counted.looked == 0 and len(side.early) == 999


def test_a_hole_is_reported(talks):
    """A segment that was not captured: what comes after it is not guessed, and the list says so."""
    frames = wires.frames(talks("h2"), 80)
    whole = list(messages.lines(Timeline.of(wires.pcapng(frames))))
    assert not whole[-1].startswith("(")
    found = list(messages.lines(Timeline.of(wires.pcapng(frames[:6] + frames[7:]))))
    assert 1 < len(found) < len(whole)
    assert found[-1] == "(bytes of one connection are missing, and the messages after them cannot be found)"


def test_a_new_connection_between_the_same_ends(talks):
    spoken = talks("h2")
    frames = wires.frames(spoken, 80) + wires.frames(spoken, 80, sport=40_000)
    twice = Timeline.of(wires.pcapng(frames))
    assert len(lines(twice)) == len(lines(wires.timeline(spoken, 80)))  # the same numbers: all are repeats
    again = [
        build.fixup(frame[:38] + (int.from_bytes(frame[38:42]) + 77777 & 0xFFFFFFFF).to_bytes(4) + frame[42:])
        for frame in wires.frames(spoken, 80)
    ]
    assert len(lines(Timeline.of(wires.pcapng(wires.frames(spoken, 80) + again)))) == 2 * len(
        lines(wires.timeline(spoken, 80))
    )


def test_the_search_finds_messages(talks):
    timeline = wires.timeline(talks("h2"), 80)
    found, _ = search(timeline, "http2.header.value /orders", seconds=30)
    assert found and found[0].where == "frame"


def test_the_page_and_the_text_show_them(talks):
    timeline = wires.timeline(talks("h2"), 80)
    labels = [frame["label"] for frame in Trace(timeline).frames_between(0, len(timeline.frames))]
    assert any("HTTP/2 HEADERS, stream 1: GET /orders" in label and "[P.]" in label for label in labels)
    assert any(line.strip() == "HTTP/2 HEADERS, stream 1: GET /orders" for line in text.story(timeline))


def test_the_terminal_shows_them_beside_the_arrow(talks):
    timeline = wires.timeline(talks("h2"), 80)
    rows = [ladder.said(frame, 100) for frame in timeline.frames]
    assert any(row.startswith("HTTP/2 connection preface; HTTP/2 SETTINGS: ") for row in rows)
    frame = next(
        frame for frame in wires.timeline(talks("h2"), 80, seed=1).frames if "GET /orders" in messages.beside(frame)
    )
    for room in range(5, 120):
        assert len(ladder.said(frame, room)) <= room
    session = TerminalSession(timeline)
    session.cursor.goto(frame=5)
    assert session.tree.find("http2.type") is not None


def test_the_command(talks, tmp_path, monkeypatch):
    """--messages lists them, --at shows the fields, --follow has lines for binary protocols, --decode-as changes what is seen."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "h2.pcapng").write_bytes(wires.pcapng(wires.frames(talks("h2"), 80)))

    def run(*words):
        return CliRunner().invoke(cli, ["step", "h2.pcapng", *words], standalone_mode=False)

    assert any(line.endswith("HTTP/2 HEADERS, stream 1: GET /orders") for line in run("--messages").output.splitlines())
    assert "Stream identifier: 0  (the whole connection)" in run("--messages", "--at", "frame=4").output
    assert run("--messages", "--at", "frame=1").output == "no message ends in frame 1\n"
    followed = run("--follow", "1").output.splitlines()
    assert "> HTTP/2 HEADERS, stream 1: GET /orders" in followed and "< HTTP/2 HEADERS, stream 1: 200" in followed
    assert run("--messages", "--decode-as", "80=none").output.startswith("no messages")
    wrong = run("--messages", "--decode-as", "80=quic").exception
    assert isinstance(wrong, click.UsageError) and "is not PORT=PROTOCOL" in str(wrong)
    said_there = Trace(Timeline.load("h2.pcapng")).stream(0)["pieces"]
    assert any("HTTP/2 HEADERS, stream 1: GET /orders" in piece[4] for piece in said_there)


# --- TLS with the keys in the capture --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def lab30(tmp_path_factory):
    """Return the captures of lab 30: with the keys, without them, and with others."""
    for package in ("cryptography", "h2"):
        pytest.importorskip(package)
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl")
    folder = tmp_path_factory.mktemp("lab30")
    for keys in ("right", "none", "wrong"):
        lab_30.write(folder / keys, keys)
    return folder


@needs_tshark
def test_what_tls_hides_has_tsharks_values(lab30, tmp_path):
    """With the keys in the capture, tshark decrypts the same frames of HTTP/2, with the same fields."""
    capture = (lab30 / "right").read_bytes()
    ours, cut = own(Timeline.of(capture))
    theirs = tshark(capture, tmp_path / "tls.pcapng")
    assert len(theirs) > 40 and differences(ours, cut, theirs) == []
    timeline = Timeline.of(capture)
    assert (0, "HTTP/2 HEADERS, stream 3: GET /1") in said(timeline)
    for frame in timeline.frames:
        tree = messages.tree(frame)
        for layer in tree.layers:
            inside(layer, 0, len(frame.data) * 8)
        for record in tree.find_all("tls.record"):
            assert (record.meaning == "encrypted") == (record.children[0].value == 23)
    assert any("decrypted with the keys in the capture" in line for line in messages.fields_of(timeline.frames[8]))


def test_without_the_right_keys_nothing_is_shown(lab30, monkeypatch):
    assert said(Timeline.of((lab30 / "none").read_bytes())) == []
    wrong = "TLS the records cannot be decrypted with the keys in the capture"
    assert said(Timeline.of((lab30 / "wrong").read_bytes())) == [(1, wrong)]
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.ciphers.aead", None)
    (line,) = lines(Timeline.of((lab30 / "right").read_bytes()))
    assert line.endswith("the package cryptography decrypts it: pip install pystack[decrypt]")


@pytest.mark.parametrize("suite", ["AES_128_GCM_SHA256", "AES_256_GCM_SHA384", "CHACHA20_POLY1305_SHA256"])
def test_every_suite_of_tls_is_decrypted(suite):
    """openssl and curl, with a HelloRetryRequest, because the server wants another group than curl's first one."""
    pytest.importorskip("cryptography")
    for program in ("openssl", "curl"):
        if shutil.which(program) is None:
            pytest.skip(f"needs {program}")
    spoken, keys = wires.tls(f"TLS_{suite}")
    for seed in (None, 2):
        found = lines(Timeline.of(wires.pcapng(wires.frames(spoken, 443, seed and random.Random(seed)), keys)))
        assert found[:2] == ["HTTP GET / HTTP/1.1", "HTTP/1.0 200 ok"], found
    spoiled = [(number, way, data[:-1] + bytes((data[-1] ^ 1,))) for number, way, data in spoken[-1:]]
    found = lines(Timeline.of(wires.pcapng(wires.frames(spoken[:-1] + spoiled, 443), keys)))
    assert any("cannot be decrypted" in line for line in found)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_spoiled_records_do_no_harm(data):
    """Records of TLS with changed bytes, and keys for the connection."""
    pytest.importorskip("cryptography")
    hello = b"\x16\3\1\0\x28\1\0\0\x24\3\3" + bytes(34)
    answer = b"\x16\3\3\0\x30\2\0\0\x2c\3\3" + b"\7" * 32 + b"\0\x13\1\0\0\6\0\x2b\0\2\3\4"
    names = ("HANDSHAKE_TRAFFIC_SECRET", "TRAFFIC_SECRET_0")
    keys = {bytes(32): {f"{side}_{name}": b"s" * 32 for side in ("CLIENT", "SERVER") for name in names}}
    talk = TalkReader((40_000, 443), keys=keys)
    for way, good in ((0, hello), (1, answer), (1, b"\x17\3\3\0\x20" + bytes(32)), (0, b"\x17\3\3\0\0")):
        changed = bytearray(good)
        for _ in range(data.draw(st.integers(0, 2))):
            changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
        for message in talk.take(way, bytes(changed)):
            assert message.line.startswith("TLS ") and message.end > message.start


def test_key_logs_are_read_with_limits():
    line = b"CLIENT_TRAFFIC_SECRET_0 %s %s" % (b"ab" * 32, b"cd" * 48)
    log = b"# a comment\n" + line + b"\nRSA 12 34\nX zz zz\nCLIENT_RANDOM " + b"ab" * 32 + b" 12\n"
    assert read_keys([log]) == {b"\xab" * 32: {"CLIENT_TRAFFIC_SECRET_0": b"\xcd" * 48}}
    assert len(read_keys([b"\n".join(b"L %064x %s" % (n, b"cd" * 32) for n in range(20_000))])) <= 10_000
