"""An error in a ruleset: what is wrong, in which file, line and column, and the line with a mark under the place."""

from dataclasses import dataclass

from pystack_c.filter.nft.errors import NftError

#: the longest piece of a line that an error shows
WIDTH = 400


@dataclass(frozen=True)
class Place:
    """Where a piece of text stands: lines and columns count from 1, and `end` is the column of its last character."""

    line: int = 0
    column: int = 0
    end: int = 0


class RulesetError(NftError):
    """A ruleset cannot be understood, or cannot be loaded. str() shows it as nft does, with the line and a mark.

    It is a case of the core's NftError, which says where in the JSON the fault is.
    """

    def __init__(self, message: str, place: Place | None = None):
        super().__init__(message)
        self.place = place
        self.file = ""
        self.text = ""

    def locate(self, file: str, source: str) -> "RulesetError":
        """Add the file and the line, unless an included file has added its own. Returns the error itself."""
        if not self.file and self.place is not None:
            self.file = file
            lines = source.split("\n")
            number = self.place.line - 1
            self.text = lines[number] if 0 <= number < len(lines) else ""
        return self

    def __str__(self) -> str:
        place = self.place
        if not self.file or place is None or not place.line:
            return f"Error: {self.message}"
        end = max(place.column, min(place.end, len(self.text)))
        # Of a line without an end, show what is around the place.
        begin = max(0, place.column - 1 - WIDTH // 2) if len(self.text) > WIDTH else 0
        line = self.text[begin : begin + WIDTH]
        # A tab stays a tab under a tab, so that the mark is at the right place.
        indent = "".join("\t" if char == "\t" else " " for char in line[: place.column - 1 - begin])
        mark = indent + "^" * min(end - place.column + 1, WIDTH - len(indent))
        return f"{self.file}:{place.line}:{place.column}-{end}: Error: {self.message}\n{line}\n{mark}"
