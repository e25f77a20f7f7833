"""A client inserts a document, and reads 1,000 of them through a cursor. How many round trips are that?"""

from functools import cache, partial
from pathlib import Path
from typing import Any

from pystack.labs import tshark
from pystack.labs.lab_31_wireshark_mongodb.messages import HEAD, message, take
from pystack.labs.lab_31_wireshark_mongodb.solution import read_all
from pystack.labs.looks import LabLook
from pystack.labs.values import LabControl, LabValue
from pystack.testing.lab import MS, Lab, lab_net

R = 50 * MS
PORT = 27017
COUNT, FIRST, CHOSEN = 1000, 101, 100
WINDOW = 100  # the server's initial congestion window, in segments: large enough for each answer
TURNS: dict[str, int | None] = {"insert": None, "find": None, "chosen": CHOSEN, "all": COUNT}


def network(window: int = WINDOW) -> Lab:
    """Build the network: a client `a` and a database server `b`, half a round trip apart each way."""
    return lab_net(R // 2, tcp_nagle=False, server={"tcp_init_cwnd": window})


def answer(command: dict[str, Any], open_at: list[int]) -> dict[str, Any]:
    """Return the server's answer. `open_at` has the place of the cursor. The server closes it with the last document."""
    if "insert" in command:
        return {"n": len(command["documents"]), "ok": 1.0}
    start = open_at[0] if "getMore" in command else 0
    stop = min(COUNT, start + command.get("batchSize", COUNT if "getMore" in command else FIRST))
    open_at[0] = stop
    batch: list[Any] = [{"_id": number} for number in range(start, stop)]
    name = "nextBatch" if "getMore" in command else "firstBatch"
    return {"cursor": {name: batch, "id": (7 << 32) if stop < COUNT else 0, "ns": "shop.things"}, "ok": 1.0}


class Run:
    """One connection with some of TURNS. `times` has how long each one took, and `batches` the documents in each answer."""

    def __init__(self, turns: tuple[str, ...], window: int = WINDOW, path: Path | None = None):
        self.lab = lab = network(window)
        if path:
            lab.net.annotated_capture(str(path), lab.a.port())
        self.times: dict[str, int] = {}
        self.batches: list[int] = []
        lab.spawn(self.serve(lab.listener(PORT)))
        lab.run(self.ask(turns))
        lab.net.run_until_idle()
        lab.net.close()

    def serve(self, listener):
        """Run the server."""
        sock = yield listener.accept()
        open_at = [0]
        while got := (yield from take(sock)):
            yield sock.sendall(message(answer(got[1], open_at), 1000 + got[0], got[0]))
        sock.close()

    def ask(self, turns):
        """Run the client: a program of a turn yields commands, and gets their answers."""
        sock = yield from self.lab.client(PORT)
        for turn in turns:
            started = self.lab.net.now
            commands = insert() if turn == "insert" else read_all("things", TURNS[turn])
            reply = None
            while command := following(commands, reply):
                yield sock.sendall(message({**command, "$db": "shop"}, len(self.batches) + 1))
                _, reply = yield from take(sock)
                cursor = reply.get("cursor", {})
                self.batches.append(len(cursor.get("firstBatch", cursor.get("nextBatch", []))))
            self.times[turn] = self.lab.net.now - started
        sock.close()


def insert():
    """Insert a document."""
    yield {"insert": "things", "documents": [{"_id": COUNT}]}


def following(commands: Any, reply: Any) -> Any:
    """Return the next command of a program, or None at its end."""
    try:
        return commands.send(reply)
    except StopIteration:
        return None


@cache
def run(turn: str, window: int = WINDOW) -> Run:
    """Return a run with one turn."""
    return Run((turn,), window)


def write(path: Path) -> None:
    """Write the client's capture, of an insertion and of both ways to read."""
    Run(("insert", "find", "chosen"), path=path)


def messages(turn: str) -> int:
    """Return how many messages the client sent, by pystack's own reading of its segments."""
    stream = b"".join(seg.payload for seg in run(turn).lab.log.data("a"))
    count = 0
    while stream:
        stream = stream[HEAD.unpack_from(stream)[0] :]
        count += 1
    return count


@cache
def found(expression: str) -> int:
    """Return how many frames a display filter of Wireshark finds."""
    return len(tshark.ask(partial(write), expression))


FILTERS = {"all": "mongo.opcode == 2013", "more": 'mongo.element.name == "getMore"', "old": "mongo.opcode == 2004"}
TRIPS = -(-COUNT // CHOSEN)
VALUES = [
    LabValue("insert", "How long does the insertion take?", "R", R),
    LabValue("batches", "find: how many documents are in each answer?", "101, and the rest", [FIRST, COUNT - FIRST], ""),
    LabValue("find", "How long does this find take, all its answers included?", "2 R", 2 * R),
    LabValue("commands", "With batchSize 100: how many messages does the client send?", "1,000 / 100", TRIPS, "messages"),
    LabValue("chosen", "How long does this reading take?", "10 R", TRIPS * R),
    LabValue("tshark all", f"`{FILTERS['all']}`: how many frames?", "2 * (1 + 2 + 10)", 2 * (3 + TRIPS), "frames", needs="tshark"),
    LabValue("tshark more", f"`{FILTERS['more']}`?", "1 + 9", TRIPS, "frames", needs="tshark"),
    LabValue("tshark old", f"`{FILTERS['old']}` (the query of old clients)?", "0", 0, "frames", needs="tshark"),
]  # fmt: skip


def measure(name: str) -> Any:
    """Measure one of VALUES."""
    if name.startswith("tshark"):
        return found(FILTERS[name.removeprefix("tshark ")])
    if name == "batches":
        return run("find").batches
    return messages("chosen") if name == "commands" else run(name).times[name]


CONTROLS = [
    LabControl("batchSize 1,000", LabValue("all", "Time to read everything", "R", R)),
    LabControl(
        "An initial congestion window of 10 segments, which the second answer does not fit in",
        LabValue("window", "Time of find without a batchSize", "3 R", 3 * R),
    ),
]


def control(name: str) -> int:
    """Measure a control."""
    return run("all").times["all"] if name == "all" else run("find", 10).times["find"]


LOOKS = [
    LabLook("A document is inserted, and 1,000 are read in two round trips", lambda: Run(("insert", "find")), 'host == "b" and event.kind == "out" and event.fields.length > 1000', "sequence", "b "),
]  # fmt: skip
