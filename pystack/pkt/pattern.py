"""Finds regular expressions that may try too many ways before they give up.

Python's `re` searches by backtracking: if two parts of a pattern can match the same characters, it tries each way of
dividing them. So `(a+)+b` needs a billion attempts for thirty letters. `trouble` says whether a pattern has such parts.
A script's own `grep -E` with such a pattern is refused, and tests check all patterns of this package
(tests/test_patterns.py).

It regards a pattern as a row of *items*, each with the set of characters that it can begin with or consist of, and
refuses

- two unbounded runs that share characters, if nothing between them fixes where the first one ends;
- an unbounded repetition whose body can be divided in more than one way, or has alternatives that begin alike;
- in a search, a run that can contain another beginning of the pattern, because each beginning is tried and runs as far;
- references to groups.

A pattern that it accepts takes time in proportion to the text. It also refuses some patterns that are harmless.
"""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

_parser: Any = re._parser  # type: ignore[attr-defined]
_c: Any = re._constants  # type: ignore[attr-defined]

#: as many repetitions as this count as unbounded
UNBOUNDED = 64
#: the characters that the check distinguishes
_ALL = frozenset(range(260))
#: these stand for all other letters, digits, spaces, and the rest
_LETTER, _OTHER_DIGIT, _OTHER_SPACE, _REST = 256, 257, 258, 259
#: the most ways through a pattern that are checked
_MOST = 4000

_SPACE = frozenset(c for c in range(256) if chr(c).isspace()) | {_OTHER_SPACE}
_DIGIT = frozenset(c for c in range(256) if chr(c).isdigit()) | {_OTHER_DIGIT}
_WORD = frozenset(c for c in range(256) if chr(c).isalnum() or c == 95) | {_LETTER, _OTHER_DIGIT}
_CATEGORIES = {
    _c.CATEGORY_SPACE: _SPACE,
    _c.CATEGORY_NOT_SPACE: _ALL - _SPACE,
    _c.CATEGORY_DIGIT: _DIGIT,
    _c.CATEGORY_NOT_DIGIT: _ALL - _DIGIT,
    _c.CATEGORY_WORD: _WORD,
    _c.CATEGORY_NOT_WORD: _ALL - _WORD,
}


class Item(NamedTuple):
    """A part of a row: one of `chars`, at least once if `needed`, any number of times if it is a `run`.

    A `fixed` run gives no character back.
    """

    chars: frozenset[int]
    needed: bool
    run: bool = False
    fixed: bool = False


class Refused(Exception):
    """The pattern is refused. The message says why."""


def trouble(pattern: "str | bytes", flags: int = 0, search: bool = False) -> str:
    """Return why the pattern may take longer than in proportion to its text, or "".

    `search` says that the match may begin anywhere.
    """
    tree = _parser.parse(pattern, flags)
    fold = bool(tree.state.flags & re.IGNORECASE)
    try:
        for row in _rows(list(tree), fold):
            _check_row(row)
            if search:
                _check_search(row)
    except Refused as refused:
        return str(refused)
    return ""


def _stands(char: int) -> int:
    """Return the number that stands for the character."""
    if char < 256:
        return char
    text = chr(char)
    return _OTHER_DIGIT if text.isdigit() else _LETTER if text.isalnum() else _OTHER_SPACE if text.isspace() else _REST


def _one(op: Any, value: Any, fold: bool) -> frozenset[int]:
    """Return the characters of an item of one character."""
    if op is _c.LITERAL:
        found = {_stands(value)}
    elif op is _c.NOT_LITERAL:
        return _ALL - {value} if value < 256 else _ALL
    elif op is _c.ANY:
        return _ALL
    else:
        found = set()
        negated = False
        for kind, what in value:
            if kind is _c.NEGATE:
                negated = True
            elif kind is _c.LITERAL:
                found.add(_stands(what))
            elif kind is _c.RANGE:
                found.update(range(what[0], min(what[1], 255) + 1))
                if what[1] > 255:
                    found |= {_LETTER, _OTHER_DIGIT, _OTHER_SPACE, _REST}
            else:
                found |= _CATEGORIES[what]
        if negated:
            # A number that stands for many characters stays if only some of them are excluded.
            return _ALL - {char for char in found if char < 256 or char in _whole(value)}
    if fold:
        found |= {ord(chr(c).swapcase()) for c in found if c < 128}
    return frozenset(found)


