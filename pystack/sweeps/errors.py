"""The error of a sweep that could not do its work."""

from typing import Any


class SweepError(RuntimeError):
    """A sweep cannot go on, or its file cannot be used. The text says in one line why, and what you can do.

    sweep   the results so far (results.Sweep), or None if it did not begin
    """

    def __init__(self, text: str, sweep: Any = None):
        super().__init__(text)
        self.sweep = sweep
