"""Grades `serve` in the simulator, with a client that does what curl does."""

from contextlib import suppress
from types import ModuleType
from typing import Any

from pystack.labs.judging import compare, program
from pystack.labs.lab_37_host import solution
from pystack.testing.lab import MS, S, lab_net, sleep

R = 20 * MS
WAIT = S  # how long curl waits for 100 Continue
HINTS = [
    "A stream has no boundaries. When do you have the whole head, and what may have come with it?",
    "Read until the empty line is there. What follows it belongs to the body. Say 100 Continue if the head asks for it, and then read what is missing.",
    '`head, _, body = data.partition(b"\\r\\n\\r\\n")`, and later `body += yield sock.recv_exactly(length - len(body))`.',
]
WRONG = {
    "wrong_never.py": "The client waits a whole second before it sends the body. It said `Expect: 100-continue`.",
    "wrong_always.py": "The client did not ask for 100 Continue, and takes it for the answer.",
    "wrong_head.py": "The head came in two pieces, and you read one. Read until the empty line is there.",
    "wrong_body.py": "Only a part of the body is in `files`. One `recv` returns what is there, not all that will come.",
    "wrong_rest.py": "You wait for bytes that have been there already: a part of the body may come together with the head.",
    "wrong_case.py": "A field in small letters is not found. The names of fields may be in capital or small letters.",
}
FILES = {"/data": bytes(range(250)) * 4, "/large": bytes(100_000), "/none": b""}
GET, PUT = "GET %s HTTP/1.1\r\nHost: server\r\n\r\n", "PUT %s HTTP/1.1\r\nHost: server\r\n"
EXPECT = "Expect: 100-continue\r\n"
#: the head, the body, and the size of the pieces in which they are sent, 50 ms apart
CASES: list[tuple[str, bytes, int]] = [
    (GET % "/data", b"", 5000),
    (GET % "/missing", b"", 5000),
    (GET % "/large", b"", 5000),
    (GET % "/none", b"", 5000),
    (GET % "/data", b"", 8),
    (PUT % "/new" + f"Content-Length: 3000\r\n{EXPECT}\r\n", b"n" * 3000, 5000),
    (PUT % "/data" + "Content-Length: 5\r\n\r\n", b"other", 5000),
    (PUT % "/large" + "Content-Length: 3000\r\n\r\n", b"p" * 3000, 1000),
    (PUT % "/low" + "content-length: 9\r\n" + EXPECT.lower() + "\r\n", b"lower\r\n\r\n", 5000),
    (PUT % "/empty" + "Content-Length: 0\r\n\r\n", b"", 5000),
]


class Client:
    """A client such as curl, and what it got."""

    def __init__(self, learners: Any, head: str, body: bytes, size: int):
        self.lab = lab = lab_net(R // 2, tcp_nagle=False)
        self.files = dict(FILES)
        self.got, self.ended, self.waited = b"", False, False
        lab.spawn(self.serve(lab.listener(), learners))
        lab.spawn(self.ask(head.encode(), body, size))
        lab.net.run_until_idle()

    def serve(self, listener, learners):
        """Run the learner's program on one connection."""
        sock = yield listener.accept()
        yield from learners(sock, self.files)
        sock.close()

    def ask(self, head, body, size):
        """Send the request, and the body after a permission if the head asks for one."""
        sock = yield from self.lab.client()
        self.lab.spawn(self.listen(sock))
        asks = b"100-continue" in head
        yield from self.send(sock, head if asks else head + body, size)
        if asks:
            until = self.lab.net.now + WAIT
            while not self.got and self.lab.net.now < until:
                yield sleep(R)
            self.waited = not self.got
            yield from self.send(sock, body, size)

    def send(self, sock, data, size):
        """Send in pieces."""
        with suppress(OSError):  # the server may have closed the connection
            for at in range(0, len(data), size):
                if at:
                    yield sleep(50 * MS)
                yield sock.sendall(data[at : at + size])

    def listen(self, sock):
        """Collect the answer."""
        with suppress(OSError):
            while data := (yield sock.recv(65_536)):
                self.got += data
        self.ended = True
        sock.close()


def play(learners: Any, head: str, body: bytes, size: int) -> Any:
    """Return the statuses, the body of the answer, the files, and whether the client waited, or a text if nothing comes."""
    client = Client(learners, head, body, size)
    if not client.ended:
        return "no answer, because it waits"
    statuses: list[str] = []
    rest = client.got
    while rest.startswith(b"HTTP/1.1 ") and (not statuses or statuses[-1] == "100"):
        first, _, rest = rest.partition(b"\r\n\r\n")
        statuses.append(first.decode("latin-1").split(" ")[1])
    changed = {path: len(data) for path, data in client.files.items() if FILES.get(path) != data}
    right = all(data == body for path, data in client.files.items() if path in changed)
    return [statuses, rest, sorted(changed.items()), right, "waited a second" if client.waited else ""]


def right(head: str, body: bytes, size: int) -> Any:
    """Return what the solution gives."""
    return play(solution.serve, head, body, size)


def words(head: str, body: bytes, size: int) -> str:
    """Describe a case."""
    pieces = f" in pieces of {size:,} bytes" if size < len(head) + len(body) else ""
    return (
        f"The request {head!r} with {len(body):,} bytes of a body{pieces} (the statuses, the body of the answer, the files that change, "
        "whether their bytes are right, whether the client waits)"
    )


def check(answer: ModuleType) -> None:
    """Raise WrongAnswer unless the exercise is solved."""
    program(answer, "serve")
    compare(answer, "serve", CASES, right, WRONG, __package__, play, words)
