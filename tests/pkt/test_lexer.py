"""Tokens: longest match, defines, directives."""

import pytest

from pystack.pkt.errors import ScriptError
from pystack.pkt.lexer import Lexer, _without_comments


def kinds(text, **defines):
    return [(t.kind, t.value) for t in Lexer(text, defines).tokens()][:-1]


def test_numbers_and_times():
    assert kinds("+.1...0.200 0x1F -1") == [
        ("punct", "+"),
        ("float", 0.1),
        ("ellipsis", "..."),
        ("float", 0.2),
        ("hex", 31),
        ("int", -1),
    ]


def test_sequence_ranges_are_not_addresses():
    assert [k for k, _ in kinds("1:1001(1000)")] == ["int", "punct", "int", "punct", "int", "punct"]
    assert kinds("192.0.2.1 fd3d::1 ::1") == [("ipv4", "192.0.2.1"), ("ipv6", "fd3d::1"), ("ipv6", "::1")]


def test_hex_blobs_keep_their_digits():
    tokens = Lexer("0102 00ab f00d", {}).tokens()
    assert [t.text for t in tokens[:3]] == ["0102", "00ab", "f00d"]


def test_comments_code_commands_and_lines():
    tokens = Lexer("// one\n/* two\nthree */ %{ a\nb }% `cmd\n` word", {}).tokens()
    assert [(t.kind, t.line) for t in tokens] == [("code", 3), ("backquoted", 4), ("word", 5), ("end", 5)]


def test_defines_from_options_and_directives():
    text = '--define=MSS=1000\n#define CC "reno"\nMSS CC\n#undef CC\nCC'
    assert kinds(text)[1:] == [("int", 1000), ("string", "reno"), ("word", "CC")]


def test_ifdef_nested_and_else():
    text = "#ifdef A\none\n#ifdef B\ntwo\n#else\nthree\n#endif\n#else\nfour\n#endif\n#ifndef A\nfive\n#endif"
    assert [v for _, v in kinds(text, A="1")] == ["one", "three"]
    assert [v for _, v in kinds(text)] == ["four", "five"]


def test_hash_inside_code_is_python():
    assert [k for k, _ in kinds("%{\n# a comment\n}%")] == ["code"]


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("a\n#ifdef X\n", 2, "#endif"),
        ("#endif", 1, "#ifdef"),
        ("\n#pragma x", 2, "directive"),
        ('a "open', 1, "never closed"),
        ("a\n%{ open", 2, "never closed"),
        ("#include <x>", 1, "#include"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(text, line, what):
    with pytest.raises(ScriptError) as caught:
        Lexer(text, {}).tokens()
    assert caught.value.line == line
    assert what in caught.value.message


def test_include_reads_tokens_in_place():
    lexer = Lexer('a\n#include "x"\nb', {}, lambda name: f"in {name}\n")
    assert [(t.value, t.line) for t in lexer.tokens()[:-1]] == [("a", 1), ("in", 2), ("x", 2), ("b", 3)]


@pytest.mark.parametrize(
    ("rest", "left"),
    [
        ("1 // 2", "1"),
        ("1 /* 2 */ + 3 /* 4 */", "1  + 3"),
        ("1 / 2 /* // */ / 3 // 4", "1 / 2  / 3"),
        ("1 /* 2", "1 /* 2"),
        ("1 /* 2 // 3", "1 /* 2"),
        ("/*/", "/*/"),
        ("/", "/"),
        ("", ""),
    ],
)
def test_a_define_without_its_comments(rest, left):
    assert _without_comments(rest).strip() == left


def test_a_comment_that_is_not_closed():
    """(Each `/*` of a file was the beginning of another look through all of it.)"""
    with pytest.raises(ScriptError, match="never closed"):
        list(Lexer("0 > . /* 1 " * 3, {}).tokens())
