"""Grades `make` and `check`: real clients, and attackers who invent, steal and keep numbers."""

from types import ModuleType
from typing import Any

from pystack.labs.judging import function, shown
from pystack.labs.values import WrongAnswer

SECRET, OTHER = b"the server's own", b"an attacker's"
FLOW, ANOTHER = "192.0.2.1:40000 203.0.113.1:80", "198.51.100.7:40000 203.0.113.1:80"
SIZES = [536, 1300, 1440, 1460]
MINUTE, TRIES = 1000, 20_000
HINTS = [
    "What does the server have to know when the third segment arrives? Which of it comes with this segment, and which must be in the number?",
    "30 bits are for a keyed hash of everything that must be right, and 2 bits for the index of the MSS. `check` computes the same hash again.",
    'make: `keyed(secret, f"{flow} {minute} {index}") << 2 | index`. check: compare the number with that of this minute and of the one before.',
]
WRONG = {
    "wrong_secret.py": "An attacker who does not know the secret can make numbers.",
    "wrong_flow.py": "A number of one flow is right for another one. An attacker gets one number, and uses it with many invented addresses.",
    "wrong_time.py": "A number is right for ever. An attacker who collects numbers can use all of them at once.",
    "wrong_strict.py": "A client that gets its SYN-ACK at the end of a minute and answers in the next one is refused.",
    "wrong_size.py": "The MSS is forgotten, so the server sends small segments to everybody. Two bits of the number have room for it.",
}


def check(answer: ModuleType) -> None:
    """Raise WrongAnswer unless the exercise is solved."""
    make, checked = function(answer, "make"), function(answer, "check")

    def verify(*what: Any) -> Any:
        found = checked(*what)
        if found is not None and found not in SIZES:
            raise WrongAnswer(f"`check` returned {shown(found)}. It returns an MSS of SIZES, or None.")
        return found

    number = make(SECRET, FLOW, MINUTE, 1460)
    if not isinstance(number, int) or not 0 <= number < 1 << 32:
        raise WrongAnswer(f"`make` returned {shown(number)}, and a sequence number has 32 bits.")
    if verify(SECRET, FLOW, MINUTE, number) is None:
        raise WrongAnswer("`check` refuses a number in the minute in which `make` made it.")
    if verify(SECRET, FLOW, MINUTE + 1, number) is None:
        raise WrongAnswer(WRONG["wrong_strict.py"])
    for mss in SIZES:
        found = verify(SECRET, FLOW, MINUTE, make(SECRET, FLOW, MINUTE, mss))
        if found != mss:
            if found == SIZES[0]:
                raise WrongAnswer(WRONG["wrong_size.py"])
            raise WrongAnswer(f"The client's MSS was {mss}, and `check` returns {shown(found)}.")
    attacks(make, verify)


def attacks(make: Any, verify: Any) -> None:
    """Try numbers that `make` has not made for this flow and time."""
    for mss in SIZES:
        number = make(SECRET, FLOW, MINUTE, mss)
        if verify(SECRET, ANOTHER, MINUTE, number) is not None:
            raise WrongAnswer(WRONG["wrong_flow.py"])
        if any(verify(SECRET, FLOW, minute, number) is not None for minute in (MINUTE + 2, MINUTE + 60, MINUTE - 1)):
            raise WrongAnswer(WRONG["wrong_time.py"])
        if verify(SECRET, FLOW, MINUTE, make(OTHER, FLOW, MINUTE, mss)) is not None:
            raise WrongAnswer(WRONG["wrong_secret.py"])
        if any(verify(SECRET, FLOW, MINUTE, number ^ 1 << bit) is not None for bit in range(32)):
            raise WrongAnswer(
                "A number with one bit changed is accepted. The hash must cover everything, the index of the MSS, too."
            )
    guesses = (guess * 2_654_435_761 % (1 << 32) for guess in range(TRIES))
    if any(verify(SECRET, FLOW, MINUTE, guess) is not None for guess in guesses):
        raise WrongAnswer(f"One of {TRIES} guesses was right. Use all 30 bits of `keyed`.")
