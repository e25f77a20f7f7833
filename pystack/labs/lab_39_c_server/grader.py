"""Grades the server: hosts of pystack send split and glued messages, close halves, leave, and come at the same time."""

from typing import Any

from pystack.labs.servers import SERVER, LearnersServer, SourceAnswer, Unexpected
from pystack.labs.values import WrongAnswer
from pystack.sim.network import MS
from pystack.sim.programs import Program, StreamSocket, sleep, stream

NEEDS = "gcc prlimit setpriv ss"
KERNEL_HOST = True
PORT, BACKLOG = 7000, 16
TCP, NODELAY = 6, 1
LARGE = bytes(range(256)) * 1200
PAUSE = 20 * MS  # between two pieces, so that they are two segments
HINTS = [
    "read() returns when at least one byte is there. Write a function that calls it in a loop until `size` bytes are there or the stream ends.",
    "Read 4 bytes, then ntohl() gives the length, then read as many bytes. read() returns 0 when the client has closed its half.",
    "After accept(), call fork(). The child serves the client, closes the connection and calls _exit(). The parent closes its copy and goes on.",
]
WRONG = {
    "wrong_order.c": "You seem to use the byte order of the machine. The length travels in network byte order: use ntohl() and htonl().",
    "wrong_one_read.c": "You seem to expect that one read() returns a whole message. TCP may deliver it in any pieces: read on until it is whole.",
    "wrong_glued.c": "You seem to expect one message in each read(). Several may arrive together: keep the bytes behind the first one.",
    "wrong_half_close.c": "You seem to treat the client's FIN as the end of the connection. It closes one half, and you can still send in the other.",
    "wrong_one_client.c": "You seem to serve one client after the other. A client that sends nothing must not keep the others waiting.",
    "wrong_backlog.c": "You seem to listen with a short backlog. Connections of a busy moment are lost when it is full (listen(2)).",
}
FIRST = "Your server must answer each message with one of the same form, with the bytes in reverse order."
LONG = "A length of more than 1 MiB must end the connection. Do not believe what a stranger says about the memory that you need."
OPEN = "Your server sends all, and its half stays open. The connection ends when the last copy of its descriptor is closed: after fork(), the parent has one."
GONE = "After a client had left in the middle of a message, your server must still serve others."


def framed(data: bytes) -> bytes:
    """Return a message."""
    return len(data).to_bytes(4, "big") + data


def dial(lab: LearnersServer) -> Program:
    """Connect, without Nagle's algorithm: each send is a segment of its own."""
    sock = stream(lab.client)
    yield sock.connect(SERVER, PORT)
    sock.setsockopt(TCP, NODELAY, 1)
    return sock


def answered(sock: StreamSocket, *messages: bytes) -> Program:
    """Check the answers to some messages."""
    for number, message in enumerate(messages, 1):
        right = framed(message[::-1])
        got = yield sock.recv_exactly(len(right))
        if got != right:
            part = next((at for at, (a, b) in enumerate(zip(got, right)) if a != b), len(got))
            raise Unexpected(
                f"answer {number} has {len(got)} of {len(right)} bytes, and the first wrong one is byte {part}"
            )


def pieces(lab: LearnersServer, *parts: bytes, whole: bytes) -> Program:
    """Send a message in pieces."""
    sock = yield from dial(lab)
    for part in parts:
        yield sock.sendall(part)
        yield sleep(PAUSE)
    yield from answered(sock, whole)
    sock.close()


def empty(lab: LearnersServer) -> Program:
    """Send a message of no bytes."""
    sock = yield from dial(lab)
    yield sock.sendall(framed(b""))
    yield from answered(sock, b"")
    sock.close()


def once(lab: LearnersServer) -> Program:
    """Send one message."""
    sock = yield from dial(lab)
    yield sock.sendall(framed(b"hello"))
    got = yield sock.recv_exactly(9)
    if got[:4] == framed(b"olleh")[:4] and got != framed(b"olleh"):
        raise WrongAnswer(f"{FIRST} (the answer to {framed(b'hello')!r} is {got!r})")
    if got != framed(b"olleh"):
        raise Unexpected(f"the answer to {framed(b'hello')!r} is {got[:40]!r} instead of {framed(b'olleh')!r}")
    sock.close()


