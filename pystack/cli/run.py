"""`pystack run`."""

import atexit
import contextlib
import importlib.metadata
import os
import runpy
import shutil
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from types import CodeType, ModuleType, TracebackType
from typing import Any

import click

from pystack.cli.common import Settings, bring_up, stack_options
from pystack.style import echo

EXAMPLES = """\b
Examples:
  pystack run -a 10.0.0.2/24 --kernel-address 10.0.0.1/24 -- python -m http.server 80
  pystack run -a 10.0.0.2/24 --kernel-address 10.0.0.1/24 -- client.py --verbose
  pystack run -a 10.0.0.2/24 --netns lab --write run.pcapng -- uvicorn app:app --host 0.0.0.0 --port 80
"""

#: other event loops, which open sockets of the kernel by themselves; a program that can do without them takes asyncio's
REFUSED = ("uvloop", "rloop", "zuvloop")


class Refuse:
    """A finder of modules (importlib) that lets nothing import the modules of REFUSED."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        """Raise ImportError for these modules, and leave all others to the next finder."""
        if name.partition(".")[0] in REFUSED:
            raise ImportError(
                f"{name} opens sockets of the kernel, which `pystack run` does not allow: use asyncio's own loop"
            )


class WrongProgram(click.UsageError):
    """The program cannot be run in this process."""


def find_program(words: tuple[str, ...]) -> tuple[Callable[[], Any], list[str]]:
    """The function that runs a command line in this process, and the program's sys.argv."""
    command, arguments = words[0], list(words[1:])
    if is_python(command):
        return find_python(arguments)
    if command in ("-m", "-c"):
        return find_python([command, *arguments])
    if os.path.isfile(command) and (command.endswith(".py") or is_script(command)):
        return path_runner(command), [command, *arguments]
    entries = list(importlib.metadata.entry_points(group="console_scripts", name=command))
    if entries:
        return (lambda: console(entries[0])), [shutil.which(command) or command, *arguments]
    found = shutil.which(command)
    if found is not None and is_script(found):
        return path_runner(found), [found, *arguments]
    if found is None:
        raise WrongProgram(f"{command}: no such program")
    raise WrongProgram(f"{command}: not a Python program; it would use the kernel's sockets")


def find_python(arguments: list[str]) -> tuple[Callable[[], Any], list[str]]:
    """As find_program, for the arguments of `python`: -m MODULE, -c CODE or a file, after options that do not matter here."""
    while arguments and arguments[0] in ("-u", "-B", "-I", "-s", "-E"):
        del arguments[0]
    if not arguments:
        raise WrongProgram("python: name a program; there is no interactive mode")
    first, rest = arguments[0], arguments[1:]
    if first in ("-m", "-c"):
        if not rest:
            raise WrongProgram(f"python: argument expected for the {first} option")
        if first == "-m":
            return (lambda: run_module(rest[0])), rest
        return (lambda: run_code(compile(rest[0], "<string>", "exec"))), ["-c", *rest[1:]]
    if first.startswith("-"):
        raise WrongProgram(
            f"python: the option {first} has no meaning here; set PYTHON... variables for `pystack run` itself"
        )
    if not os.path.exists(first):
        raise WrongProgram(f"python: can't open file {first!r}")
    return path_runner(first), [first, *rest]


def is_python(command: str) -> bool:
    """Whether the command is a Python interpreter: `python`, `python3`, `/usr/bin/python3.13`."""
    name = os.path.basename(command)
    return name.startswith("python") and not name.removeprefix("python").strip("0123456789.")


def is_script(path: str) -> bool:
    """Whether the first line of a file names Python."""
    try:
        with open(path, "rb") as file:
            line = file.readline(200)
    except OSError:
        return False
    return line.startswith(b"#!") and b"python" in line


