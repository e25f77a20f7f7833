"""The learner's pool between requests and a database, and what the grader sees of it."""

from types import ModuleType
from typing import Any

from pystack.labs.lab_43_pools.database import DATABASE, PORT, Connection, Database, Ticket, network
from pystack.labs.values import WrongAnswer
from pystack.sim.programs import Program, sleep, spawn, stream
from pystack.testing.lab import S

TOO_MANY = "More connections exist than the limit allows. One counts from the moment at which you begin to open it, until you close it."


class Mistake(Exception):
    """The error of a user of the pool, which has nothing to do with the connection."""


class Seen(Connection):
    """A connection that notices mistakes in its use."""

    def __init__(self, trial: "Trial", sock: Any):
        super().__init__(sock, trial.patience)
        self.trial, self.busy = trial, False

    def ask(self, request: bytes) -> Program:
        """Connection.ask."""
        if self.busy:
            self.trial.fault("Two requests use the same connection at the same time.")
        if not self.open:
            self.trial.fault("A request got a connection that your pool has closed.")
        self.busy = True
        try:
            return (yield from super().ask(request))
        finally:
            self.busy = False

    def close(self) -> None:
        """Connection.close."""
        self.trial.count -= self.open
        super().close()


class Trial:
    """The learner's pool, with a limit, between requests and a new database."""

    def __init__(self, answer: ModuleType, limit: int, patience: int = 60 * S, **options: Any):
        self.net, self.limit, self.patience = network(), limit, patience
        self.database = Database(self.net, **options)
        self.count, self.opened = 0, 0
        self.first_fault = ""
        self.pool = answer.Pool(self.connect, limit, Ticket)

    def fault(self, text: str) -> None:
        """Note a mistake. The first one is reported."""
        self.first_fault = self.first_fault or text

    def connect(self) -> Program:
        """Open a connection, for the learner's pool."""
        self.count += 1
        self.opened += 1
        if self.count > self.limit:
            self.fault(TOO_MANY)
        sock = stream(self.net.hosts["app"])
        try:
            yield sock.connect(DATABASE, PORT)
        except OSError:
            self.count -= 1
            raise
        return Seen(self, sock)

    def ask(self, request: bytes, idempotent: bool = False, mistake: bool = False, after: int = 0) -> Program:
        """Make a request, after some time (ns). Returns its answer, or its error."""

        def work(connection: Connection) -> Program:
            got = yield from connection.ask(request)
            if mistake:
                raise Mistake("an error of the user")
            return got

        if after:
            yield sleep(after)
        try:
            return (yield from self.pool.run(work, idempotent))
        except (OSError, Mistake) as error:
            return error

    def run(self, *programs: Program, stuck: str = "") -> list[Any]:
        """Run programs. Returns their results. `stuck` is the message if one of them waits for ever."""
        procs = [spawn(self.net, program) for program in programs]
        self.net.run(until=self.net.now + 10 * S)
        if self.first_fault:
            raise WrongAnswer(self.first_fault)
        waiting = sum(not proc.finished() for proc in procs)
        if waiting:
            text = f"{waiting} of {len(procs)} requests wait for ever: nothing calls their tickets, or their places are lost."
            raise WrongAnswer(stuck or text)
        return [proc.value for proc in procs]

    def good(self, *requests: bytes, stuck: str = "", wrong: str = "") -> None:
        """Make requests at the same time, which must be answered. `wrong` is the message if one is not."""
        results = self.run(*(self.ask(request) for request in requests), stuck=stuck)
        for request, result in zip(requests, results):
            if result != request:
                raise WrongAnswer(
                    wrong or f"`run` must return the result of `work`, which is {request!r}, and gave {result!r}."
                )
