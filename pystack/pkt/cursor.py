"""A position in a list of tokens, with the small steps that all parsers of this package take."""

import contextlib
from collections.abc import Iterator

from pystack.pkt.errors import ScriptError, Unsupported
from pystack.pkt.lexer import Token

#: how deeply expressions may be nested
MAX_DEPTH = 50

#: words that begin an event in packetdrill, and that are not supported here
FOREIGN = {
    "sctp": "SCTP",
    "dccp": "DCCP",
    "udplite": "UDP-Lite",
    "gre": "GRE encapsulation",
    "mpls": "MPLS encapsulation",
    "ipv4": "IP in IP encapsulation",
    "ipv6": "IPv6 encapsulation",
    "encap": "PSP encapsulation",
}


class TokenCursor:
    """Reads tokens one by one."""

    def __init__(self, tokens: list[Token]):
        self.tokens = tokens
        self.at = 0
        self.depth = 0

    @contextlib.contextmanager
    def deeper(self) -> Iterator[None]:
        """Count one more level of nested expressions inside the `with` block."""
        if self.depth >= MAX_DEPTH:
            raise ScriptError(self.token.line, "nested too deeply", self.token.column)
        self.depth += 1
        yield
        self.depth -= 1

    @property
    def token(self) -> Token:
        """The next token."""
        return self.tokens[self.at]

    def ahead(self, count: int = 1) -> Token:
        """Return a token further on."""
        return self.tokens[min(self.at + count, len(self.tokens) - 1)]

    def next(self) -> Token:
        """Take the token."""
        token = self.tokens[self.at]
        if token.kind != "end":
            self.at += 1
        return token

    def error(self, expected: str) -> ScriptError:
        """Return a ScriptError at this place."""
        token = self.token
        found = "the end of the script" if token.kind == "end" else repr(token.text)
        return ScriptError(token.line, f"expected {expected}, found {found}", token.column)

    def is_punct(self, text: str) -> bool:
        """Return True if the next token is this character."""
        return self.token.kind == "punct" and self.token.value == text

    def is_word(self, *names: str) -> bool:
        """Return True if the next token is one of these words."""
        return self.token.kind == "word" and self.token.value in names

    def take_punct(self, text: str) -> bool:
        """Take the character if it is next."""
        if self.is_punct(text):
            self.at += 1
            return True
        return False

    def take_word(self, *names: str) -> bool:
        """Take the word if it is next."""
        if self.is_word(*names):
            self.at += 1
            return True
        return False

    def expect(self, text: str) -> Token:
        """Take the character, which must come next."""
        if not self.is_punct(text):
            raise self.error(repr(text))
        return self.next()

    def expect_word(self, what: str = "a name") -> str:
        """Take a word, which must come next."""
        if self.token.kind != "word":
            raise self.error(what)
        return str(self.next().value)

    def expect_int(self, what: str, low: int = -(1 << 63), high: int = (1 << 63) - 1) -> int:
        """Take a number within the bounds, which must come next."""
        token = self.token
        if token.kind not in ("int", "hex"):
            raise self.error(what)
        value = int(token.value)
        if not low <= value <= high:
            raise ScriptError(token.line, f"{what} is {value}, and must be {low}..{high}", token.column)
        self.at += 1
        return value

    def u32(self, what: str) -> int:
        """Take an unsigned 32-bit number."""
        return self.expect_int(what, 0, 0xFFFFFFFF)

    def u16(self, what: str) -> int:
        """Take an unsigned 16-bit number."""
        return self.expect_int(what, 0, 0xFFFF)

    def foreign(self) -> None:
        """Raise Unsupported if the next word begins something that is not supported here."""
        token = self.token
        if token.kind == "word" and token.value in FOREIGN:
            raise Unsupported(token.line, f"{FOREIGN[str(token.value)]} is not supported")
        if token.kind == "ipv6":
            raise Unsupported(token.line, "IPv6 is not supported")