def path_runner(path: str) -> Callable[[], Any]:
    """The function that runs a file, as `python FILE` does."""

    def run() -> None:
        if not os.path.isdir(path):  # runpy does this for a folder or an archive
            sys.path.insert(0, os.path.dirname(os.path.realpath(path)))
        runpy.run_path(path, run_name="__main__")

    return run


def console(entry: Any) -> Any:
    """Run a console script of an installed package."""
    return entry.load()()


def run_module(name: str) -> None:
    """Run a module as `python -m` does."""
    sys.path.insert(0, os.getcwd())
    runpy.run_module(name, run_name="__main__", alter_sys=True)


def run_code(code: CodeType) -> None:
    """Run what `python -c` was given, in a module __main__ of its own."""
    sys.path.insert(0, "")
    main = ModuleType("__main__")
    before, sys.modules["__main__"] = sys.modules["__main__"], main
    try:
        exec(code, main.__dict__)  # noqa: S102 (the user's own program)
    finally:
        sys.modules["__main__"] = before


@contextlib.contextmanager
def as_program(argv: list[str]) -> Iterator[None]:
    """sys.argv and sys.path for a program, and no module that needs sockets of the kernel, until the end of the block."""
    before, path, refuse = sys.argv, list(sys.path), Refuse()
    sys.argv = argv
    sys.meta_path.insert(0, refuse)  # type: ignore[arg-type]
    try:
        yield
    finally:
        sys.argv = before
        sys.path[:] = path
        sys.meta_path.remove(refuse)  # type: ignore[arg-type]


def status_of(code: Any) -> int:
    """The exit status for the argument of sys.exit(), which is printed if it is a text."""
    if code is None or code == 0:
        return 0
    if isinstance(code, int):
        return code & 0xFF
    echo(str(code), err=True)
    return 1


def programs_own(at: TracebackType | None) -> TracebackType | None:
    """The part of a traceback that is the program's, without runpy and this module."""
    start = at
    while at is not None and at.tb_frame.f_globals.get("__name__") in (__name__, "runpy"):
        at = at.tb_next
    return at or start


def run_program(function: Callable[[], Any], argv: list[str]) -> int:
    """Run it to its end. Returns its exit status. A traceback begins with the program's own part."""
    with as_program(argv):
        try:
            result = function()
        except SystemExit as error:
            return status_of(error.code)
        except Exception as error:
            traceback.print_exception(error.with_traceback(programs_own(error.__traceback__)))
            return 1
    return status_of(result) if isinstance(result, int) else 0


def share_keys(settings: Settings) -> None:
    """Put the keys into the capture that the program's ssl module writes to SSLKEYLOGFILE, and make it write those of --keylog."""
    if settings.write is None:
        return
    if settings.keylog is None:
        settings.keylog = os.environ.get("SSLKEYLOGFILE")
    else:
        os.environ["SSLKEYLOGFILE"] = settings.keylog


def join_threads() -> None:
    """Wait for the program's threads (not its daemons), as the interpreter does at its end: they need the stack."""
    for end_workers in reversed(getattr(threading, "_threading_atexits", ())):
        end_workers()  # of executors that the program has not shut down: they wait for work for ever
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and thread is not threading.main_thread() and not thread.daemon:
            thread.join()


