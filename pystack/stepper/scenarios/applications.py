"""Scenarios in which programs speak HTTP/2, MongoDB's protocol and server-sent events.

The bytes are written here, and not by libraries, so a scenario needs none, and is the same run with each version of them.
"""

import struct
from collections.abc import Generator
from typing import Any

from pystack.sim.network import MS, Network
from pystack.sim.programs import StreamSocket, sleep, spawn, stream
from pystack.stepper.scenarios.base import B, connected, finish, listener, pair, pattern, scenario

# -- HTTP/2 (RFC 9113) -----------------------------------------------------------------------------------------------

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, SETTINGS = 0, 1, 4
END_STREAM, AGREED, END_HEADERS = 1, 1, 4


def h2_frame(kind: int, flags: int, number: int, content: bytes = b"") -> bytes:
    """Return one frame (RFC 9113 4.1)."""
    return len(content).to_bytes(3, "big") + bytes([kind, flags]) + number.to_bytes(4, "big") + content


def h2_request(number: int, path: str) -> bytes:
    """Return the HEADERS of a GET. Its block has entries of the static table, and literals that no table keeps (RFC 7541 6)."""
    block = b"\x82\x86" + bytes([0x04, len(path)]) + path.encode() + b"\x01\x01b"
    return h2_frame(HEADERS, END_HEADERS | END_STREAM, number, block)


def h2_answers(numbers: tuple[int, ...], size: int, piece: int) -> bytes:
    """Return the answers on these streams, each with `size` bytes, in turns of `piece` bytes."""
    parts = [h2_frame(HEADERS, END_HEADERS, number, b"\x88") for number in numbers]
    for at in range(0, size, piece):
        last = END_STREAM if at + piece >= size else 0
        parts += [h2_frame(DATA, last, number, pattern(size)[at : at + piece]) for number in numbers]
    return b"".join(parts)


@scenario(
    "http2",
    "Three requests of HTTP/2 at once",
    "Why do the three answers need a round trip more than one answer?",
    look='host == "b" and event.kind == "hold" and event.fields.by == "cwnd"',
    mechanism="congestion-window",
    tries=(
        ("set=b:tcp_init_cwnd=40", "b might send 40 segments at the beginning"),
        ("delay=100ms", "each way took 100 ms"),
    ),
    pane="sequence",
)
def http2(net: Network) -> None:
    """Host a opens one connection, and sends the preface of HTTP/2 and three requests at once, on the streams 1, 3 and 5. Host b answers each one
    with 8,000 bytes, in turns. One connection needs one handshake, but it also has one congestion window. The ten segments of its beginning are enough for the first part of
    all three answers, and the rest waits for the first acknowledgement. On three connections, each answer would have a window of its own, after a handshake of its own. There is no TLS here, so all frames can be read.
    """
    a, b, _ = pair(net, delay=20 * MS)
    waiting = listener(b)
    numbers, size, piece = (1, 3, 5), 8000, 2000
    answers = h2_answers(numbers, size, piece)

    def serve() -> Generator[Any, Any, None]:
        sock = yield waiting.accept()
        yield sock.recv(4096)
        yield sock.sendall(h2_frame(SETTINGS, 0, 0) + h2_frame(SETTINGS, AGREED, 0) + answers)
        yield sock.recv_all()
        sock.close()

    def get() -> Generator[Any, Any, None]:
        sock = stream(a)
        yield sock.connect(B, 80)
        requests = b"".join(h2_request(number, f"/{number}") for number in numbers)
        yield sock.sendall(PREFACE + h2_frame(SETTINGS, 0, 0) + requests)
        yield sock.recv_exactly(18)
        yield sock.sendall(h2_frame(SETTINGS, AGREED, 0))
        yield sock.recv_exactly(len(answers))
        sock.close()

    finish(net, spawn(net, serve()), spawn(net, get()))
    net.run(net.now + 100 * MS)


# -- MongoDB ---------------------------------------------------------------------------------------------------------

OP_MSG = 2013


def bson(document: dict[str, Any]) -> bytes:
    """Return a document in BSON: integers, texts, documents and lists."""
    found = b""
    for name, value in document.items():
        if isinstance(value, int):
            kind, text = (0x10, struct.pack("<i", value)) if abs(value) < 1 << 31 else (0x12, struct.pack("<q", value))
        elif isinstance(value, str):
            kind, text = 0x02, struct.pack("<i", len(value) + 1) + value.encode() + b"\x00"
        elif isinstance(value, list):
            kind, text = 0x04, bson({str(place): one for place, one in enumerate(value)})
        else:
            kind, text = 0x03, bson(value)
        found += bytes([kind]) + name.encode() + b"\x00" + text
    return struct.pack("<i", len(found) + 5) + found + b"\x00"


