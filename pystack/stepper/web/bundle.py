"""The scripts and styles of two pages: the stepper and the course. The build puts them into the package (sources in `web`; see
docs/reference/stepper-web.md).
"""

from pathlib import Path

STATIC = Path(__file__).resolve().parent / "static"
#: name -> media type; no other file of the folder is ever served
FILES = {
    "index.html": "text/html; charset=utf-8",
    "stepper.js": "text/javascript; charset=utf-8",
    "stepper.css": "text/css; charset=utf-8",
    "THIRD-PARTY.txt": "text/plain; charset=utf-8",
}
#: the same for the course
COURSE_FILES = {
    "course.html": "text/html; charset=utf-8",
    "course.js": "text/javascript; charset=utf-8",
    "course.css": "text/css; charset=utf-8",
    "THIRD-PARTY.txt": "text/plain; charset=utf-8",
}


class BundleMissing(OSError):
    """The page's bundle was not built."""


def text(name: str) -> str:
    """Return the text of one of FILES. BundleMissing says what to do if the file is not there."""
    try:
        return (STATIC / name).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise BundleMissing(
            "the pages of the web stepper and of the course were not built; install npm (Debian: nodejs and npm) and run `make build` in the sources"
        ) from None
