"""Grades `events` with streams, each of which is cut into pieces in several ways."""

from types import ModuleType

from pystack.labs.judging import compare
from pystack.labs.lab_32_wireshark_sse import solution

HINTS = [
    "TCP has no boundaries. What must you keep from one piece to the next one?",
    "Keep the rest of a line that has not ended. For each whole line: is it empty, a comment, or a field? What does an empty line do?",
    '`*lines, rest = (rest + piece).split("\\n")`, then `field, _, value = line.partition(":")`. At an empty line return what was collected, and begin anew, but keep the id.',
]
WRONG = {
    "wrong_pieces.py": "An event that arrives in two pieces is lost or damaged. A piece is not a line: keep what is not complete.",
    "wrong_lines.py": "Several lines of data belong to one event, with a newline between them.",
    "wrong_id.py": "The identifier is lost after an event. It stays until another one comes, because the client tells it to the server when it connects again.",
    "wrong_space.py": "A value has lost spaces that belong to it. Only one space after the colon is not a part of it.",
    "wrong_empty.py": "An event without data is returned. An empty line after a comment or after an id alone is nothing.",
}
STREAMS = [
    "data: one\n\ndata: two\n\n",
    "id: 7\ndata: one\n\ndata: two\n\nid: 8\ndata: three\n\n",
    "event: price\ndata: 10\ndata: 11\n\ndata: 12\n\n",
    ": are you there?\n\nid: 3\n\nevent: nothing\n\ndata:  two spaces \n\n",
    "data:tight\nretry: 10\nother\n\ndata: a: b\n\ndata\n\ndata: not ended\n",
]


def cut(text: str, size: int) -> list[str]:
    """Return a text in pieces."""
    return [text[at : at + size] for at in range(0, len(text), size)]


def check(answer: ModuleType) -> None:
    """Raise WrongAnswer unless the exercise is solved."""
    cases = [(cut(text, size),) for size in (1000, 5, 1) for text in STREAMS]
    compare(answer, "events", cases, solution.events, WRONG, __package__)