def op_msg(number: int, answers: int, document: dict[str, Any]) -> bytes:
    """Return a message with one document: its length, its number, that of the request, OP_MSG, no flags, and a section of kind 0."""
    body = struct.pack("<IB", 0, 0) + bson(document)
    return struct.pack("<iiii", 16 + len(body), number, answers, OP_MSG) + body


@scenario(
    "mongodb",
    "A query of MongoDB, and an ACK before its answer",
    "Why is there an ACK without data before the first answer, and none before the second one?",
    look='host == "b" and event.kind == "ack" and event.fields.action == "delayed"',
    mechanism="delayed-ack",
    tries=(("quickack=b", "b set TCP_QUICKACK"),),
    pane="sequence",
)
def mongodb(net: Network) -> None:
    """Host a asks a database on b for documents (`find`), and the answer has two of them, and the number of a cursor. With this number a asks for the rest (`getMore`). The
    database needs 70 ms for the query, and 5 ms for the rest. TCP on b delays an acknowledgement, because the answer could carry it. The
    first answer takes longer than the 40 ms of this delay, so an ACK leaves alone. The second answer is in time.
    """
    a, b, _ = pair(net, a={"tcp_quickack_segs": 0}, b={"tcp_quickack_segs": 0}, delay=5 * MS)
    client, server = connected(net, a, b, 27017)
    rows = [{"_id": number, "name": f"station {number}"} for number in range(1, 5)]
    cursor = 1 << 40
    where = {"ns": "course.stations"}
    talk = (
        ({"find": "stations", "filter": {}, "batchSize": 2, "$db": "course"}, 70,
         {"cursor": {"firstBatch": rows[:2], "id": cursor, **where}, "ok": 1}),
        ({"getMore": cursor, "collection": "stations", "$db": "course"}, 5,
         {"cursor": {"nextBatch": rows[2:], "id": 0, **where}, "ok": 1}),
    )  # fmt: skip

    def read(sock: StreamSocket) -> Generator[Any, Any, None]:
        size = yield sock.recv_exactly(4)
        yield sock.recv_exactly(int.from_bytes(size, "little") - 4)

    def ask() -> Generator[Any, Any, None]:
        for number, (question, _, _) in enumerate(talk, 1):
            yield client.sendall(op_msg(number, 0, question))
            yield from read(client)

    def answer() -> Generator[Any, Any, None]:
        for number, (_, time, found) in enumerate(talk, 1):
            yield from read(server)
            yield sleep(time * MS)
            yield server.sendall(op_msg(100 + number, number, found))

    finish(net, spawn(net, ask()), spawn(net, answer()))
    net.run(net.now + 100 * MS)


# -- server-sent events ----------------------------------------------------------------------------------------------

EVENTS = 8


@scenario(
    "sse",
    "Server-sent events over a link that is down for a moment",
    "Why do three events arrive in one segment, and why is none missing?",
    look='host == "b" and event.kind == "retransmit"',
    mechanism="rto",
    tries=(("delay=100ms", "each way took 100 ms"),),
    pane="sequence",
)
def sse(net: Network) -> None:
    """Host a makes one request, and b sends an event each 500 ms, without another request. After the second event the link is down for 1.7 s. TCP on b retransmits
    event 3, each time after twice the time, until it arrives. After its acknowledgement, the three events that b has written meanwhile follow in one segment. No event is lost, and the programs
    do not notice that the link was down. If it is down for longer than TCP retransmits, or if a device on the way forgets the connection, the client must connect anew, and say
    with Last-Event-ID which event it had last.
    """
    a, b, link = pair(net, delay=10 * MS)
    waiting = listener(b)
    head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\n\r\n"

    def serve() -> Generator[Any, Any, None]:
        sock = yield waiting.accept()
        yield sock.recv(1024)
        yield sock.sendall(head.encode())
        for number in range(1, EVENTS + 1):
            yield sleep(500 * MS)
            yield sock.sendall(f"id: {number}\nevent: price\ndata: {100 + number}\n\n".encode())
        sock.close()

    def get() -> Generator[Any, Any, None]:
        sock = stream(a)
        yield sock.connect(B, 80)
        yield sock.sendall(b"GET /prices HTTP/1.1\r\nHost: b\r\nAccept: text/event-stream\r\n\r\n")
        yield sock.recv_all()
        sock.close()

    net.after(1300 * MS, link.down)
    net.after(3000 * MS, link.restore)
    finish(net, spawn(net, serve()), spawn(net, get()))
    net.run(net.now + 100 * MS)
