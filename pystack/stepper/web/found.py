"""The recordings and captures in a directory: a bounded search that follows no symbolic link, and their safe opening."""

import os
import stat
from typing import BinaryIO, NamedTuple

from pystack.stepper.sniff import MAGIC, is_capture
from pystack.trace.errors import TraceError

#: how deep the search goes below the directory, how many entries it looks at, and how many files it finds at most
MOST_DEPTH, MOST_ENTRIES, MOST_FILES = 3, 5_000, 200


class FoundFile(NamedTuple):
    """A file: its path below the directory with "/", what it is ("recording" or "capture"), and its size in bytes."""

    path: str
    kind: str
    size: int


def search(folder: str) -> tuple[list[FoundFile], bool]:
    """Return the recordings and captures, by path, and whether the search was cut short.

    Their first bytes say what they are. Hidden directories, symbolic links and what is no regular file are skipped.
    """
    found: list[FoundFile] = []
    waiting = [("", 0)]
    looked = 0
    while waiting:
        path, depth = waiting.pop(0)
        try:
            with os.scandir(os.path.join(folder, path)) as entries:
                for entry in entries:
                    looked += 1
                    if looked > MOST_ENTRIES or len(found) >= MOST_FILES:
                        return sorted(found), True
                    below = f"{path}/{entry.name}" if path else entry.name
                    if entry.is_dir(follow_symlinks=False):
                        if depth < MOST_DEPTH and not entry.name.startswith("."):
                            waiting.append((below, depth + 1))
                    elif entry.is_file(follow_symlinks=False):
                        one = _look(folder, below)
                        if one is not None:
                            found.append(one)
        except OSError:
            continue  # a directory that may not be read
    return sorted(found), False


def _look(folder: str, path: str) -> "FoundFile | None":
    try:
        with open_below(folder, path) as file:
            head = file.read(len(MAGIC))
            size = os.fstat(file.fileno()).st_size
    except (OSError, TraceError):
        return None
    if head == MAGIC:
        return FoundFile(path, "recording", size)
    return FoundFile(path, "capture", size) if is_capture(head) else None


def open_below(folder: str, path: str) -> BinaryIO:
    """Open a file below a directory for reading.

    No part of its path may be a symbolic link or lead upwards, so nothing outside the directory is opened, even if
    someone changes the directory meanwhile. TraceError or OSError says why not.
    """
    parts = path.split("/")
    if not all(part not in ("", ".", "..") and "\0" not in part for part in parts):
        raise TraceError(f"{path}: not a path below the directory")
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
    at = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in parts[:-1]:
            below = os.open(part, flags | os.O_DIRECTORY, dir_fd=at)
            os.close(at)
            at = below
        # A FIFO must not make the search wait.
        last = os.open(parts[-1], flags | os.O_NONBLOCK, dir_fd=at)
    finally:
        os.close(at)
    if not stat.S_ISREG(os.fstat(last).st_mode):
        os.close(last)
        raise TraceError(f"{path}: not a regular file")
    return open(last, "rb")
