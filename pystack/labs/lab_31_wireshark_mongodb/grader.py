"""Grades `read_all` with a server that has a certain batch for each answer, and fails on request."""

from types import ModuleType
from typing import Any

from pystack.labs.judging import compare, program
from pystack.labs.lab_31_wireshark_mongodb import solution
from pystack.labs.values import WrongAnswer

CURSOR = 7 << 32
HINTS = [
    "What in an answer says that there is more? Is it the batch?",
    'Repeat a getMore while the cursor\'s id is not 0. The first answer has "firstBatch", and the others have "nextBatch".',
    'In a loop: `reply = yield command`, raise if `not reply["ok"]`, add the batch, return if the id is 0, else make the next command.',
]
WRONG = {
    "wrong_once.py": "You ask for more once. A cursor may have more batches than two.",
    "wrong_empty.py": "You stop at an empty batch. The cursor is still open, so more documents may come.",
    "wrong_until.py": "You ask until a batch is empty. The id 0 says already that nothing is left, and the server knows no cursor 0.",
    "wrong_size.py": "Only your find has a batchSize. Without it, a getMore gets all that is left.",
    "wrong_key.py": 'You look for "firstBatch" in an answer to getMore, and its name is "nextBatch" there.',
    "wrong_error.py": 'The server said "ok": 0.0, and you did not look at it. Raise RuntimeError with its text.',
}
#: the batches, the size to ask for, and the number of the command that fails
CASES: list[tuple[list[list[int]], int | None, int | None]] = [
    ([[1, 2, 3]], None, None),
    ([[]], None, None),
    ([[1, 2], [3, 4]], None, None),
    ([[1, 2], [3, 4], [5]], 2, None),
    ([[1, 2], [], [3]], None, None),
    ([[], [1], []], 4, None),
    ([[1], [2]], 1, 0),
    ([[1], [2], [3]], None, 2),
    ([[number] for number in range(40)], 1, None),
]


def serve(command: dict[str, Any], batches: list[list[int]], size: int | None, turn: int) -> dict[str, Any]:
    """Return the answer to the command number `turn`."""
    more = "getMore" in command
    known = command.get("getMore") == CURSOR if more else command.get("find") == "things"
    known = known and more == (turn > 0) and (not more or command.get("collection") == "things")
    if not known or turn >= len(batches):
        return {"ok": 0.0, "errmsg": "cursor not found" if more else "what is this?"}
    left = batches[turn:]
    whole = more and size is not None and "batchSize" not in command
    batch = [number for part in (left if whole else left[:1]) for number in part]
    return {
        "cursor": {
            "nextBatch" if more else "firstBatch": [{"_id": number} for number in batch],
            "id": CURSOR if len(left) > 1 and not whole else 0,
            "ns": "shop.things",
        },
        "ok": 1.0,
    }


def play(learners: Any, batches: list[list[int]], size: int | None, fails: int | None) -> Any:
    """Run the program. Returns the documents or the error, and the sizes that it asked for."""
    commands = learners("things", size)
    sizes: list[Any] = []
    reply = None
    while True:
        try:
            command = commands.send(reply)
        except StopIteration as stop:
            return [stop.value, sizes]
        except RuntimeError as error:
            return [str(error), sizes]
        if not isinstance(command, dict) or len(sizes) > 2 * len(batches):
            raise WrongAnswer(
                "You ask again and again, although nothing is left."
                if isinstance(command, dict)
                else f"A command is a dict, and yours is {command!r:.60}."
            )
        if not command.keys() & {"find", "getMore"}:
            raise WrongAnswer(
                f"A command has `find` or `getMore`, and yours is {command!r:.60}. `yield` sends a command, and `return` gives the documents."
            )
        reply = serve(command, batches, size, len(sizes))
        if len(sizes) == fails:
            reply = {"ok": 0.0, "errmsg": "not primary"}
        sizes.append(command.get("batchSize"))


def right(batches: list[list[int]], size: int | None, fails: int | None) -> Any:
    """Return what the solution gets."""
    return play(solution.read_all, batches, size, fails)


def words(batches: list[list[int]], size: int | None, fails: int | None) -> str:
    """Describe a case."""
    text = f"The batches {batches} with the size {size}" if len(batches) < 5 else f"{len(batches)} batches"
    if fails is not None:
        text += f", where the command number {fails + 1} fails,"
    return text + " (the result, and the batchSize of each command)"


def check(answer: ModuleType) -> None:
    """Raise WrongAnswer unless the exercise is solved."""
    program(answer, "read_all")
    compare(answer, "read_all", CASES, right, WRONG, __package__, play, words)
