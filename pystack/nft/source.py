"""Texts of rules: from a file or a string to a tree, with the files that they include, and errors that say where.

The grammar is grammar.lark. lark makes an LALR parser of it, so the work grows with the length of the text alone. All
texts of one load together have at most MAX_TEXT characters.
"""

import difflib
import functools
import glob
import os
import stat
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

from pystack.nft.errors import NftError, Place
from pystack.nft.names import UNSUPPORTED

MAX_TEXT = 1 << 20
MAX_FILES = 64
MAX_DEPTH = 16
#: how deep { } and ( ) may lie in each other
MAX_NESTING = 32
#: how punctuation is called in an error
_SIGNS = {"\n": "the end of the line", "": "the end of the text"}


class LarkMissing(ImportError):
    """lark is not installed."""


class _AnyWord:
    """Lets the lexer read a whole word in every place, so that an error names the word."""

    always_accept = ("NAME",)

    def process(self, stream: Iterator[Any]) -> Iterator[Any]:
        return stream


@functools.cache
def parser() -> Any:
    """Return the parser. It is made once, which takes about half a second. Raises LarkMissing."""
    try:
        import lark
    except ImportError:
        raise LarkMissing("nft's language needs lark: pip install 'pystack[nft]'") from None
    grammar = files("pystack.nft").joinpath("grammar.lark").read_text(encoding="utf-8")
    return lark.Lark(
        grammar,
        parser="lalr",
        lexer="contextual",
        start=["file", "table_items", "chain_items", "set_items"],
        propagate_positions=True,
        maybe_placeholders=True,
        postlex=_AnyWord(),
    )


class Source:
    """The texts of one load. `root` is the directory that includes may not leave, or None if there can be none."""

    def __init__(self, root: str | None = None):
        self.root = None if root is None else os.path.realpath(root)
        self.characters = 0
        self.files = 0

    def tree(self, text: str, name: str, start: str = "file") -> Any:
        """Return the tree of a text. Raises NftError."""
        import lark

        make = parser()
        self.characters += len(text)
        if self.characters > MAX_TEXT:
            raise NftError(f"the rules have more than {MAX_TEXT} characters")
        _check_nesting(text, name)
        try:
            return make.parse(text if text.endswith("\n") else text + "\n", start=start)
        except lark.UnexpectedToken as error:
            place, message = _unexpected(error)
        except lark.UnexpectedCharacters as error:
            char = text[error.pos_in_stream : error.pos_in_stream + 1]
            place = Place(error.line, error.column, error.column)
            message = f"syntax error: {_quoted(char)} is not expected here{_expected(error.allowed or ())}"
        raise NftError(message, place).locate(name, text)

    def included(self, pattern: str, includer: str, depth: int) -> list[tuple[str, str]]:
        """Return the names and the texts of the files that an `include` means. Raises NftError."""
        if self.root is None:
            raise NftError("include works only in a file, because the path is relative to it")
        if depth >= MAX_DEPTH:
            raise NftError(f"files include each other more than {MAX_DEPTH} deep")
        if os.path.isabs(pattern) or "\0" in pattern:
            raise NftError(f"include {pattern!r}: the path must be relative to the file")
        path = os.path.join(os.path.dirname(os.path.abspath(includer)), pattern)
        if any(char in pattern for char in "*?["):
            directory, last = os.path.split(path)
            if any(char in directory for char in "*?["):
                raise NftError(f"include {pattern!r}: only the name of the file may have * in it, not its directory")
            paths = sorted(glob.glob(os.path.join(glob.escape(directory), last)))
            return [(one, self._read(one, pattern)) for one in paths if os.path.isfile(one)]
        return [(path, self._read(path, pattern))]

    def _read(self, path: str, pattern: str) -> str:
        """Return the text of one file below the root."""
        real = os.path.realpath(path)
        if self.root is None or os.path.commonpath((real, self.root)) != self.root:
            raise NftError(f"include {pattern!r}: the file is outside the directory {self.root}")
        self.files += 1
        if self.files > MAX_FILES:
            raise NftError(f"more than {MAX_FILES} files are included")
        return read_file(real, MAX_TEXT - self.characters)


def read_file(path: str, limit: int = MAX_TEXT) -> str:
    """Return the text of a file of rules. Raises NftError if it is not a file, not text, or longer than `limit`."""
    try:
        # A FIFO would block the open.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with open(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise NftError(f"{path}: not a regular file")
            data = file.read(limit + 1)
    except OSError as error:
        raise NftError(f"{path}: {error.strerror}") from None
    if len(data) > limit:
        raise NftError(f"{path}: the rules have more than {MAX_TEXT} characters")
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise NftError(f"{path}: the text is not UTF-8") from None


def place_of(node: Any) -> Place | None:
    """Return where a tree or a token stands, or None if it is empty."""
    meta = getattr(node, "meta", node)
    line = getattr(meta, "line", None)
    if line is None:
        return None
    column = meta.column
    end = meta.end_column - 1 if meta.end_line == line else column
    return Place(line, column, max(column, end))


def _check_nesting(text: str, name: str) -> None:
    """Refuse text whose brackets lie too deep in each other. Brackets in strings and comments count, too."""
    depth = 0
    for number, line in enumerate(text.split("\n"), 1):
        for column, char in enumerate(line, 1):
            if char in "{(":
                depth += 1
                if depth > MAX_NESTING:
                    message = f"brackets lie more than {MAX_NESTING} deep in each other"
                    raise NftError(message, Place(number, column, column)).locate(name, text)
            elif char in "})":
                depth = max(0, depth - 1)


def _quoted(text: str) -> str:
    """Return a piece of text as an error names it."""
    return _SIGNS.get(text.replace("\r", ""), repr(text if len(text) < 60 else f"{text[:60]}..."))


def _unexpected(error: Any) -> tuple[Place, str]:
    """Return the place and the message for a word that the grammar does not have here."""
    token = error.token
    word = str(token)
    if token.type == "$END":
        return Place(error.line, error.column, error.column), "syntax error: the text ends too early"
    place = place_of(token) or Place(1, 1, 1)
    if word == "@":
        return place, "'@' is not expected here; pystack does not read bytes at an offset, such as @th,16,16"
    if word in UNSUPPORTED:
        return place, f"pystack does not know {word!r}, which is a word of nft's language"
    return (
        place,
        f"syntax error: {_quoted(word)} is not expected here{_expected(error.accepts or error.expected, word)}",
    )


def _expected(names: Any, word: str = "") -> str:
    """Return the word that is probably meant, or the list of the words that would be right, if it is short."""
    terminals = {terminal.name: terminal.pattern for terminal in parser().terminals}
    plain = {
        "_NL": "the end of the line",
        "NAME": "a name",
        "STRING": "a string",
        "NUMBER": "a number",
        "TIME": "a time",
    }
    hidden = {"IP4": "an address", "IP6": "an address", "PER": "bytes/second"}
    words = sorted(
        {plain.get(name) or hidden.get(name) or terminals[name].value for name in names if name in terminals}
    )
    near = difflib.get_close_matches(word[:40], [one for one in words if one.isidentifier()], 1)
    if near:
        return f"; perhaps {near[0]!r} is meant"
    if not words or len(words) > 12:
        return ""
    return f"; expected: {', '.join(words)}"
