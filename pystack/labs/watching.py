"""Waits until a learner saves a file."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from pystack.labs.folders import LabError

STEP = 200  # ms; watchfiles looks for Ctrl-C this often, and one save is one change in this time


def saves(paths: Sequence[Path]) -> Iterator[Path | None]:
    """Yield None once it watches, and then a path of `paths` each time that its file was written. Ends at Ctrl-C.

    LabError if watchfiles is missing.
    """
    try:
        import watchfiles
    except ImportError:
        raise LabError("watching needs watchfiles: pip install 'pystack[watch]'") from None
    files = {path.resolve(): path for path in paths}
    # Editors write a new file and rename it, so the folders are watched.
    folders = sorted({path.parent for path in files})
    for folder in folders:
        if not folder.is_dir():
            raise LabError(f"the folder {folder} does not exist any more")
    began = False
    for changes in watchfiles.watch(
        *folders,
        watch_filter=lambda change, name: Path(name) in files,
        debounce=STEP,
        step=STEP // 4,
        rust_timeout=STEP,
        recursive=False,
        yield_on_timeout=True,
        raise_interrupt=False,
    ):
        if not began:
            began = True
            yield None
        for name in sorted({name for _, name in changes}):
            if Path(name).is_file():
                yield files[Path(name)]