def _whole(value: Any) -> set[int]:
    """Return the numbers for many characters that are in the set as a whole, because of a category."""
    return {char for kind, what in value if kind is _c.CATEGORY for char in _CATEGORIES[what] if char > 255}


def _rows(nodes: list[Any], fold: bool) -> Iterator[list[Item]]:
    """Yield every way through a sequence of nodes, as a row of items."""
    rows: list[list[Item]] = [[]]
    for op, value in nodes:
        ways = list(_ways(op, value, fold))
        rows = [row + way for row in rows for way in ways]
        if len(rows) > _MOST:
            raise Refused("there are too many ways through it")
    yield from rows


def _ways(op: Any, value: Any, fold: bool) -> Iterator[list[Item]]:
    if op in (_c.LITERAL, _c.NOT_LITERAL, _c.ANY, _c.IN):
        yield [Item(_one(op, value, fold), True)]
    elif op is _c.SUBPATTERN:
        yield from _rows(list(value[3]), fold)
    elif op is _c.ATOMIC_GROUP:
        yield from ([item._replace(fixed=True) for item in row] for row in _rows(list(value), fold))
    elif op is _c.BRANCH:
        for branch in value[1]:
            yield from _rows(list(branch), fold)
    elif op is _c.AT:
        # It matches no character, but it may fail.
        yield [] if value is _c.AT_BEGINNING_STRING else [Item(_ALL, True)]
    elif op in (_c.ASSERT, _c.ASSERT_NOT):
        for row in _rows(list(value[1]), fold):
            _check_row(row)
        yield [Item(_ALL, True)]
    elif op in (_c.MAX_REPEAT, _c.MIN_REPEAT, _c.POSSESSIVE_REPEAT):
        yield from _repeated(op, value, fold)
    else:
        raise Refused(f"{op} is unknown")


def _repeated(op: Any, value: Any, fold: bool) -> Iterator[list[Item]]:
    least, most, body = value
    fixed = op is _c.POSSESSIVE_REPEAT
    ways = list(_rows(list(body), fold))
    if most == 1:
        yield from ways
        if least == 0:
            yield []
        return
    chars = frozenset().union(*(item.chars for way in ways for item in way))
    if len(ways) == 1 and len(ways[0]) == 1 and not ways[0][0].run:
        yield [Item(chars, least > 0, most >= UNBOUNDED, fixed)]
        return
    if least == most and most < UNBOUNDED:
        yield from (way * 2 for way in ways)
        return
    _check_body(ways)
    # The body once, and then any number of times. The run can give back whatever the first one could.
    for way in ways:
        yield [*(item._replace(fixed=True) for item in way), Item(chars, False, most >= UNBOUNDED, fixed)]
    if least == 0:
        yield []


def _check_row(row: list[Item]) -> None:
    """Check that no two runs share characters without a fixed border between them."""
    for i, item in enumerate(row):
        if item.run and not item.fixed:
            _check_from(item, row[i + 1 :])


def _check_from(item: Item, behind: list[Item]) -> None:
    for other in behind:
        if other.run and other.chars & item.chars:
            raise Refused("two unbounded parts can share the same characters")
        if other.needed and not other.chars & item.chars:
            return


def _check_body(ways: list[list[Item]]) -> None:
    """Check that a repeated body can be divided in only one way."""
    for i, way in enumerate(ways):
        for other in ways[i + 1 :]:
            if not way or not other or way[0].chars & other[0].chars:
                raise Refused("alternatives that are repeated begin with the same characters")
    for way in ways:
        if not any(item.needed for item in way):
            raise Refused("the repeated part can be empty")
        for following in ways:
            for i, item in enumerate(way):
                if item.run or not item.needed:
                    # After the last item of one repetition comes the first one of the next.
                    _check_cut(item, [*way[i + 1 :], *following])


def _check_cut(item: Item, behind: list[Item]) -> None:
    for other in behind:
        if other.needed and not other.chars & item.chars:
            return
        if other.chars & item.chars:
            raise Refused("an unbounded part is repeated without something else between")
    raise Refused("an unbounded part is repeated without something else between")


def _check_search(row: list[Item]) -> None:
    """Check that no run that may fail contains another beginning of the pattern."""
    for i, item in enumerate(row):
        if not item.run or not any(other.needed for other in row[i + 1 :]):
            continue
        if all(other.chars & item.chars for other in row[:i] if other.needed):
            raise Refused("in a search: a run can contain another beginning of the pattern")
