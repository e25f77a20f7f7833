"""Grades `deliver` with losses, messages that arrive twice, and the messages of the experiment."""

from types import ModuleType

from pystack.labs.judging import compare
from pystack.labs.lab_22_head_of_line import solution

HINTS = [
    "Which message of a stream may the program get next? What do you have to remember about each stream for that?",
    "Keep two things for each stream: the number that is expected, and those that have arrived too early. When can a message leave the second one?",
    "If the expected number arrives, give it to the program, and then go on `while` the next one waits already. Ignore what is below the expected number.",
]
WRONG = {
    "wrong_line.py": "A stream waits for a message of another stream. That is what TCP does. Keep the streams apart.",
    "wrong_lost.py": "A message that came too early is lost. Keep it until the gap is closed.",
    "wrong_one.py": "When a gap is closed, more than one message may have waited behind it. Give all of them to the program at this moment.",
    "wrong_twice.py": "The program gets a message twice. A number below the expected one has been there already.",
}
#: as in the experiment: 45 messages, of which message 20 arrives late
LATE = sorted((180 + 200 if number == 20 else number * 10 + 50, number % 6, number // 6) for number in range(45))
CASES = [
    ([(1, 0, 0), (2, 0, 1), (3, 0, 2)],),
    ([(1, 0, 0), (2, 0, 2), (3, 0, 1)],),
    ([(1, 0, 0), (2, 0, 2), (3, 1, 0), (4, 1, 1), (5, 0, 1), (6, 1, 2)],),
    ([(1, 0, 3), (2, 0, 2), (3, 0, 1), (4, 1, 0), (5, 0, 0), (6, 0, 4)],),
    ([(1, 0, 0), (2, 0, 0), (3, 0, 1), (4, 1, 1), (5, 1, 1), (6, 0, 0), (7, 1, 0), (8, 1, 1)],),
    ([(1, 7, 1), (2, 3, 1), (3, 7, 0), (4, 3, 2), (5, 3, 0)],),
    (LATE,),
    ([],),
]


def check(answer: ModuleType) -> None:
    """Raise WrongAnswer unless the exercise is solved."""
    compare(answer, "deliver", CASES, solution.deliver, WRONG, __package__)
