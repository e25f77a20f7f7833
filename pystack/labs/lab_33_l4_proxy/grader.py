"""Grades `pump`: questions and answers, a client that ends its direction first, and a server that never reads."""

from types import ModuleType
from typing import Any

from pystack.labs.judging import program
from pystack.labs.lab_33_l4_proxy.paths import BUFFER, COPY, Path, S
from pystack.labs.values import WrongAnswer
from pystack.sim.programs import spawn
from pystack.sim.scheduler import SimError
from pystack.testing.lab import pattern

MSS = 1460
UP, DOWN = pattern(300_000), pattern(200_000)
HINTS = [
    "Where can bytes wait in a relay, and which of these places is in your program? What should it do while the target is full?",
    "Read one piece, wait until the target has taken it, and read the next one. What does `recv` return at the end, and what must the target learn then?",
    "Use `while data := (yield source.recv(LIMIT)):` with `yield target.sendall(data)` in it, and `target.shutdown()` after it.",
]
WRONG = {
    "wrong_forgotten.py": "Nothing of a question arrives at the server. Does each operation have a `yield`?",
    "wrong_all.py": "A question arrives only when the client has ended its direction. Send each piece as soon as it is there.",
    "wrong_end.py": "The client has ended its direction, and the server does not learn it, so it waits for ever.",
    "wrong_close.py": "The client has ended its direction, and then its answer is lost. Only one direction has ended, and the other one goes on.",
    "wrong_big.py": "Your relay holds more than LIMIT bytes while the server does not read.",
}


def run(path: Path, *programs: Any) -> list[Any]:
    """Run programs on an open connection for up to 60 s. Returns their results, None for one that has not ended or has failed."""

    def guarded(one: Any) -> Any:
        try:
            return (yield from one)
        except OSError:
            return None

    procs = [spawn(path.net, guarded(one)) for one in programs]
    try:
        path.net.run_until(lambda: all(proc.finished() for proc in procs), limit=path.net.now + 60 * S)
    except (SimError, OSError):
        pass  # the results say how far they have come
    return [proc.value for proc in procs]


def questions(path: Path) -> int:
    """Let the client ask three times, and wait for each answer. Returns how many answers are right."""
    client, server = path.client, path.server
    answers = []

    def ask():
        for number in range(3):
            yield client.sendall(bytes([number]) * 10)
            answers.append((yield client.recv_exactly(10)) == bytes([number]) * 10)

    def answer():
        for _ in range(3):
            yield server.sendall((yield server.recv_exactly(10)))

    run(path, ask(), answer())
    return sum(answers)


def transfer(path: Path) -> tuple[Any, Any]:
    """Let the client send and end its direction, and the server answer then. Returns what each of them has got."""
    client, server = path.client, path.server
    taken: list[bytes] = []

    def send():
        yield client.sendall(UP)
        client.shutdown()
        return (yield client.recv_all())

    def serve():
        taken.append((yield server.recv_all()))
        yield server.sendall(DOWN)
        server.shutdown()

    answer, _ = run(path, send(), serve())
    return taken[0] if taken else None, answer


def holds_too_much(pump: Any) -> bool:
    """Let the client write to a server that never reads. Returns whether the relay holds more than a piece."""
    reads: list[Any] = []

    def relays(near: Any, far: Any) -> list[Any]:
        plain = near.recv

        def recv(count: int = 65_536) -> Any:
            reads.append(plain(count))
            return reads[-1]

        near.recv = recv
        return [pump(near, far), pump(far, near)]

    taken = Path(relays, reads=False).write_until_blocked()
    return taken > 4 * BUFFER + COPY + 5 * MSS or max(len(read.value or b"") for read in reads) > COPY


def check(answer: ModuleType) -> None:
    """Raise WrongAnswer unless the exercise is solved."""
    pump = program(answer, "pump")

    def path() -> Path:
        return Path(lambda near, far: [pump(near, far), pump(far, near)], reads=False)

    good = questions(path())
    got, answered = transfer(path())
    if good == 0:
        raise WrongAnswer(WRONG["wrong_all.py" if got == UP else "wrong_forgotten.py"])
    if good < 3:
        raise WrongAnswer(
            "The first question is answered, and a later one is not. A connection has many pieces: use a loop."
        )
    if got is None:
        raise WrongAnswer(WRONG["wrong_end.py"])
    if got != UP:
        raise WrongAnswer("The server gets other bytes than the client has sent.")
    if answered != DOWN:
        raise WrongAnswer(WRONG["wrong_close.py"])
    if holds_too_much(pump):
        raise WrongAnswer(WRONG["wrong_big.py"])
