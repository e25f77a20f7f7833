"""Turns text into tokens: packetdrill's lexical rules (longest match), its defines, and #define / #ifdef / #include."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pystack.pkt.errors import ScriptError

_SEG = r"[0-9a-fA-F]{1,4}"
_V4 = r"\d+\.\d+\.\d+\.\d+"
#: An address has `::` or seven colons, because `1:1001` is a range of sequence numbers. It has no more colons, because
#: otherwise the lexer would scan a long chain of colons again from each of its places.
_V6 = rf"(?:(?:{_SEG}:){{0,7}}{_SEG})?::(?:(?:{_SEG}:){{0,7}}(?:{_V4}|{_SEG}))?|(?:{_SEG}:){{7}}{_SEG}"

_TOKEN = re.compile(
    rf"""
    (?P<space>[^\S\n]+)
  | (?P<newline>\n)
  | (?P<comment>//[^\n]*|/\*.*?\*/)
  | (?P<code>%\{{.*?\}}%)
  | (?P<backquoted>`(?:\\.|[^`\\])*`)
  | (?P<string>"(?:\\.|[^"\\])*")
  | (?P<option>--[a-zA-Z0-9_]+(?:=(?:"[^"]*"|`[^`]*`|[^\s"`])*)?)
  | (?P<ipv4>{_V4})
  | (?P<ipv6>{_V6})
  | (?P<ellipsis>\.\.\.)
  | (?P<float>-?\d*\.\d+)
  | (?P<hex>0x[0-9a-fA-F]+)
  | (?P<word>[a-zA-Z_]\w*(?:-(?:FO|AccECN[01]|tarr|admit)\b)?|\d+[a-zA-Z_]\w*)
  | (?P<int>-?\d+)
  | (?P<punct>[^\s])
    """,
    re.VERBOSE | re.DOTALL,
)
#: digits of a number: more than any valid number has
_MAX_DIGITS = 40
#: what begins something that must be closed
_OPENERS = ("%{", "/*", '"', "`")
_MAX_DEPTH = 64
_MAX_INCLUDES = 100
_MAX_TEXT = 1 << 24
_MAX_DEFINITION = 1024
_DIRECTIVE = re.compile(r"#[ \t]*(define|undef|ifdef|ifndef|else|endif|include)\b[ \t]*+([^\n]*)")
_DEFINE = re.compile(r"([A-Za-z_]\w*)(?:[ \t=]++(.*))?$")


@dataclass
class Token:
    """One token. `value` is the number, the name, or the text without its quotes."""

    kind: str
    value: "str | int | float"
    line: int
    column: int
    #: the token as it was written
    text: str = ""


class Lexer:
    """Cuts a script into tokens."""

    def __init__(self, text: str, defines: dict[str, str], include: Callable[[str], str] | None = None):
        self.text = text
        self.defines = defines
        self.include = include
        self.line = 1
        self.line_start = 0
        #: for each open #ifdef: (this branch is taken, line)
        self.conditions: list[tuple[bool, int]] = []
        self.depth = 0
        self.includes = 0
        #: the number of characters read, including those of included files, and of the bytes of all tokens
        self.read = 0

    def tokens(self) -> list[Token]:
        """Return all tokens. The last one is `end`."""
        found = list(self._scan(self.text))
        if self.conditions:
            raise ScriptError(self.conditions[-1][1], "#ifdef without #endif")
        found.append(Token("end", "", self.line, 0))
        return found

    def _scan(self, text: str) -> Iterator[Token]:
        at = 0
        fresh = True  # only blanks on this line so far
        self.read += len(text)
        if self.read > _MAX_TEXT:
            raise ScriptError(self.line, f"more than {_MAX_TEXT} characters")
        while at < len(text):
            if fresh and text[at] == "#":
                match = _DIRECTIVE.match(text, at)
                if match is None:
                    raise ScriptError(self.line, "unknown # directive", at - self.line_start + 1)
                yield from self._directive(match.group(1), match.group(2))
                at = match.end()
                continue
            match = _TOKEN.match(text, at)
            assert match is not None  # `punct` and `space` match anything
            kind = match.lastgroup or ""
            raw = match.group()
            if kind == "newline":
                self._lines(text, at, match.end())
                fresh = True
            elif kind == "comment":
                self._lines(text, at, match.end())
            elif kind != "space":
                fresh = False
                if kind == "punct" and text.startswith(_OPENERS, at):
                    opener = next(one for one in _OPENERS if text.startswith(one, at))
                    raise ScriptError(self.line, f"{opener} is never closed", at - self.line_start + 1)
                if all(taken for taken, _ in self.conditions):
                    yield self._token(kind, raw, at)
                self._lines(text, at, match.end())
            at = match.end()

    def _lines(self, text: str, start: int, end: int) -> None:
        count = text.count("\n", start, end)
        if count:
            self.line += count
            self.line_start = text.rindex("\n", start, end) + 1

    def _token(self, kind: str, raw: str, at: int) -> Token:
        token = Token(kind, raw, self.line, at - self.line_start + 1, raw)
        if kind in ("int", "hex", "float") and len(raw) > _MAX_DIGITS:
            raise ScriptError(self.line, f"a number of more than {_MAX_DIGITS} digits", token.column)
        if kind == "int":
            token.value = int(raw)
        elif kind == "hex":
            token.value = int(raw, 16)
        elif kind == "float":
            token.value = float(raw)
        elif kind in ("string", "backquoted"):
            token.value = raw[1:-1]
        elif kind == "code":
            token.value = raw[2:-2]
        elif kind == "option":
            self._option(token, raw)
        elif kind == "word":
            self._word(token, raw)
        return token

    def _option(self, token: Token, raw: str) -> None:
        token.value = raw[2:]
        name, _, value = raw[2:].partition("=")
        if name == "define":
            symbol, _, meaning = value.partition("=")
            self._define(symbol, meaning)

    def _define(self, symbol: str, meaning: str) -> None:
        if len(meaning) > _MAX_DEFINITION:
            # Each use of the definition is a token of this length.
            raise ScriptError(self.line, f"a definition of more than {_MAX_DEFINITION} characters")
        self.defines[symbol] = meaning

    def _word(self, token: Token, raw: str) -> None:
        """Replace a defined name by its meaning: an int, a string, a command, or another word."""
        value = self.defines.get(raw)
        if value is None:
            return
        token.text = value
        if value[:1] == '"':
            token.kind, token.value = "string", value[1:-1]
        elif value[:1] == "`":
            token.kind, token.value = "backquoted", value[1:-1]
        else:
            try:
                token.kind, token.value = "int", int(value[: _MAX_DIGITS + 1], 0)
            except ValueError:
                token.value = value

    def _directive(self, name: str, rest: str) -> Iterator[Token]:
        rest = _without_comments(rest).strip()
        taken = all(taken for taken, _ in self.conditions)
        if name in ("ifdef", "ifndef"):
            if len(self.conditions) >= _MAX_DEPTH:
                raise ScriptError(self.line, f"#{name} is nested too deeply")
            self.conditions.append(((rest in self.defines) == (name == "ifdef"), self.line))
        elif name in ("else", "endif"):
            if not self.conditions:
                raise ScriptError(self.line, f"#{name} without #ifdef")
            last, line = self.conditions.pop()
            if name == "else":
                self.conditions.append((not last, line))
        elif taken and name == "undef":
            self.defines.pop(rest, None)
        elif taken and name == "define":
            match = _DEFINE.match(rest)
            if match is None:
                raise ScriptError(self.line, "write #define NAME VALUE")
            self._define(match.group(1), match.group(2) or "1")
        elif taken and name == "include":
            yield from self._include(rest.strip('"<>'))

    def _include(self, name: str) -> Iterator[Token]:
        if self.include is None:
            raise ScriptError(self.line, "#include is not possible in this text")
        if self.depth >= 8:
            raise ScriptError(self.line, "#include is nested too deeply")
        self.includes += 1
        if self.includes > _MAX_INCLUDES:
            raise ScriptError(self.line, f"more than {_MAX_INCLUDES} files are included")
        try:
            text = self.include(name)
        except OSError as error:
            raise ScriptError(self.line, f"#include {name}: {error.strerror}") from None
        line, start, self.depth = self.line, self.line_start, self.depth + 1
        for token in self._scan(text):
            token.line = line
            yield token
        self.line, self.line_start, self.depth = line, start, self.depth - 1


def _without_comments(text: str) -> str:
    """Return a line without its comments."""
    kept = []
    at = 0
    while (begin := text.find("/", at)) >= 0:
        kept.append(text[at:begin])
        if text.startswith("//", begin):
            return "".join(kept)
        end = text.find("*/", begin + 2) if text.startswith("/*", begin) else -1
        if end < 0 and text.startswith("/*", begin):
            # The comment is not closed in this line, so it stays, and so does the rest, except for a `//`.
            return "".join(kept) + text[begin:].partition("//")[0]
        if end < 0:
            kept.append("/")
        at = end + 2 if end >= 0 else begin + 1
    return "".join(kept) + text[at:]
