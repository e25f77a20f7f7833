"""What the commands of `pystack lab` share: the lab of a number, texts in the terminal's width, and the learner's progress."""

from typing import TYPE_CHECKING, Any

from pystack.style import echo

if TYPE_CHECKING:
    from pystack.labs.folders import LabFolder
    from pystack.labs.progress import LabProgress


def one_lab(number: str) -> "LabFolder":
    """Return the lab of this number."""
    from pystack.labs.folders import lab_of

    return lab_of(number)


def filled(text: str) -> str:
    """Return a text of a page or of a grader in the terminal's width."""
    from pystack.labs.text import fill, width

    return fill(text, width())


def progress_file() -> "LabProgress":
    """Read the learner's progress."""
    from pystack.labs.progress import LabProgress

    return LabProgress()


def remember(one: "LabFolder", **entry: Any) -> None:
    """Keep something about a lab. Another terminal or the page of the course may have changed the file meanwhile, so it is read anew.

    If it cannot be kept, a line says so, and the command goes on, because its result matters more.
    """
    progress = progress_file()
    progress.of(one).update(entry)
    try:
        progress.save()
    except OSError as error:
        echo(f"your progress is not saved: {progress.path}: {error.strerror}", err=True)
