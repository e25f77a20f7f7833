"""The labs of the course: one folder for each, `lab_NN_name`, with a page, an experiment, an exercise and its grader.

The folder is a package, so its name begins with a letter. `docs/howto/writing-a-lab.md` says what the files of a folder contain and
how to write a new one. `pystack lab` is the command for learners. The variable PYSTACK_LABS may name one more folder with labs.
"""

import os

if os.path.isabs(os.environ.get("PYSTACK_LABS", "")):
    __path__.append(os.environ["PYSTACK_LABS"])
