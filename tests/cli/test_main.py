"""The command line's frame: help, lazy loading, exit codes, colour."""

import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from pystack import _build
from pystack.cli import main as cli_main
from pystack.style import Style, wants_color

ROOT = Path(__file__).resolve().parents[2]


def pystack(*argv: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), **environ}
    command = [sys.executable, "-m", "pystack.cli", *argv]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)


def test_help_lists_every_command():
    result = CliRunner().invoke(cli_main.cli, ["--help"])
    assert result.exit_code == 0
    for name in cli_main.COMMANDS:
        assert f"\n  {name} " in result.output
    assert "Examples:" in result.output


@pytest.mark.parametrize("name", list(cli_main.COMMANDS))
def test_each_command_has_help_with_an_example(name):
    result = CliRunner().invoke(cli_main.cli, [name, "--help"])
    assert result.exit_code == 0, result.output
    assert "Example" in result.output and f"pystack {name}" in result.output


def test_help_imports_no_command():
    code = (
        "import sys; from click.testing import CliRunner; from pystack.cli.main import cli; "
        "CliRunner().invoke(cli, ['--help']); "
        "print([m for m in sys.modules if m.startswith('pystack_c') or m == 'pystack.cli.compiled'])"
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[]", done.stderr


def test_a_stack_starts_without_what_few_stacks_need():
    """The DHCP client and nft's language are loaded where they are used."""
    code = (
        "import sys, pystack; pystack.up(tap=None).close(); "
        "print([m for m in sys.modules if m.startswith(('pystack.dhcp', 'pystack.nft', 'pystack.sim', 'dns', 'lark', 'h2', 'asyncio'))])"
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[]", done.stderr


def test_version():
    done = pystack("--version")
    assert done.returncode == 0 and done.stdout.startswith("pystack 0.1.0 (")


@pytest.mark.parametrize("argv", [["bogus"], ["--bogus"], ["compiled", "--bogus"], ["compiled", "surplus"]])
def test_wrong_usage_is_exit_status_2(argv):
    done = pystack(*argv)
    assert done.returncode == 2 and "Error: " in done.stderr and "Traceback" not in done.stderr


def test_compiled_exit_status_tells_the_truth():
    done = pystack("compiled", "-j", PYSTACK_PURE="1")
    assert done.returncode == 1
    assert {row["compiled"] for row in json.loads(done.stdout).values()} == {False}
    fine = all(row.extension is not None and not row.stale for row in _build.modules())
    assert pystack("compiled", PYSTACK_PURE="").returncode == (0 if fine else 1)


def test_an_oserror_is_one_line(monkeypatch, capsys):
    def fail(**_):
        raise FileNotFoundError(2, "No such file or directory", "nothing.pytrace")

    monkeypatch.setattr(cli_main.cli, "main", fail)
    with pytest.raises(SystemExit) as exit_info:
        cli_main.main([])
    assert exit_info.value.code == 1
    assert capsys.readouterr().err == "pystack: [Errno 2] No such file or directory: 'nothing.pytrace'\n"


@pytest.mark.parametrize(
    ("error", "status"), [(KeyboardInterrupt(), 130), (cli_main.Terminated(signal.SIGTERM), 143), (OSError("x"), 1)]
)
def test_interruption_has_its_status(monkeypatch, error, status):
    def fail(**_):
        raise error

    monkeypatch.setattr(cli_main.cli, "main", fail)
    with pytest.raises(SystemExit) as exit_info:
        cli_main.main([])
    assert exit_info.value.code == status


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("environ", "stream", "expected"),
    [
        ({}, Terminal(), True),
        ({}, io.StringIO(), False),
        ({"NO_COLOR": "1"}, Terminal(), False),
        ({"NO_COLOR": "1", "FORCE_COLOR": "1"}, Terminal(), False),
        ({"NO_COLOR": ""}, Terminal(), True),
        ({"FORCE_COLOR": "1"}, io.StringIO(), True),
        ({"TERM": "dumb"}, Terminal(), False),
    ],
)
def test_colour(monkeypatch, environ, stream, expected):
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert wants_color(stream) == expected
    assert Style(stream=stream)("x", "red") == ("\033[31mx\033[0m" if expected else "x")
