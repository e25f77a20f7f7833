"""Grades many files as pystack.labs.grading does, without a new Python for each one.

    with Graders() as graders:
        found = graders.grade(lab, path)

A process imports once what each grader's process imports at its begin, and forks for each file. What runs in the fork is the main
function of the grader's process, with the same arguments, environment, limits and refusals.
"""

import json
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from pystack.labs.folders import HERE
from pystack.labs.grading import GradeLimits, LabGrade, _result

LIMITS = GradeLimits()


class Graders:
    """The process that forks."""

    def __enter__(self):
        env = {"PYTHONPATH": str(HERE.parents[1]), "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"}
        env |= {name: os.environ[name] for name in ("PATH", "PYSTACK_PURE", "PYSTACK_LABS") if name in os.environ}
        pipe = subprocess.PIPE
        command = [sys.executable, "-P", str(Path(__file__).resolve())]
        self.process = subprocess.Popen(command, env=env, stdin=pipe, stdout=pipe, text=True, start_new_session=True)
        return self

    def __exit__(self, *args):
        self.process.communicate()

    def grade(self, lab, path) -> LabGrade:
        """Grade a file."""
        with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as results:
            out, err = Path(results, "out"), Path(results, "err")
            argv = [str(lab.number), str(path.resolve()), str(LIMITS.cpu), str(LIMITS.memory)]
            print(json.dumps([argv, folder, str(out), str(err)]), file=self.process.stdin, flush=True)
            status = int(self.process.stdout.readline())
            return _result(lab, status, False, out.read_text(), err.read_text("utf-8", "replace"), LIMITS)


def _graded(argv, folder, out, err):
    """The main function of a fork."""
    from pystack.labs import child

    os.chdir(folder)
    null = os.open(os.devnull, os.O_RDONLY)
    files = [os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600) for name in (out, err)]
    for number, file in enumerate([null, *files]):
        os.dup2(file, number)
        os.close(file)
    sys.argv[1:] = argv
    child.main()


def main():
    """Fork for each line: [arguments, folder, file for the result, file for what is printed]. Answers with the status."""
    import pystack.labs.child
    import pystack.testing.lab
    import pystack.testing.segments  # noqa: F401

    assert threading.active_count() == 1
    for line in sys.stdin:
        pid = os.fork()
        if not pid:
            _graded(*json.loads(line))
            sys.stdout.flush()
            os._exit(0)
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main()
