"""System calls and the expressions in them."""

import warnings
from typing import Any

from pystack.pkt.cursor import TokenCursor
from pystack.pkt.errors import ScriptError
from pystack.pkt.lexer import Token
from pystack.pkt.model import Either, Invocation, Struct, Syscall, Word

#: the maximum length of one string, with all its pieces
MAX_STRING = 1 << 16


def parse_syscall(cursor: TokenCursor, end: int) -> Syscall:
    """Parse name(args) = result [ERRNO (text)] [(note)]."""
    name = cursor.expect_word("a packet, a system call, a command or code")
    cursor.expect("(")
    args = parse_list(cursor, ")")
    cursor.expect("=")
    call = Syscall(name, args, parse_expr(cursor), end=end)
    if cursor.token.kind == "word" and cursor.ahead().text == "(" and str(cursor.token.value)[:1] == "E":
        call.errno = str(cursor.next().value)
        _note(cursor)
    elif cursor.token.kind == "word" and str(cursor.token.value)[:1] == "E":
        call.errno = str(cursor.next().value)
    if cursor.is_punct("("):
        _note(cursor)
    return call


def _note(cursor: TokenCursor) -> None:
    """Skip (words), which explain the errno or the flags to the reader."""
    cursor.expect("(")
    while not cursor.take_punct(")"):
        if cursor.token.kind == "end":
            raise cursor.error("')'")
        cursor.next()


def parse_list(cursor: TokenCursor, closing: str) -> list[Any]:
    """Parse expressions separated by commas, up to the closing character."""
    items: list[Any] = []
    if cursor.take_punct(closing):
        return items
    while True:
        items.append(parse_expr(cursor))
        if cursor.take_punct(closing):
            return items
        if not cursor.take_punct(","):
            raise cursor.error(f"',' or '{closing}'")


def parse_expr(cursor: TokenCursor) -> Any:
    """Parse one expression: an int, bytes, `...`, a Word, a list, a Struct, an Invocation or an Either."""
    with cursor.deeper():
        return _expr(cursor)


def _expr(cursor: TokenCursor) -> Any:
    value = _simple(cursor)
    if not cursor.is_punct("|"):
        return value
    parts = [value]
    while cursor.take_punct("|"):
        parts.append(_simple(cursor))
    return Either(parts)


def _simple(cursor: TokenCursor) -> Any:
    token = cursor.token
    if token.kind in ("int", "hex"):
        cursor.next()
        return int(token.value)
    if token.kind == "ellipsis":
        cursor.next()
        return Ellipsis
    if token.kind == "string":
        return _string(cursor)
    if token.kind == "word":
        cursor.next()
        if cursor.is_punct("("):
            cursor.next()
            return Invocation(str(token.value), parse_list(cursor, ")"))
        return Word(str(token.value))
    if cursor.take_punct("["):
        return parse_list(cursor, "]")
    if cursor.take_punct("{"):
        return _struct(cursor)
    raise cursor.error("an expression")


def _string(cursor: TokenCursor) -> bytes:
    """Parse a string. Adjacent strings are joined, and C's escapes are replaced."""
    parts: list[bytes] = []
    length = 0
    while cursor.token.kind == "string":
        token = cursor.next()
        length += len(str(token.value))
        if length > MAX_STRING:
            raise ScriptError(token.line, f"a string of more than {MAX_STRING} characters", token.column)
        parts.append(_unescape(token))
    if cursor.token.kind == "ellipsis":
        cursor.next()
    return b"".join(parts)


def _unescape(token: Token) -> bytes:
    raw = str(token.value).encode("latin-1", "replace")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an escape that C does not know stands for itself
            return raw.decode("unicode_escape").encode("latin-1", "replace")
    except UnicodeDecodeError as error:
        raise ScriptError(token.line, f"in the string: {error.reason}", token.column) from None


def _struct(cursor: TokenCursor) -> Struct:
    """Parse {name=value, name(...)=value, value, ...}."""
    struct = Struct()
    while not cursor.take_punct("}"):
        if struct.fields or struct.items:
            cursor.expect(",")
        name = _member(cursor)
        value = parse_expr(cursor)
        if name:
            struct.fields[name] = value
        else:
            struct.items.append(value)
    return struct


def _member(cursor: TokenCursor) -> str:
    """Parse the name of a member with its `=`. Return "" if a bare value comes."""
    if cursor.token.kind != "word":
        return ""
    name = str(cursor.token.value)
    if cursor.ahead().text == "=":
        cursor.at += 2
        return name
    # msg_iov(2)=[...]: the count in parentheses is only for the reader
    if cursor.ahead(1).text == "(" and cursor.ahead(3).text == ")" and cursor.ahead(4).text == "=":
        cursor.at += 5
        return name
    return ""
