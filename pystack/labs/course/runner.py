"""The process in which the course runs an experiment: `python -m pystack.labs.course.runner LAB`.

It writes lines of JSON: {"progress": [done, of, what]} before each value, and at the end {"found": [[measured, skipped], ...]}.
"""

import json
import os
import sys

from pystack.labs.course.measuring import measured
from pystack.labs.folders import lab_of


def main() -> None:
    """Measure, and report."""
    lines = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # What an experiment prints does not mix with the lines.

    def progress(done: int, of: int, what: str) -> None:
        print(json.dumps({"progress": [done, of, what]}), file=lines, flush=True)

    found = measured(lab_of(sys.argv[1]), progress)
    print(json.dumps({"found": found}), file=lines, flush=True)


if __name__ == "__main__":
    main()
