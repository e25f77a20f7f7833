"""Grades the server: hosts of pystack send datagrams of all lengths, from several sockets, and leave without reading the answer."""

from pystack.addresses import parse_addr
from pystack.labs.servers import SERVER, LearnersServer, SourceAnswer, Unexpected
from pystack.labs.values import Ended, WrongAnswer
from pystack.sim.network import MS
from pystack.sim.programs import Program, ProgramDatagrams, datagram, sleep

NEEDS = "gcc prlimit setpriv"
KERNEL_HOST = True
PORT = 7002
LONGEST = 65_507
PAUSE = 20 * MS
HINTS = [
    "recvfrom() returns one datagram for each call, and writes the address of its sender. Which number says how many bytes came?",
    "Give recvfrom() a buffer for the longest datagram, set `room` before each call, and use its result as the length, also if it is 0.",
    "Put htons(n) and the reversed bytes into one buffer, and give 2 + n bytes of it to sendto(), with the same socket and the address of recvfrom().",
]
WRONG = {
    "wrong_order.c": "You seem to use the byte order of the machine. The length travels in network byte order: use htons().",
    "wrong_pieces.c": "You seem to send the answer with more than one call. Each call is a datagram of its own: put the whole answer into one buffer.",
    "wrong_empty.c": "You seem to take a datagram without bytes for the end. UDP has no connection that could end: 0 is a length like any other.",
    "wrong_text.c": "You seem to count the bytes up to the first zero byte, as strlen() does. The result of recvfrom() is the number of the bytes.",
    "wrong_buffer.c": "Your buffer seems to be too short. recvfrom() throws the rest of a datagram away: have room for the longest one (65,507 bytes).",
    "wrong_peer.c": "You seem to answer only one client. Each call of recvfrom() says from which address this datagram came, so do not connect().",
    "wrong_port.c": "Your answers come from another port, and a client that has called connect() never sees them. Use the socket of port 7002 to answer.",
    "wrong_exit.c": "An answer that cannot be sent must not end your server. Other clients wait for theirs.",
}
CONTENT = (
    "The answer must be the number of bytes (2 bytes, in network byte order), and then the bytes in reverse order."
)
FIRST = "Your server must answer with the number of bytes (2 bytes), and the bytes in reverse order. Does `room` have its value before each recvfrom()?"
BURST = "Several datagrams that come at the same time are several messages, and each one gets an answer."
GONE = "After a client had left without reading its answer, your server must still serve others."


def answer_to(message: bytes) -> bytes:
    """Return the right answer."""
    return len(message).to_bytes(2, "big") + message[::-1]


def opened(lab: LearnersServer, connected: bool = False) -> ProgramDatagrams:
    """Open a client's socket."""
    sock = datagram(lab.client)
    sock.bind("", 0)
    if connected:
        sock.connect(SERVER, PORT)
    return sock


def said(got: bytes, right: bytes) -> None:
    """Compare an answer with the right one. Unexpected says where they differ."""
    if got == right:
        return
    part = next((at for at, (a, b) in enumerate(zip(got, right)) if a != b), min(len(got), len(right)))
    raise Unexpected(
        f"the answer to {len(right) - 2} bytes has {len(got)} bytes instead of {len(right)}, and is wrong from byte {part} on"
    )


def ask(sock: ProgramDatagrams, *messages: bytes) -> Program:
    """Send messages one after the other, and check the answers."""
    for message in messages:
        sock.sendto(message, SERVER, PORT)
        said(bytes((yield sock.recvfrom()).data), answer_to(message))


def once(sock: ProgramDatagrams) -> Program:
    """Send one message, and see which mistake the answer shows."""
    message, right = b"hello", answer_to(b"hello")
    sock.sendto(message, SERVER, PORT)
    found = yield sock.recvfrom()
    got = bytes(found.data)
    if got == right[1::-1] + right[2:]:
        raise WrongAnswer(WRONG["wrong_order.c"])
    if got and right.startswith(got) and got != right:
        raise WrongAnswer(f"{WRONG['wrong_pieces.c']} (the first datagram has {len(got)} of {len(right)} bytes)")
    if got != right:
        raise WrongAnswer(f"{CONTENT} (the answer to {message!r} is {got[:40]!r} instead of {right!r})")
    if (found.src, found.sport) != (parse_addr(SERVER), PORT):
        raise WrongAnswer(f"{WRONG['wrong_port.c']} (this answer comes from port {found.sport})")


def burst(sock: ProgramDatagrams) -> Program:
    """Send several messages at once. The answers may have any order."""
    messages = [b"one", b"", b"three", b"", b"a longer message"]
    for message in messages:
        sock.sendto(message, SERVER, PORT)
    got = []
    for _ in messages:
        got.append(bytes((yield sock.recvfrom()).data))
    if sorted(got) != sorted(map(answer_to, messages)):
        raise Unexpected(f"the answers are {got}")


def peers(lab: LearnersServer, sock: ProgramDatagrams) -> Program:
    """Ask from several sockets in turn, of which one is connected."""
    others = [opened(lab), opened(lab, connected=True)]
    for text in (b"first", b"second"):
        for number, other in enumerate([*others, sock]):
            yield from ask(other, text + bytes([65 + number]))
    for number, other in enumerate(others):  # both have sent before one of them reads
        other.sendto(bytes([97 + number]) * 3, SERVER, PORT)
    for number, other in enumerate(others):
        said(bytes((yield other.recvfrom()).data), answer_to(bytes([97 + number]) * 3))
        other.close()


def too_long(sock: ProgramDatagrams) -> Program:
    """Send messages whose answers do not fit, and then others."""
    for size in (LONGEST, LONGEST - 1):
        sock.sendto(b"l" * size, SERVER, PORT)
        yield from ask(sock, b"short")


def leave(lab: LearnersServer, sock: ProgramDatagrams) -> Program:
    """Leave without reading, so that the server's host gets an ICMP message for each answer. Then ask from the other socket."""
    for _ in range(3):
        gone = opened(lab)
        gone.sendto(b"bye", SERVER, PORT)
        gone.close()
        yield sleep(PAUSE)
    yield from ask(sock, b"still there?")


def check(answer: SourceAnswer) -> None:
    """Raise WrongAnswer unless the exercise is solved."""
    with LearnersServer(answer) as lab:
        lab.start(lab.compile_c())
        lab.wait_for_port("udp", PORT)
        sock = opened(lab)
        lab.expect(FIRST, lambda: once(sock))
        not_ended(lab, "wrong_empty.c", ask(sock, b"", b"x"))
        lab.expect(WRONG["wrong_text.c"], lambda: ask(sock, b"a\0b", b"\0", bytes(range(256))))
        lab.expect(WRONG["wrong_buffer.c"], lambda: ask(sock, b"m" * 1472, b"n" * 9000, b"o" * (LONGEST - 2), b"p"))
        lab.expect(BURST, lambda: burst(sock))
        lab.expect(WRONG["wrong_peer.c"], lambda: peers(lab, sock))
        not_ended(lab, "wrong_exit.c", too_long(sock))
        lab.expect(GONE, lambda: leave(lab, sock))


def not_ended(lab: LearnersServer, file: str, conversation: Program) -> None:
    """Run a conversation after which a server with this mistake has ended."""
    try:
        lab.expect(WRONG[file], lambda: conversation)
    except Ended as ended:
        if ended.verdict != "error":
            raise
        raise WrongAnswer(f"{WRONG[file]} ({ended})") from None
