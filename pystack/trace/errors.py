"""The one error of files that cannot be read."""


class TraceError(ValueError):
    """A capture or recording that cannot be used: one line that says which file, what is wrong, and where."""
