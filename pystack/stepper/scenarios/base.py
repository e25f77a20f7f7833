"""The base of scenarios: a network, a program, and a question that stepping through it answers."""

import io
from collections.abc import Callable, Generator
from typing import Any, NamedTuple

from pystack.sim.network import Link, Network, SimHost
from pystack.sim.programs import Proc, StreamSocket, spawn, stream
from pystack.stepper.timeline import Timeline

A, B = "10.0.0.1", "10.0.0.2"

#: the attribute of a network with the hosts that keep their connections: name -> habits.KeepAlive
KEPT = "kept_connections"

#: what a branch adds; it is called with the network before the scenario builds anything
Prepare = Callable[[Network], None]


class Try(NamedTuple):
    """A what-if that a learner should try: one or more changes (stepper/changes.py), separated by spaces.

    `text` completes "What if ...?".
    """

    changes: str
    text: str


class Scenario:
    """A named scenario.

    `story` is its text, and `question` is the question of a learner. `looks` holds expressions for the events that
    answer it, and `mechanism` names the mechanism that must explain these events.

    The rest may be left out. `tries` holds pairs of changes and their text (see Try): the user interfaces offer them.
    `pane` names the pane of the web stepper that shows the answer best ("sequence", "windows", "states"); without it,
    the page chooses a pane that has something to show.
    """

    def __init__(
        self,
        name: str,
        run: Callable[[Network], None],
        title: str,
        question: str,
        looks: tuple[str, ...],
        mechanism: str,
        tries: tuple[tuple[str, str], ...] = (),
        pane: str = "",
    ):
        self.name = name
        self.run = run
        self.title = title
        self.question = question
        self.looks = looks
        self.mechanism = mechanism
        self.tries = tuple(Try(*one) for one in tries)
        self.pane = pane
        self.story = (run.__doc__ or "").strip()

    def record(self, seed: int = 1, prepare: "Prepare | None" = None) -> bytes:
        """Run it in virtual time and return the recording."""
        out = _Kept()
        with Network(seed) as net:
            net.record(out, scenario=self.name, title=self.title)
            if prepare is not None:
                prepare(net)
            self.run(net)
        return out.kept

    def timeline(self, seed: int = 1) -> Timeline:
        """Run it and load the recording."""
        return Timeline.of(self.record(seed), self.name)

    def answers(self, timeline: Timeline) -> list[int]:
        """Return the indices of the events that answer the question in this run."""
        from pystack.stepper.cursor import Cursor

        found = []
        for look in self.looks:
            cursor = Cursor(timeline)
            cursor.add_break(look)
            if cursor.run() is not None:
                found.append(cursor.position)
        return found

    def __repr__(self) -> str:
        return f"<scenario {self.name}: {self.title}>"


class _Kept(io.BytesIO):
    """A file that keeps its bytes after close()."""

    kept = b""

    def close(self) -> None:
        self.kept = self.getvalue()


SCENARIOS: dict[str, Scenario] = {}


def scenario(
    name: str,
    title: str,
    question: str,
    *,
    look: "str | tuple[str, ...]",
    mechanism: str,
    tries: tuple[tuple[str, str], ...] = (),
    pane: str = "",
) -> Callable[[Callable[[Network], None]], Callable[[Network], None]]:
    """Return the decorator that makes a function a scenario."""

    def register(run: Callable[[Network], None]) -> Callable[[Network], None]:
        looks = (look,) if isinstance(look, str) else look
        SCENARIOS[name] = Scenario(name, run, title, question, looks, mechanism, tries, pane)
        return run

    return register


# -- what most of them need ------------------------------------------------------------------------------------------


def kept(net: Network, host: str, since: int = 0) -> bool:
    """Return True if a what-if lets the program on a host keep its connection for further requests. The request to look at begins at `since` (ns) then."""
    change = getattr(net, KEPT, {}).get(host)
    if change is None:
        return False
    change.asked, change.since = True, since
    return True


def pair(
    net: Network, arp: bool = False, a: "dict[str, Any] | None" = None, b: "dict[str, Any] | None" = None, **link: Any
) -> tuple[SimHost, SimHost, Link]:
    """Return hosts a (10.0.0.1) and b (10.0.0.2), and the link between them. `a` and `b` are settings of the hosts."""
    first, second = net.host("a", **(a or {})), net.host("b", **(b or {}))
    joined = net.link(first, second, addrs=(f"{A}/24", f"{B}/24"), **link)
    if not arp:
        net.introduce()
    return first, second, joined


def listener(host: SimHost, port: int = 80, backlog: int = 16) -> StreamSocket:
    """Return a listening socket."""
    sock = stream(host)
    sock.bind("", port)
    sock.listen(backlog)
    return sock


def connected(net: Network, a: SimHost, b: SimHost, port: int = 80) -> tuple[StreamSocket, StreamSocket]:
    """Return the two sockets of an established connection from a to b, the client's first."""
    waiting = listener(b, port)

    def accept() -> Generator[Any, Any, StreamSocket]:
        return (yield waiting.accept())

    def connect() -> Generator[Any, Any, StreamSocket]:
        sock = stream(a)
        yield sock.connect(B, port)
        return sock

    server, client = spawn(net, accept()), spawn(net, connect())
    finish(net, server, client)
    waiting.close()
    return client.value, server.value


def finish(net: Network, *procs: Proc, limit: int = 600_000_000_000) -> None:
    """Run until these programs have ended.

    `limit` is in ns of virtual time.
    """
    net.run_until(lambda: all(proc.finished() for proc in procs), limit=net.now + limit)


def pattern(size: int) -> bytes:
    """Return bytes in which no two stretches are alike."""
    return b"".join(f"{number:07d}\n".encode() for number in range(size // 8 + 1))[:size]
