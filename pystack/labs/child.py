"""The process in which a learner's file is graded: `python -m pystack.labs.child LAB FILE CPU MEMORY` (pystack.labs.grading starts it).

It limits its own processor time and memory, refuses what an exercise does not need (files, processes, the network), and writes
one line of JSON. The refusals are Python's audit events. They stop mistakes and simple mischief. They are no sandbox, because code
that knows the interpreter well can get around them (docs/howto/labs.md).
"""

import contextlib
import errno
import importlib
import json
import os
import sys
import sysconfig
import traceback
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pystack.labs
import pystack_c
from pystack.labs.folders import HERE, LabFolder, lab_of
from pystack.labs.processor import own_seconds
from pystack.labs.values import Ended, WrongAnswer
from pystack.sim.scheduler import SimError

OUTPUT = 1 << 20  # bytes that the file may print
SOURCES = (".py", ".pyc", ".so", ".zip")
#: beginning of an audit event -> what the file tried
REFUSED = {
    "socket.": "use a socket of this machine, and exercises use only the simulated network",
    "subprocess.": "start a program",
    "os.": "change files, or start or end processes",
    "shutil.": "change files",
    "ctypes.": "call C functions",
    "mmap.": "map memory",
    "pty.": "start a program",
    "resource.": "change its limits",
    "signal.": "send a signal",
    "gc.get_": "look at the grader's objects",
    "sys.setprofile": "watch the grader",
    "sys.settrace": "watch the grader",
}
#: functions of the module os that change the machine, and for which Python has no audit event
SILENT = (
    "chroot", "initgroups", "memfd_create", "mkfifo", "mknod", "nice", "setegid", "seteuid", "setgid", "setgroups", "setns",
    "setpriority", "setregid", "setresgid", "setresuid", "setreuid", "setuid", "unshare",
)  # fmt: skip
#: modules in C that make files, and shared memory, without one, too
MODULES = {"_dbm", "_gdbm", "_posixshmem", "_sqlite3"}


def roots() -> tuple[str, ...]:
    """Return the folders of the libraries, which an import must be able to read."""
    paths = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    paths |= {str(HERE.parent), str(Path(pystack_c.__file__).resolve().parent), *pystack.labs.__path__}
    paths |= {path for path in sys.path if path.endswith(".zip")}  # Pyodide's standard library
    if sys.platform == "emscripten":  # The page has the other libraries beside pystack, and nothing else is there.
        paths.add(str(HERE.parents[1]))
    return tuple(os.path.realpath(path) + "/" for path in sorted(paths))


def guard(own: str, refusals: list[str]) -> None:
    """From now on, refuse what an exercise does not need. `refusals` gets what the file tried."""
    allowed = roots()
    realpath = os.path.realpath
    sys.dont_write_bytecode = True  # An import that the grader makes now would write a file otherwise.

    def reads_library(path: Any, mode: Any = "r", flags: int = 0) -> bool:
        if not isinstance(path, str | bytes) or (isinstance(mode, str) and set(mode) & set("wax+")):
            return False
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC):
            return False
        name = realpath(os.fsdecode(path))
        return name == own or (name + "/").startswith(allowed) and (name.endswith(SOURCES) or mode == "list")

    def refuse(what: str) -> None:
        refusals.append(what)
        raise PermissionError(f"an exercise may not {what}")

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if event == "open":
            path, mode, flags = args
            if not reads_library(path, mode, flags):
                refuse(f"open {os.fsdecode(path)[:100]!r}" if isinstance(path, str | bytes) else "open a descriptor")
        elif event == "import":
            if args[0] in MODULES:
                refuse(REFUSED["shutil."])
        elif event in ("os.listdir", "os.scandir"):
            if not reads_library(args[0], "list"):
                refuse("list a folder")
        else:
            for beginning, what in REFUSED.items():
                if event.startswith(beginning):
                    refuse(what)

    def silent(*args: Any, **options: Any) -> None:
        refuse(REFUSED["os."])

    for module in (os, importlib.import_module(os.name)):  # `import posix` gives the same functions
        for name in SILENT:
            if hasattr(module, name):
                setattr(module, name, silent)
    sys.addaudithook(hook)


