"""The comments and docstrings are plain English: they have none of the turns of the old dialect (CONTRIBUTING.md).

A few patterns cannot judge a style, but they notice if the old style returns. A room is in LATER until its text is rewritten.
"""

import ast
import io
import re
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
#: the trees whose comments and docstrings are checked, and the ends of the files' names
HELD = {
    "pystack": (".py", ".pxd"),
    "pystack_c": (".py", ".pxd"),
    "tools": (".py", ".sh", ".c", ".go"),
    "web": (".ts", ".mjs", ".py"),
    "vagrant": (".sh",),
    "setup.py": (),
}
#: rooms whose text is not rewritten yet (none)
LATER: tuple[str, ...] = ()
VERBS = (
    "is are was were has have had does did may can must will would comes came goes went arrives arrived needs follows fits "
    "remains happens happened waits listens stands becomes became belongs sends sent speaks closes reads writes takes"
).replace(" ", "|")
#: name -> a turn of the dialect, in one paragraph of a comment or docstring
DIALECT = {
    "told": r"\b(?:is|are|was|were|be|been) told\b|\btells? of\b",
    "a bare who or what": rf"(?:^|(?<=[.:;] ))(?:Who|What) (?:{VERBS})\b[^?]*(?:\.|$)",
    "nobody": r"\b(?:from|by|of|to) nobody\b",
    "a preposition before who": r"\b(?:for|by|of|to|with) who\b",
    "where for if": r"\b[Ww]here (?:none|nothing|there (?:is|are|was|were) (?:no|none|any))\b",
    "sent again": r"\bsent again\b",
    "without a word": r"\bwithout a word\b",
    "all in brackets": r"^\(.*\.\)$",
}


def python_texts(source: str) -> list[tuple[int, str]]:
    """Return the docstrings and comments of a module, with the line on which each begins. Adjacent comment lines are one text."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            for paragraph in (ast.get_docstring(node) or "").split("\n\n"):
                found.append((getattr(node, "lineno", 1), " ".join(paragraph.split())))
    comments = [
        (token.start[0], token.string.lstrip("#: "), token.line.lstrip().startswith("#"))
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT
    ]
    return found + joined(comments)


def other_texts(source: str) -> list[tuple[int, str]]:
    """Return the comments of a shell script, a .pxd, C, Go or TypeScript, at the beginning of a line or after code."""
    comments = []
    for number, line in enumerate(source.splitlines(), 1):
        match = re.match(r"\s*(?:#:?|//|/?\*\*?)\s(.*)$", line) or re.search(r"\s{1,2}(?:#|//|/\*)\s(.*)$", line)
        if match:
            text = match[1].removesuffix("*/").rstrip()
            comments.append((number, text, line.lstrip().startswith(("#", "/", "*"))))
    return joined(comments)


def joined(comments: list[tuple[int, str, bool]]) -> list[tuple[int, str]]:
    """Join the lines of each block. A comment is (its line, its text, whether it has the line to itself)."""
    found: list[tuple[int, str]] = []
    last = -1
    for line, text, alone in comments:
        if alone and line == last + 1 and text:
            found[-1] = (found[-1][0], f"{found[-1][1]} {text}".strip())
        else:
            found.append((line, text))
        last = line if alone else -1
    return found


def dialect(texts: list[tuple[int, str]]) -> list[str]:
    """Return the turns of the dialect in these texts, each as "line: name: text"."""
    return [
        f"{line}: {name}: {text}" for line, text in texts for name, turn in DIALECT.items() if re.search(turn, text)
    ]


def files() -> list[str]:
    """Return the names of the checked files, without those that npm and the build make."""
    found = []
    for tree, ends in HELD.items():
        top = ROOT / tree
        paths = [top] if top.is_file() else sorted(path for end in ends for path in top.rglob(f"*{end}"))
        names = [path.relative_to(ROOT).as_posix() for path in paths if "node_modules" not in path.parts]
        found += [name for name in names if not name.startswith(LATER)]
    return found


def test_the_comments_and_docstrings_are_in_the_style_of_the_guide():
    checked = files()
    assert len(checked) > 400
    found = []
    for name in checked:
        source = (ROOT / name).read_text()
        texts = python_texts(source) if name.endswith(".py") else other_texts(source)
        found += [f"{name}:{line}" for line in dialect(texts)]
    assert found == []


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("The stack is told of it.", "told"),
        ("Every decision the core tells of.", "told"),
        ("Who closes first must wait.", "a bare who or what"),
        ("Two ends. What comes in is checked.", "a bare who or what"),
        ("Less is not believed, from nobody.", "nobody"),
        ("A way for who waits.", "a preposition before who"),
        ("The peer's port, or 0 where there is none.", "where for if"),
        ("Lost, and sent again.", "sent again"),
        ("The socket goes without a word.", "without a word"),
        ("(So that it is at the end.)", "all in brackets"),
    ],
)
def test_control_each_turn_is_noticed_in_comments_and_docstrings(text, name):
    python = f'def f():\n    """{text}"""\n'
    assert [line.split(": ")[1] for line in dialect(python_texts(python))] == [name]
    first, _, second = text.partition(" ")
    for sign, read in (("#", python_texts), ("#:", python_texts), ("#", other_texts), ("//", other_texts)):
        block = f"{sign} {first}\n{sign} {second}\n"
        assert [line.split(": ")[1] for line in dialect(read(block))] == [name], block


@pytest.mark.parametrize(
    "text",
    [
        "What happens if both hosts send a SYN?",
        "What the names of an expression mean.",
        "The place where the frame is.",
        "Say who acts. (This is a remark in a longer text.)",
        "What if the frame had arrived?",
        'A text in code: "is" told from "was".',
    ],
)
def test_control_plain_english_passes(text):
    assert dialect([(1, text)]) == []
