"""Scripts that somebody else wrote: each ends soon, with a verdict of one line that says what is too much."""

import os
import time
import tracemalloc

import pytest

from pystack.pkt import code, parser
from pystack.pkt.errors import ScriptError, Unsupported
from pystack.pkt.lexer import Lexer
from pystack.pkt.report import FAILED, PASSED, UNSUPPORTED, run_path, run_script
from pystack.pkt.settings import ScriptSettings
from tests.pkt.test_run import OPEN, run
from tests.support.meter import lines_of


def evaluate(text: str, names: dict | None = None) -> list[str]:
    """Run a block of code; what it printed."""
    output: list[str] = []
    code.run_code(text, 1, {"tcpi_rtt": 7}, {} if names is None else names, output)
    return output


@pytest.mark.parametrize(
    "text",
    [
        "assert 9**9**9",
        "assert 9**9**9**9",
        "x = 9 ** 64 ** 64",
        "x = ((9**64)**64)**64",
        "x = 1 << 100000",
        "x = 1 << (1 << 40)",
        "x = 'a' * 10**9",
        "x = 10**9 * 'a'",
        "x = [0] * 4000 * 4000",
        "x = b'a' * 4096 * 4096",
        "x = [1]\n" + "x += x\n" * 40,
        "x = 'a'\n" + "x = x + x\n" * 40,
        "x = [1]\n" + "x = [x, x]\n" * 40,
        "x = (1,)\n" + "x = {1: x, 2: x}\n" * 40,
        "x = 3\n" + "x *= x\n" * 40,
        "x = round(5, -10**9)",
        "x = '%999999999d' % 1",
        "x = b'%999999999d' % 1",
        "x = f'{1:999999999}'",
        "x = f'{1:{10**9}}'",
        "x = f'{1:>9999}'",
        "x = 1.5 + 2**4000 * 2**4000",
        "print('a' * 4096, 'a' * 4096)",
        "print(1)\n" * (code.MAX_OUTPUT + 1),
        "x = sum([[1]] * 1000, [])",
        "x = int('9' * 4097)",
    ],
)
def test_code_that_makes_too_much(text):
    started = time.monotonic()
    tracemalloc.start()
    try:
        with pytest.raises((Unsupported, ScriptError)) as caught:
            evaluate(text)
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()
    assert time.monotonic() - started < 120  # (not a measure of speed: without the bounds some of them never end)
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    "text",
    [
        "(" * 5000 + "1" + ")" * 5000,
        "-" * 9000 + "1",
        "[" * 9000,
        "x = " + "not " * 2000 + "1",
        "1" * 5000,
        "a\0b",
        "x = " + "a+" * 10_000 + "1",
        "if 1:\n" + "".join(" " * n + "if 1:\n" for n in range(1, 110)) + " " * 110 + "pass",
    ],
)
def test_code_that_is_nested_or_long(text):
    with pytest.raises((Unsupported, ScriptError)):
        evaluate(text)


def test_what_code_may_do_goes_on_working():
    """Control."""
    names: dict = {}
    assert evaluate(
        "x = 2 ** 64 - 1\nassert x >> 60 == 15 and 1 << 40 > 0\nprint(x % 10, f'{x:>20}', f'{1.5:.3f}')", names
    )
    assert names == {"x": 2**64 - 1}
    assert evaluate(
        "y = [1, 2] * 3 + [4]\ny += [5]\nprint(len(y), sum(y), max(y), y[1:3], round(2.567, 2))", names
    ) == ["8 18 5 [2, 1] 2.57"]
    assert evaluate("if tcpi_rtt == 7:\n  z = 'a' * 4\nelse:\n  z = 0\nprint(z, int('12'), int('ff', 16))") == [
        "aaaa 12 255"
    ]