def limit(cpu: int, memory: int) -> None:
    """Limit this process to `cpu` seconds more, and to `memory` bytes more than it has."""
    import resource  # a browser does not have it

    seconds = int(own_seconds()) + 1 + cpu
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    memory += pages * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_FSIZE, (OUTPUT, OUTPUT))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def raised(error: BaseException, path: str) -> str:
    """Say which error the learner's file raised, and in which line."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == path]
    line = error.lineno if isinstance(error, SyntaxError) else lines[-1] if lines else None
    where = f" in line {line}" if line else ""
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    kind = type(error)
    name = kind.__name__ if kind.__module__ in ("builtins", "exercise") else f"{kind.__module__}.{kind.__name__}"
    return f"Your file raised {name}{where}: {text[:300]}"


def verdict(check: Callable[[Any], None], path: str, text: str, refusals: list[str]) -> dict[str, str]:
    """Run the file and the grader on it."""
    answer = types.ModuleType("exercise")
    answer.__file__ = path
    try:
        exec(compile(text, path, "exec"), answer.__dict__)
        check(answer)
        found = {"verdict": "right", "text": ""}
    except WrongAnswer as error:
        found = {"verdict": "wrong", "text": str(error)}
    except MemoryError:
        found = {"verdict": "stopped", "text": "The grader stopped your file because it needs too much memory."}
    except SimError:
        text = "Your program still waits, although nothing happens in the network any more. Does each operation have a `yield`?"
        found = {"verdict": "wrong", "text": text}
    except OSError as error:
        found = {"verdict": "error", "text": raised(error, path)}
        if error.errno == errno.EFBIG:
            found = {"verdict": "stopped", "text": "The grader stopped your file because it prints too much."}
    except BaseException as error:
        found = {"verdict": "error", "text": raised(error, path)}
    if refusals:
        found = {"verdict": "refused", "text": f"The grader stopped your file because it tried to {refusals[0]}."}
    return found


def verdict_of_source(check: Callable[[Any], None], path: str, text: str, cpu: int, memory: int) -> dict[str, str]:
    """Run the grader on a file that is not Python. Nothing of it runs in this process, so the limits are those of the grader's programs."""
    from pystack.labs.servers import SourceAnswer

    try:
        check(SourceAnswer(Path(path), text, cpu, memory))
    except WrongAnswer as error:
        return {"verdict": "wrong", "text": str(error)}
    except Ended as error:
        return {"verdict": error.verdict, "text": str(error)}
    return {"verdict": "right", "text": ""}


def grader_of(lab: LabFolder) -> Any:
    """Load what the grader of a lab needs, before anything is limited. Returns its module, or a verdict why it cannot run here."""
    try:
        grader = lab.module("grader")
    except ImportError as error:
        return {"verdict": "error", "text": f"The grader of this lab cannot run here: {error}"}
    lacks = lab.lacks()
    if lacks:
        return {"verdict": "skipped", "text": f"The grader of this lab cannot run here: it {lacks}."}
    for name in ("pystack.testing.lab", "pystack.testing.segments", "encodings.idna"):
        importlib.import_module(name)
    try:
        getattr(grader, "prepare", lambda: None)()
    except Exception as error:  # for example, a module is missing
        return {"verdict": "error", "text": f"The grader cannot begin: {error}"}
    return grader


def main() -> None:
    """Grade, and write the result."""
    lab, path, cpu, memory = lab_of(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    text = Path(path).read_text(encoding="utf-8-sig")  # editors of Windows begin a file with a byte order mark
    result = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # What the file prints does not mix with the result.
    grader = grader_of(lab)
    if isinstance(grader, dict):
        result.write(json.dumps(grader))
        return
    if lab.suffix != ".py":
        result.write(json.dumps(verdict_of_source(grader.check, path, text, cpu, memory)))
        return
    refusals: list[str] = []
    limit(cpu, memory)
    guard(os.path.realpath(path), refusals)
    found = verdict(grader.check, path, text, refusals)
    result.write(json.dumps(found))
    result.flush()
    with contextlib.suppress(Exception):
        sys.stdout.flush()
    os._exit(0)  # Threads and exit handlers of the file do not run on.


if __name__ == "__main__":
    main()
