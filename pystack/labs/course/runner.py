"""The process in which the course runs an experiment: `python -m pystack.labs.course.runner LAB [LOOK|capture]`.

It writes lines of JSON: {"progress": [done, of, what]} before each value, and at the end {"found": [[measured, skipped], ...]}. With the
number of a look, from 0, it writes the recording of that run instead, and with "capture" the lab's capture.
"""

import json
import os
import sys

from pystack.labs.course.measuring import measured, written
from pystack.labs.folders import lab_of


def main() -> None:
    """Measure, and report."""
    out = os.dup(1)
    os.dup2(2, 1)  # What an experiment prints does not mix with the results.
    lab = lab_of(sys.argv[1])
    if sys.argv[2:]:
        with os.fdopen(out, "wb") as file:
            file.write(written(lab) if sys.argv[2] == "capture" else lab.looks()[int(sys.argv[2])].recording())
        return
    lines = os.fdopen(out, "w")

    def progress(done: int, of: int, what: str) -> None:
        print(json.dumps({"progress": [done, of, what]}), file=lines, flush=True)

    found = measured(lab, progress)
    print(json.dumps({"found": found}), file=lines, flush=True)


if __name__ == "__main__":
    main()