@pytest.mark.parametrize(
    ("line", "verdict", "what"),
    [
        ("+0 write(4, ..., 1" + "0" * 5000 + ") = 0", FAILED, "a number of more than 80 digits"),
        ("+0x1" + "0" * 5000 + " write(4, ..., 1) = 1", FAILED, "a number of more than 80 digits"),
        ("+" + "9" * 30 + ".0 write(4, ..., 1) = 1", FAILED, "a time of more than"),
        ("+0 write(4, ..., 1000000000) = 0", UNSUPPORTED, "a write of that size"),
        ("+0 write(4, " + "[" * 3000 + "1" + "]" * 3000 + ", 1) = 1", FAILED, "nested too deep"),
        ("+0 write(4, " + "f(" * 3000 + "1" + ")" * 3000 + ", 1) = 1", FAILED, "nested too deep"),
        ('+0 write(4, "\\x", 1) = 1', FAILED, "in the string"),
        ('+0 write(4, "' + "a" * 70_000 + '", 1) = 1', FAILED, "a string of more than"),
        ("+0 > . 1:1(0) ack 1 <gen 5 " + "ab" * 300 + ">", FAILED, "more than 40 bytes"),
        ("+0 > . 1:1(0) ack 1 <" + "ab" * 300 + ">", FAILED, "more than 40 bytes"),
        ("+0 > . 1:1(0) ack 1 <sack " + "1:2 " * 100 + ">", FAILED, "more than 40 bytes"),
        ("+0 > . 1:1(0) ack 1 <" + "nop," * 100 + "nop>", FAILED, "more than 40 bytes"),
        ("+0 < icmp type_" + "9" * 5000, FAILED, "is 0..255"),
        ("+0 < icmp type_3 code_256 [1:2(1)]", FAILED, "is 0..255"),
        ("/* open", FAILED, "/* is never closed"),
        ('+0 "open', FAILED, '" is never closed'),
        ("#ifdef X\n%{ open\n#endif", FAILED, "%{ is never closed"),
        ("#ifdef A\n" * 100 + "#endif\n" * 100, FAILED, "#ifdef is nested too deeply"),
        ("#define A " + "x" * 2000, FAILED, "a definition of more than"),
        ("+0 `A=\"xx\"\n" + "A=\"$A$A\"\n" * 40 + "`", UNSUPPORTED, "a command of more than"),
        ("+0 `" + "\n".join(f"A{n}=1" for n in range(200)) + "`", UNSUPPORTED, "variables"),
        ("+0 `" + ":;" * 40_000 + "`", UNSUPPORTED, "commands of more than"),
        ("+0 `sysctl -w net.ipv4.tcp_retries2=$((" + "9*" * 500 + "9))`", UNSUPPORTED, "64 bits"),
        ("+0 `sysctl -w net.ipv4.tcp_retries2=$((" + "9" * 500 + "))`", UNSUPPORTED, "the number"),
        ("+0 `echo " + "a" * 60 + "b | grep -E '(a+)+c'`", UNSUPPORTED, "the pattern"),
        ("+0 `echo " + "a" * 200 + "b | grep -E 'a*a*a*a*a*c'`", UNSUPPORTED, "the pattern"),
        ("+0 `echo a | grep -E '(a'`", UNSUPPORTED, "the pattern"),
    ],
)  # fmt: skip
def test_a_line_that_asks_for_too_much(tmp_path, line, verdict, what):
    path = tmp_path / "x.pkt"
    path.write_text(OPEN + line + "\n")
    found = run_path(str(path), ScriptSettings(), explain=False)
    assert (found.verdict, what in found.reason) == (verdict, True), found
    assert "\n" not in found.reason and "the stack raised" not in found.reason


def test_a_grep_with_a_plain_pattern_goes_on_working():
    """Control."""
    assert run(OPEN + "+0 `echo abbbc | grep -E 'ab+c|x'`\n").verdict == PASSED
    assert run(OPEN + "+0 `sysctl -w net.ipv4.tcp_retries2=$((3*0x2+1))`\n").verdict == PASSED


def test_timers_of_a_script_come_to_an_end():
    """A peer that never opens its window is probed for as long as time goes on."""
    text = OPEN + "+0 < . 1:1(0) ack 1 win 0\n+0 write(4, ..., 1000) = 1000\n+9000000 write(4, ..., 1) = 1\n"
    found = run(text.replace("+0 <", "+0 `sysctl -w net.ipv4.tcp_retries2=255`\n+0 <"))
    assert found.verdict in (UNSUPPORTED, FAILED) and found.seconds < 60, found


@pytest.mark.parametrize(
    "unit", ["/*", "1:1:", "a:", '"\\', "((", "9" * 39 + " ", "0x", "`\\``", "#define A 1\n", "%{a}%", "1.1.1."]
)
def test_the_lexer_is_linear(unit):
    """Twice the text is about twice the work (calls into C included: the time of the process, generously)."""

    def cost(count: int) -> float:
        text = unit * count
        started = time.process_time()
        try:
            Lexer(text, {}).tokens()
        except ScriptError:
            pass
        return time.process_time() - started

    cost(1000)
    lines = [lines_of(lambda n=n: _lex(unit * n)) for n in (2000, 4000)]
    assert lines[1] < 2.5 * lines[0] + 2000
    assert cost(100_000) < 60  # (a quadratic one takes minutes)


def _lex(text: str) -> None:
    try:
        Lexer(text, {}).tokens()
    except ScriptError:
        pass


def test_files_that_include_each_other(tmp_path):
    (tmp_path / "a.pkt").write_text('#include "a.pkt"\n' * 100)
    found = run_path(str(tmp_path / "a.pkt"), ScriptSettings())
    assert found.verdict == FAILED and ("too deep" in found.reason or "files are included" in found.reason)


@pytest.mark.parametrize("name", ["fifo", "/dev/zero"])
def test_only_regular_files_are_read(tmp_path, name):
    if name == "fifo":
        name = str(tmp_path / "fifo")
        os.mkfifo(name)
    found = run_path(name, ScriptSettings())
    assert found.verdict == FAILED and "not a regular file" in found.reason
    (tmp_path / "a.pkt").write_text(f'#include "{name}"\n')
    found = run_path(str(tmp_path / "a.pkt"), ScriptSettings())
    assert found.verdict == FAILED and "not a regular file" in found.reason


def test_a_file_of_any_size_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(parser, "MAX_TEXT", 1000)
    (tmp_path / "a.pkt").write_text("x" * 1001)
    found = run_path(str(tmp_path / "a.pkt"), ScriptSettings())
    assert found.verdict == FAILED and "more than 1000 characters" in found.reason


def test_the_opening_of_these_scripts_passes():
    """Control."""
    assert run(OPEN).verdict == PASSED
    assert run_script(parser.parse(OPEN), ScriptSettings()).verdict == PASSED
