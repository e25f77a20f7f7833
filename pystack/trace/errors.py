"""The error for files that cannot be read."""


class TraceError(ValueError):
    """A capture or recording cannot be used.

    The text is one line that names the file, the problem, and its position.
    """
