"""`pystack sweep`: what it runs, shows and returns."""

import json

import pytest
from click.testing import CliRunner

from pystack.cli.main import cli

FILE = """
PARAMETERS = {"n": [1, 2], "kind": ["a", "b"]}
SEEDS = 2


def run(*, n, kind, seed):
    if n == 2 and FAIL:
        raise ValueError(f"n is {n}")
    return {"twice": 2 * n + seed, "text": kind}


def helper():
    pass
"""


def sweep(tmp_path, *args, text=FILE, fail=False):
    path = tmp_path / "grid.py"
    path.write_text(f"FAIL = {fail}\n" + text)
    return CliRunner().invoke(cli, ["sweep", str(path), "--workers", "1", *args])


def test_a_table_and_what_is_there_already(tmp_path):
    first = sweep(tmp_path)
    assert first.exit_code == 0, first.output
    assert first.stdout.splitlines()[:3] == [
        "twice:",
        "n  kind  runs  errors  mean  min  median   p95  max",
        "1  a        2       0   2.5    2     2.5  2.95    3",
    ]
    assert "8 of 8 rows, 0 errors" in first.stderr
    second = sweep(tmp_path, "--by", "kind", "--seeds", "3")
    assert "8 of 12 rows are there already" in second.stderr
    assert second.stdout.splitlines()[1:] == [
        "kind  runs  errors  mean  min  median   p95  max",
        "a        6       0     4    2       4  5.75    6",
        "b        6       0     4    2       4  5.75    6",
    ]
    third = sweep(tmp_path, "--quiet", "--json", "--seeds", "5,0-1")
    assert third.stderr == "" and third.exit_code == 0
    records = [json.loads(line) for line in third.stdout.splitlines()]
    assert len(records) == 12 and [record["seed"] for record in records[:3]] == [5, 0, 1]
    assert records[0]["twice"] == 7 and records[0]["kind"] == "a"


def test_errors_are_shown_and_are_the_status(tmp_path):
    done = sweep(tmp_path, fail=True)
    assert done.exit_code == 1
    assert "error with n=2, kind='a', seed=0: ValueError: n is 2" in done.stderr
    assert "and 1 more rows with an error" in done.stderr
    # The file has changed, so its old rows are not taken for new ones.
    changed = sweep(tmp_path)
    assert changed.exit_code == 1 and "grid:run has changed since its rows in" in changed.stderr
    assert sweep(tmp_path, "--changed", "--retry-errors").exit_code == 0


@pytest.mark.parametrize(
    "text, args, message, status",
    [
        ("x = (", (), "/grid.py, line 2: SyntaxError: '(' was never closed\n", 1),
        ("import nowhere_at_all", (), "No module named 'nowhere_at_all'", 1),
        ("1 / 0", (), "ZeroDivisionError", 1),
        ("PARAMETERS = {}", (), "defines no function", 1),
        ("def run(*, seed): pass", (), "has no PARAMETERS", 1),
        (FILE, ("--function", "nothing"), "has no function named 'nothing'", 1),
        (FILE, ("--function", "helper"), "the sweep calls grid:helper(n=..., kind=..., seed=...)", 1),
        (FILE, ("--value", "none"), "a result has no field 'none': it has twice, text", 1),
        (FILE, ("--value", "text"), "is 'a', and not a number", 1),
        (FILE, ("--by", "m"), "there is no parameter 'm'", 1),
        (FILE, ("--seeds", "1-"), "write a number of seeds", 2),
        (FILE, ("--seeds", "0"), "a sweep has from 1 to", 1),
        (FILE, ("--plot", "x.gif"), "must end in .png, .svg or .pdf", 2),
        (FILE, ("--results", "/dev/null/x"), "unable to open", 1),
    ],
)
def test_what_is_wrong_is_one_line(tmp_path, text, args, message, status):
    done = sweep(tmp_path, *args, text=text)
    assert done.exit_code == status
    assert message in done.stderr and "Traceback" not in done.output


def test_the_only_function_and_one_seed_are_the_default(tmp_path):
    done = sweep(tmp_path, "--json", "-q", text="PARAMETERS = {'n': [4]}\ndef f(*, n, seed):\n    return n + seed\n")
    assert json.loads(done.stdout)["result"] == 4
    two = "PARAMETERS = {'n': [4]}\ndef f(*, n, seed): pass\ndef g(*, n, seed): pass\n"
    assert "defines f, g: name the function" in sweep(tmp_path, text=two).stderr
