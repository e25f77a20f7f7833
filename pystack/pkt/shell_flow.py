"""The parts of a shell that command files need besides commands: if, variables, $(...), tests."""

import re
from typing import Any

from pystack.pkt.errors import Unsupported

_ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)=(\"[^\"]*\"|'[^']*'|\S*)$")
_COMMAND = re.compile(r"\$\(([^()]+)\)")
_NUMBERS = {"-eq": "__eq__", "-ne": "__ne__", "-gt": "__gt__", "-ge": "__ge__", "-lt": "__lt__", "-le": "__le__"}
#: the most characters of a command after its variables are filled in, and the most variables
MAX_COMMAND = 1 << 14
MAX_VARIABLES = 100
#: words that end a branch, and words that begin one
WORDS = ("if", "then", "elif", "else", "fi")


class Flow:
    """Decides which commands run. Each open `if` has an entry: (its branch runs, one of its branches has run)."""

    def __init__(self, shell: Any):
        self.shell = shell
        self.open: list[tuple[bool, bool]] = []

    @property
    def runs(self) -> bool:
        """True if the next command is to be run."""
        return all(runs for runs, _ in self.open)

    def word(self, part: str, line: int) -> str:
        """Take the control word that a part begins with. Return the rest of the command, or ""."""
        word, _, rest = part.partition(" ")
        if word not in WORDS:
            return part
        left = self._take(word, rest.strip(), line)
        return self.word(left, line) if left else ""

    def _take(self, word: str, rest: str, line: int) -> str:
        if word == "if":
            runs = self.runs and self.shell.step(rest, line) == 0
            self.open.append((runs, runs or not self.runs))
            return ""
        if not self.open:
            raise Unsupported(line, f"{word!r} without 'if' is not supported")
        if word == "then":
            return rest
        _, done = self.open.pop()
        if word == "fi":
            return rest
        runs = not done and self.runs and (word == "else" or self.shell.step(rest, line) == 0)
        self.open.append((runs, done or runs))
        return rest if word == "else" else ""


def assign(shell: Any, part: str, line: int) -> bool:
    """Remember a variable from NAME=value. Return False if the part is something else."""
    match = _ASSIGNMENT.match(part)
    if match is None:
        return False
    value = match.group(2)
    if value[:1] in "\"'" and value:
        value = value[1:-1]
    if len(shell.variables) >= MAX_VARIABLES and match.group(1) not in shell.variables:
        raise Unsupported(line, f"more than {MAX_VARIABLES} variables are not supported")
    shell.variables[match.group(1)] = value
    return True


def expand(shell: Any, part: str, line: int) -> str:
    """Fill in variables that were assigned, and the output of commands in $(...), outside of single quotes."""
    pieces = re.split(r"('[^']*')", part)
    for i in range(0, len(pieces), 2):
        text = _COMMAND.sub(lambda match: " ".join(shell.output(match.group(1), line)), pieces[i])
        for name, value in shell.variables.items():
            parts = re.split(rf"\$(?:{name}\b|\{{{name}\}})", text)
            if len(text) + (len(parts) - 1) * len(value) > MAX_COMMAND:
                raise Unsupported(line, f"a command of more than {MAX_COMMAND} characters is not supported")
            text = value.join(parts)
        pieces[i] = text
    return "".join(pieces)


def test(words: list[str], line: int) -> int:
    """[ A = B ], [ A -gt B ], [ -z A ], [ -n A ]: return 0 if it is true."""
    if len(words) == 2 and words[0] in ("-z", "-n"):
        return int(bool(words[1]) == (words[0] == "-z"))
    if len(words) == 3:
        left, operator, right = words
        if operator in ("=", "==", "!="):
            return int((left == right) == (operator == "!="))
        if operator in _NUMBERS and left.lstrip("-").isdigit() and right.lstrip("-").isdigit():
            return int(not getattr(int(left), _NUMBERS[operator])(int(right)))
    raise Unsupported(line, f"the test [ {' '.join(words)} ] is not supported")