def glued(lab: LearnersServer) -> Program:
    """Send three messages at once."""
    sock = yield from dial(lab)
    yield sock.sendall(framed(b"one") + framed(b"") + framed(b"three"))
    yield from answered(sock, b"one", b"", b"three")
    sock.close()


def half(lab: LearnersServer) -> Program:
    """Close one half, and read on."""
    sock = yield from dial(lab)
    yield sock.sendall(framed(b"first") + framed(b"second"))
    sock.shutdown()
    yield from answered(sock, b"first", b"second")
    right = (2).to_bytes(4, "big")
    got = yield sock.recv_exactly(len(right))
    if got == right[::-1]:
        raise WrongAnswer(f"{WRONG['wrong_order.c']} (after the answers came {got!r} instead of {right!r})")
    if got != right:
        raise Unexpected(f"after the answers came {got!r} instead of {right!r} and the end")
    return sock


def end(sock: StreamSocket) -> Program:
    """Wait for the end of the stream."""
    rest = yield sock.recv_all()
    if rest:
        raise Unexpected(f"after the number of the messages came {rest[:40]!r} instead of the end")
    sock.close()


def several(lab: LearnersServer) -> Program:
    """Open three connections, of which the first one has sent a part of its message."""
    first = yield from dial(lab)
    yield first.sendall(framed(b"slow")[:6])
    for name in (b"second", b"third"):
        sock = yield from dial(lab)
        yield sock.sendall(framed(name))
        yield from answered(sock, name)
        sock.close()
    yield first.sendall(framed(b"slow")[6:])
    yield from answered(first, b"slow")
    first.close()


def long(lab: LearnersServer) -> Program:
    """Say that a message has 4 GiB."""
    sock = yield from dial(lab)
    yield sock.sendall(b"\xff\xff\xff\xff" + b"x" * 100)
    got: Any = b""
    try:
        got = yield sock.recv()
    except ConnectionResetError:  # there were bytes that it had not read
        pass
    if got:
        raise Unexpected(f"it answered {got[:40]!r}")
    sock.close()


def leave(lab: LearnersServer) -> Program:
    """Leave in the middle of a message, and come back."""
    sock = yield from dial(lab)
    yield sock.sendall(framed(LARGE) + framed(LARGE)[:1000])
    yield sock.recv(100)
    sock.abort()
    yield sleep(PAUSE)
    yield from once(lab)


def check(answer: SourceAnswer) -> None:
    """Raise WrongAnswer unless the exercise is solved."""
    whole = framed(b"split")
    with LearnersServer(answer) as lab:
        lab.start(lab.compile_c())
        lab.wait_for_port("tcp", PORT)
        lab.expect(FIRST, lambda: empty(lab))  # which is the same in any byte order
        lab.expect(WRONG["wrong_order.c"], lambda: once(lab))
        lab.expect(WRONG["wrong_one_read.c"], lambda: pieces(lab, whole[:1], whole[1:6], whole[6:], whole=b"split"))
        lab.expect(WRONG["wrong_one_read.c"], lambda: pieces(lab, framed(LARGE), whole=LARGE))
        lab.expect(WRONG["wrong_glued.c"], lambda: glued(lab))
        (sock,) = lab.expect(WRONG["wrong_half_close.c"], lambda: half(lab))
        lab.expect(OPEN, lambda: end(sock))
        lab.expect(WRONG["wrong_one_client.c"], lambda: several(lab))
        lab.expect(LONG, lambda: long(lab))
        lab.expect(GONE, lambda: leave(lab))
        backlog = lab.backlog(PORT)
        if backlog < BACKLOG:
            raise WrongAnswer(f"{WRONG['wrong_backlog.c']} (yours is {backlog}, and {BACKLOG} are needed)")
