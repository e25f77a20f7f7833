"""Grades the servers: hosts of pystack send datagrams and lines in pieces, close halves, acknowledge late, and reset connections."""

from functools import partial

from pystack.labs.lab_40_node_server.dam import Dam
from pystack.labs.servers import SERVER, LearnersServer, SourceAnswer, Unexpected
from pystack.labs.values import Ended, WrongAnswer
from pystack.sim.network import MS
from pystack.sim.programs import Program, StreamSocket, datagram, sleep, stream

NEEDS = "node prlimit setpriv"
KERNEL_HOST = True
PORT = 7001
TCP, NODELAY = 6, 1
PAUSE = 20 * MS  # between two pieces, so that they are two segments
HELD = 3  # so many looks in a row, a pause apart, must find that the server's TCP does not send what the server has written
TRIES = 3  # connections on which the second answer must wait
LATE = 700 * MS  # a handshake that makes a long timeout, but is short enough that the server does not repeat its SYN
HINTS = [
    "An event 'data' has the bytes that have arrived. Keep them in a Buffer, and cut lines from it as long as it has a byte 10.",
    "Turn bytes into text when the line is whole. net.createServer takes options: see `allowHalfOpen` and `noDelay` in Node's documentation.",
    "createServer({ allowHalfOpen: true, noDelay: true }, ...), wait for the last answer before socket.end(text), and listen to the event 'error'.",
]
WRONG = {
    "wrong_datagram.js": "You seem to wait for more than one datagram. Each datagram is a whole message, and needs an answer of its own.",
    "wrong_chunks.js": "You seem to take each event 'data' for one line. TCP has no boundaries: a line may come in pieces, or several at once.",
    "wrong_letters.js": "You seem to make text of each chunk. A letter such as é has several bytes, which may come in two chunks: cut lines from bytes.",
    "wrong_half_close.js": "After the client's FIN you can still send, but Node closes your half by itself unless you ask for `allowHalfOpen`. The end of `for await (... of socket)` closes it, too.",
    "wrong_nagle.js": "Your second answer waits for the acknowledgement of the first one. This is Nagle's algorithm: switch it off (`noDelay`).",
    "wrong_error.js": "A client that resets its connection must not end your server: Node throws the event 'error' if nobody listens to it.",
}
LAST = "BYE must be the last line. lookUp() needs a moment, so wait for the last answer before you end the connection."
ORDER = "Your answers have another order than the lines. A look-up may end before one that began earlier, so send an answer after the one before it."
COUNT = "The number in BYE is not that of the client's lines."
FIRST = "Your server must answer with what `lookUp` finds, which is the text in capital letters."

SLOW = "Your second answer comes so long after the first one that the grader cannot see whether it waits for an acknowledgement. Begin all look-ups at once."


def dial(lab: LearnersServer) -> Program:
    """Connect, without Nagle's algorithm: each send is a segment of its own."""
    sock = stream(lab.client)
    yield sock.connect(SERVER, PORT)
    sock.setsockopt(TCP, NODELAY, 1)
    return sock


def ask(lab: LearnersServer, *parts: bytes, end: bytes = b"") -> Program:
    """Send parts of lines, and check the answers. With `end`, close the client's half, and expect this text last."""
    sock = yield from dial(lab)
    for part in parts:
        yield sock.sendall(part)
        yield sleep(PAUSE if len(parts) > 1 else 0)
    right = b"".join(parts).decode().upper().encode() + end
    if end:
        sock.shutdown()
    got = yield sock.recv_all() if end else sock.recv_exactly(len(right))
    if got != right and sorted(got.split(b"\n")) == sorted(right.split(b"\n")):
        raise WrongAnswer(
            f"{ORDER} (the answer is {got[:60].decode(errors='replace')!r} instead of {right.decode()!r})"
        )
    if got != right and end and got.startswith(right.removesuffix(end) + b"BYE"):
        raise WrongAnswer(
            f"{COUNT} (the answer is {got[:60].decode(errors='replace')!r} instead of {right.decode()!r})"
        )
    if got != right and end and end in got:
        raise WrongAnswer(f"{LAST} (the answer is {got[:60].decode(errors='replace')!r} instead of {right.decode()!r})")
    if got != right:
        raise Unexpected(f"the answer is {got[:60].decode(errors='replace')!r} instead of {right.decode()!r}")
    sock.close()


