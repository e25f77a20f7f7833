"""What an experiment measures: a value with its question, its formula, and the result that the formula gives."""

import glob
import math
import shutil
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

#: unit of the display -> its size in the unit of the measurement (times are measured in ns)
SCALES = {"us": 1_000, "ms": 1_000_000, "s": 1_000_000_000}
#: program that an experiment may need -> the Debian package that has it
PACKAGES = {
    "curl": "curl",
    "dig": "bind9-dnsutils",
    "gcc": "gcc",
    "nginx": "nginx",
    "node": "nodejs",
    "openssl": "openssl",
    "ping": "iputils-ping",
    "postgres": "postgresql",
    "prlimit": "util-linux",
    "psql": "postgresql-client",
    "setpriv": "util-linux",
    "ss": "iproute2",
    "tcpdump": "tcpdump",
    "traceroute": "traceroute",
    "tshark": "tshark",
    "unshare": "util-linux",
}
#: Python module that an experiment may need -> the extra of pystack that installs it
EXTRAS = {
    "aioquic": "quic",
    "cypcap": "filter",
    "dns": "dns",
    "greenlet": "sim",
    "h11": "proxy",
    "h2": "proxy",
    "lark": "nft",
}


def program(name: str) -> str:
    """Return the path of a program, or "" if this machine has none. Debian keeps PostgreSQL's server in a folder of its own."""
    found = glob.glob(f"/usr/lib/postgresql/*/bin/{name}")
    return shutil.which(name) or max(found, default="", key=lambda path: int(path.split("/")[4].split(".")[0]))


def lacking(needs: str) -> str:
    """Return which of these programs and modules this machine lacks, with the package that has it, or ""."""
    page = sys.platform == "emscripten"
    for name in needs.split():
        if name in EXTRAS:
            if find_spec(name) is None:
                if page:
                    return f"needs {name}, which does not run in a browser"
                return f"needs {name}, which pip install 'pystack[{EXTRAS[name]}]' installs"
        elif page:
            return f"needs {name}, and a browser cannot start programs"
        elif not program(name):
            return f"needs {name}, which the Debian package {PACKAGES[name]} has"
    return ""


@dataclass(frozen=True)
class LabValue:
    """One value of an experiment. Times are in ns; `unit` is the unit in which the learner sees and predicts them.

    `expected` is a number, or a list of numbers. A number is exact unless `tolerance` (in the unit of the measurement) is given.
    `needs` names the programs and Python modules without which the value cannot be measured, with blanks between them.
    """

    name: str
    question: str
    formula: str
    expected: Any
    unit: str = "ms"
    tolerance: float = 0
    needs: str = ""

    def fits(self, result: Any) -> bool:
        """Return True if the result is what the formula says."""
        if isinstance(self.expected, list):
            if not isinstance(result, list) or len(result) != len(self.expected):
                return False
            return all(abs(a - b) <= self.tolerance for a, b in zip(result, self.expected))
        return isinstance(result, int | float) and abs(result - self.expected) <= self.tolerance

    def text(self, result: Any) -> str:
        """Return a result for reading, in the value's unit."""
        if result is None:
            return "-"
        numbers = result if isinstance(result, list) else [result]
        if not numbers:
            return "none"
        scale = SCALES.get(self.unit, 1)
        return ", ".join(
            f"{number / scale:.10g}" if scale > 1 else f"{number:{'' if isinstance(number, int) else 'g'}}"
            for number in numbers
        ) + (f" {self.unit}" if self.unit else "")

    def wanted(self) -> str:
        """Return what the formula gives, for reading, and how far from it a result may be."""
        return self.text(self.expected) + (f" (within {self.text(self.tolerance)})" if self.tolerance else "")

    def parse(self, text: str) -> Any:
        """Read a prediction such as "60", "60 ms" or "10, 20, 40". ValueError says what is wrong."""
        text = text.strip().removesuffix(self.unit).strip() if self.unit else text.strip()
        scale = SCALES.get(self.unit, 1)
        try:
            numbers = [round(float(part) * scale, 6) for part in text.split(",")]
            if not all(map(math.isfinite, numbers)):  # JSON has no name for them, so the course could not show them
                raise ValueError
        except ValueError:
            raise ValueError(f"{text[:40]!r} is not a number: write for example {self.example()}") from None
        if isinstance(self.expected, list):
            if len(numbers) != len(self.expected):
                raise ValueError(f"write {len(self.expected)} numbers with commas between them")
            return numbers
        if len(numbers) != 1:
            raise ValueError(f"write one number, for example {self.example()}")
        return numbers[0]

    def example(self) -> str:
        """Return an example of an answer, which does not give the right one away."""
        return ", ".join(["1"] * len(self.expected)) if isinstance(self.expected, list) else "25"

    def missing(self) -> str:
        """Return what this machine lacks to measure the value, with the package that has it, or ""."""
        return lacking(self.needs)


@dataclass(frozen=True)
class LabControl:
    """The same experiment with one thing changed, which must give another result."""

    change: str
    value: LabValue


class Ended(Exception):
    """A grader raises it if the learner's program ended, or was stopped, before it could be graded. `verdict` is "error" or "stopped"."""

    def __init__(self, verdict: str, text: str):
        super().__init__(text)
        self.verdict = verdict


class WrongAnswer(Exception):
    """A grader raises it. The text says what is wrong, in the learner's words, and gives a hint."""