@contextlib.contextmanager
def to_the_end(join: Callable[[], None] = join_threads) -> Iterator[None]:
    """At the end of the block do what the interpreter does at its end, because the stack ends earlier than the interpreter.

    That is to wait for threads, unless there was an exception, and to call what the program has registered with atexit.
    """
    calls: list[tuple[Callable[..., Any], Any, Any]] = []
    before = atexit.register, atexit.unregister

    def register(function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Callable[..., Any]:
        calls.append((function, args, kwargs))
        return function

    def unregister(function: Callable[..., Any], /) -> None:
        calls[:] = [call for call in calls if call[0] != function]
        before[1](function)

    atexit.register, atexit.unregister = register, unregister  # type: ignore[assignment]
    try:
        yield
        join()
    finally:
        while calls:
            function, args, kwargs = calls.pop()
            try:
                function(*args, **kwargs)
            except Exception:
                traceback.print_exc()
        atexit.register, atexit.unregister = before


#: the options of a stack that --sim and --net use, too
USED_IN_NETWORKS = ("seed", "write")


def in_network(
    settings: Settings,
    sim: str | None,
    real: str | None,
    host: str | None,
    function: Callable[[], Any],
    argv: list[str],
) -> int:
    """Run the program on a host of the network of a file, beside the file's programs. Returns its exit status."""
    from pystack.cli.netfiles import open_file, running
    from pystack.sim.netfile import NetworkFileError
    from pystack.sim.threads import join_own

    path = sim if sim is not None else real
    if path is None or (sim is not None and real is not None):
        raise click.UsageError("give either --sim or --net")
    default = Settings()
    for name in Settings.__dataclass_fields__:
        if name not in USED_IN_NETWORKS and getattr(settings, name) != getattr(default, name):
            option = name.replace("_", "-")
            raise click.UsageError(
                f"--{option} is for a stack of its own: with --sim and --net, the file describes the hosts"
            )
    file = open_file(path, settings.seed)
    try:
        node = file.free_host() if host is None else host
        file.check_host(node, "--host")
    except NetworkFileError as error:
        raise click.UsageError(str(error)) from None
    status = [0]

    def program() -> None:
        with to_the_end(join_own):
            status[0] = run_program(function, argv)

    program.__name__ = os.path.basename(argv[0]) or "program"
    file.programs.setdefault(node, []).append(program)
    with running(file, settings.write):
        file.run(real_time=real is not None)
    return status[0]


@click.command(epilog=EXAMPLES, context_settings={"ignore_unknown_options": False, "allow_interspersed_args": False})
@click.option(
    "--sim", metavar="FILE", help="Run the program on a host of the simulated network of this file, in virtual time."
)
@click.option("--net", "net_file", metavar="FILE", help="The same as --sim, but time passes as in reality.")
@click.option(
    "--host", metavar="NODE", help="The program's host with --sim or --net; by default the only one without a program."
)
@stack_options
@click.argument("program", nargs=-1, required=True, type=click.UNPROCESSED, metavar="PROGRAM [ARGUMENTS]...")
def run(settings: Settings, program: tuple[str, ...], sim: str | None, net_file: str | None, host: str | None) -> int:
    """Run a Python program on a stack of its own, unchanged.

    PROGRAM is what you would type without `pystack run --`: a file, `python FILE`, `python -m MODULE`, `python -c CODE` (with or without the word python), or the command of an
    installed package such as uvicorn. It runs in this process and with this Python. Its sockets for IPv4 are the stack's, those for IPv6 raise
    an error, and Unix sockets are the kernel's. The stack lives as long as the program, and the exit status is the program's.

    With --sim or --net, the program runs on a host of a simulated network, beside the programs of the file (see `pystack net`). Of the other
    options, --seed and --write are used then. The network has no connection to the world outside.

    The options are those of `pystack up`. With --write, the TLS keys that the program writes to SSLKEYLOGFILE go into the capture. A process that the program starts uses the kernel's sockets.
    """
    from pystack.running import patch

    if settings.write == "-":
        raise click.UsageError("--write -: standard output is the program's; name a file")
    share_keys(settings)
    function, argv = find_program(program)
    if sim is not None or net_file is not None:
        return in_network(settings, sim, net_file, host, function, argv)
    if host is not None:
        raise click.UsageError("--host needs --sim or --net: it names a host of their network")
    with bring_up(settings, control=True) as running:
        with patch(running), to_the_end():
            status = run_program(function, argv)
        if running.host.failure is not None:
            echo(f"pystack: the stack stopped: {running.host.failure!r}", err=True)
            return status or 1
    return status