def udp(lab: LearnersServer) -> Program:
    """Send datagrams."""
    sock = datagram(lab.client)
    sock.bind("", 0)
    for text in (b"hello", b"one", b"two"):
        sock.sendto(text, SERVER, PORT)
        got = bytes((yield sock.recvfrom()).data)
        if got == text:
            raise WrongAnswer(f"{FIRST} (the answer to the datagram {text!r} is {got!r})")
        if got != text.upper():
            raise Unexpected(f"the answer to {text!r} is {got[:60]!r}")
    sock.close()


def unacknowledged(lab: LearnersServer, dam: Dam, late: int = 0) -> Program:
    """Send two lines at once, and acknowledge no answer. Returns False if the server repeats its first answer before it has written the second one, and None if it holds the second one.

    Then its look-ups take longer than its retransmission timeout, and after that nobody can see what Nagle's algorithm does. With `late`, the
    handshake takes so long (in ns) that the timeout is three times as long (RFC 6298 2.2).
    """
    if late:
        dam.close()
    sock = yield from dial(lab)
    if late:
        yield sleep(late)  # the lines then acknowledge the server's SYN
    else:
        yield from exchange(sock, b"warm\n")
        yield sleep(PAUSE)  # the acknowledgement of this answer still passes
    yield sock.sendall(b"one\ntwo\n")
    dam.close()
    got, held = b"", 0
    while got != b"ONE\nTWO\n":
        written = lab.unacknowledged(PORT)
        try:
            got += bytes((yield sock.within(sock.recv(), PAUSE)))
        except TimeoutError:
            pass
        if dam.again and held < HELD:
            dam.closed = False
            sock.abort()
            return False
        held = held + 1 if written > dam.sent() else 0
        if held >= HELD:
            dam.closed = False
            sock.abort()
            return None
    dam.closed = False
    sock.close()
    return True


def exchange(sock: StreamSocket, line: bytes) -> Program:
    """Send a line, and check its answer."""
    yield sock.sendall(line)
    got = yield sock.recv_exactly(len(line))
    if got != line.upper():
        raise Unexpected(f"the answer to {line!r} is {got!r}")


def leave(lab: LearnersServer) -> Program:
    """Reset a connection, and come back."""
    sock = yield from dial(lab)
    yield from exchange(sock, b"soon\n")
    sock.abort()
    yield sleep(2 * PAUSE)
    yield from ask(lab, b"back\n")


def nagle(lab: LearnersServer, dam: Dam) -> None:
    """Raise WrongAnswer if the second of two answers waits for an acknowledgement on each of three connections. On a loaded machine, one may seem to wait."""
    for late in (0, LATE):
        for _ in range(TRIES):
            found = lab.expect(WRONG["wrong_nagle.js"], partial(unacknowledged, lab, dam, late))[0]
            if found:
                return
            if found is False:
                break
        else:
            raise WrongAnswer(
                f"{WRONG['wrong_nagle.js']} (the server has written the second answer, but does not send it, {TRIES} times)"
            )
    raise WrongAnswer(SLOW)


def check(answer: SourceAnswer) -> None:
    """Raise WrongAnswer unless the exercise is solved."""
    with LearnersServer(answer) as lab:
        dam = Dam()
        lab.link.middlebox(dam, lab.client)
        lab.host.sysctl("ipv4.tcp_early_retrans", 0)  # a probe of the tail would send what Nagle's algorithm holds back
        lab.start_node()
        lab.wait_for_port("udp", PORT)
        lab.wait_for_port("tcp", PORT)
        lab.expect(WRONG["wrong_datagram.js"], lambda: udp(lab))
        lab.expect(FIRST, lambda: ask(lab, b"hello\n"))
        lab.expect(WRONG["wrong_chunks.js"], lambda: ask(lab, b"he", b"llo\nwor", b"ld\n"))
        lab.expect(WRONG["wrong_chunks.js"], lambda: ask(lab, b"one\ntwo\n\nthree\n"))
        lab.expect(WRONG["wrong_letters.js"], lambda: ask(lab, b"caf\xc3", b"\xa9\n"))
        lab.expect(WRONG["wrong_half_close.js"], lambda: ask(lab, b"one\ntwo\n", end=b"BYE 2\n"))
        nagle(lab, dam)
        try:
            lab.expect(WRONG["wrong_error.js"], lambda: leave(lab))
        except Ended as ended:
            if ended.verdict != "error":
                raise
            raise WrongAnswer(f"{WRONG['wrong_error.js']} ({ended})") from None
