"""Grades `next_state`: its states are compared with those of simulated connections."""

from types import ModuleType
from typing import Any

from pystack.labs.judging import compare
from pystack.labs.lab_13_states.scripts import SCRIPTS
from pystack.labs.values import WrongAnswer

HINTS = [
    "Run `pystack lab run 13`. Which states does the side that closes first go through, and which the other one?",
    "A side that has sent a FIN waits for two things: its acknowledgement, and the other side's FIN. They come in three orders.",
    "From FIN-WAIT-1, ACK leads to FIN-WAIT-2, FIN to CLOSING, and FIN-ACK to TIME-WAIT. From SYN-SENT, SYN leads to SYN-RECEIVED.",
]
WRONG = {
    "wrong_closing.py": "After close, a FIN came that did not acknowledge yours. Your own FIN may still be lost, so it is too early for TIME-WAIT.",
    "wrong_passive.py": "The side that closes last has nothing to wait for: after the acknowledgement of its FIN, both sides are done.",
    "wrong_active.py": "The side that closes first must stay for a while. Its last acknowledgement may be lost, and the FIN may come again.",
    "wrong_open.py": "Both sides sent a SYN at the same time. A SYN says nothing about yours: wait for its acknowledgement.",
    "wrong_wait.py": "A program closes before an answer to its SYN has come. Nobody knows of this connection yet, so it ends at once.",
    "wrong_listener.py": "A reset came to a listener, and it is closed now. It has no connection that could be reset, or else anybody could end it with one segment.",
    "wrong_reset.py": "A reset came before the connection was established. It ends a connection in each state.",
}
CLOSES = ["close", "ACK", "FIN", "timeout"]
#: (script, host) -> what happens to the host's connection
EVENTS = {
    ("the client closes first", "a"): ["connect", "SYN-ACK", *CLOSES],
    ("the client closes first", "b"): ["listen", "SYN", "ACK", "FIN", "close", "ACK"],
    ("the server acknowledges and closes in one segment", "a"): ["connect", "SYN-ACK", "close", "FIN-ACK", "timeout"],
    ("the server acknowledges and closes in one segment", "b"): ["listen", "SYN", "ACK", "FIN", "close", "ACK"],
    ("both connect at the same time", "a"): ["connect", "SYN", "ACK"],
    ("both close at the same time", "a"): ["connect", "SYN-ACK", "close", "FIN", "ACK", "timeout"],
    ("both close at the same time", "b"): ["listen", "SYN", "ACK", "close", "FIN", "ACK", "timeout"],
    ("the client closes its direction only", "a"): ["connect", "SYN-ACK", *CLOSES],
    ("the client closes its direction only", "b"): ["listen", "SYN", "ACK", "FIN", "close", "ACK"],
    ("the port is closed", "a"): ["connect", "RST"],
    ("nothing comes from the server, and the client closes", "a"): ["connect", "close"],
    ("the client resets the connection", "b"): ["listen", "SYN", "ACK", "RST"],
}


def play(next_state: Any, script: str, host: str) -> list[Any]:
    """Return the states of the learner's machine."""
    state, found = "CLOSED", []
    for event in EVENTS[script, host]:
        new = next_state(state, event)
        if new not in (state, "LISTEN"):
            found.append(new)
        state = new
    return found


def check(answer: ModuleType) -> None:
    """Raise WrongAnswer unless the exercise is solved."""
    simulated = {script: run() for script, run in SCRIPTS.items()}

    def right(script: str, host: str) -> list[str]:
        return simulated[script].path(host)

    def words(script: str, host: str) -> str:
        side = "client" if host == "a" else "server"
        return f"If {script}, the states of the {side} for {', '.join(EVENTS[script, host])}"

    compare(answer, "next_state", list(EVENTS), right, WRONG, __package__, play, words)
    if answer.next_state("LISTEN", "RST") != "LISTEN":
        raise WrongAnswer(WRONG["wrong_listener.py"])
