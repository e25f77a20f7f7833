#!/usr/bin/env python3
"""Runs ThreadSanitizer on the driver, with threads, signals and descriptors that come and go.

    python tools/tsan.py [--seconds N]

The modules are compiled again, into a directory of their own, with gcc -fsanitize=thread. The interpreter is not
instrumented, but libtsan is loaded first, so it sees how the interpreter synchronises (the mutex of its lock,
semaphores). So the sanitizer knows that two accesses under the interpreter's lock are in order, and finds those that
are not: what the driver does while it has released that lock (sleeping, waiting at gates), and every access at all on
an interpreter without such a lock. First a canary, which is a race on purpose, shows that races are found. The exit
status is 1 if there is a report.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

CANARY = """
static volatile int shared;
void race(void) { for (int i = 0; i < 20000000; i++) shared++; }
"""
RACE = """
import ctypes, sys, threading
race = ctypes.CDLL(sys.argv[1]).race
threads = [threading.Thread(target=race) for _ in range(2)]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""
#: the program that runs with the instrumented modules; its arguments: their directory, the seconds, their names
LOAD = """
import importlib, sys, time
from tests.support import shaky
where, seconds, *names = sys.argv[1:]
for name in names:
    file = importlib.import_module(name).__file__
    assert file.startswith(where) and file.endswith(".so"), file
end = time.monotonic() + float(seconds)
seed = 0
while time.monotonic() < end or seed < 2:
    problems = shaky.play(seed)
    if problems:
        print(seed, problems)
        sys.exit(1)
    seed += 1
print(seed, "rounds")
"""


def compile_with(cc: list[str], source: Path, out: Path) -> None:
    """Compile one instrumented shared object."""
    include = sysconfig.get_paths()["include"]
    flags = ["-shared", "-fPIC", "-fsanitize=thread", "-O1", "-g", "-w", "-D_GNU_SOURCE", f"-I{include}"]
    subprocess.run([*cc, *flags, str(source), "-o", str(out)], check=True)


def modules() -> list[str]:
    """Return the driver's modules among those that setup.py compiles."""
    text = (ROOT / "setup.py").read_text(encoding="utf-8")
    return re.findall(r'^ +"(pystack/[\w/]+)\.py",$', text, re.MULTILINE)


def run(args: list[str], where: Path) -> "subprocess.CompletedProcess[str]":
    """Run Python under libtsan, at addresses that it can shadow (setarch -R)."""
    library = subprocess.run(
        ["gcc", "-print-file-name=libtsan.so"], capture_output=True, text=True, check=True
    ).stdout.strip()
    env = {**os.environ, "LD_PRELOAD": os.path.realpath(library), "PYTHONPATH": str(where), "PYSTACK_PURE": "0"}
    env["TSAN_OPTIONS"] = "exitcode=66 halt_on_error=0 report_signal_unsafe=0"
    command = ["setarch", "-R", sys.executable, *args]
    return subprocess.run(command, env=env, cwd=where, capture_output=True, text=True)


def main(argv: list[str]) -> int:
    """Build, check that races are found, and look for some."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20, help="how many seconds to run (default 20)")
    options = parser.parse_args(argv)
    if shutil.which("setarch") is None or shutil.which("gcc") is None:
        print("tools/tsan.py needs gcc, with its libtsan, and setarch (util-linux)")
        return 2
    with tempfile.TemporaryDirectory() as temporary:
        where = Path(temporary)
        canary = where / "canary.c"
        canary.write_text(CANARY, encoding="utf-8")
        compile_with(["gcc"], canary, where / "canary.so")
        found = run(["-c", RACE, str(where / "canary.so")], where)
        if "WARNING: ThreadSanitizer: data race" not in found.stderr:
            print(f"the canary's race was not found: the sanitizer does not work here\n{found.stderr[-2000:]}")
            return 2
        for name in ("pystack", "pystack_c", "tests"):
            shutil.copytree(ROOT / name, where / name, ignore=shutil.ignore_patterns("__pycache__", "node_modules"))
        suffix = sysconfig.get_config_var("EXT_SUFFIX")
        for name in modules():
            compile_with(["gcc"], ROOT / f"{name}.c", where / f"{name}{suffix}")
        names = [name.replace("/", ".") for name in modules()]
        done = run(["-c", LOAD, str(where), str(options.seconds), *names], where)
    print(done.stdout.strip())
    reports = done.stderr.count("WARNING: ThreadSanitizer")
    if done.returncode or reports:
        print(done.stderr[:20_000])
        print(f"{reports} reports, exit status {done.returncode}")
        return 1
    print(f"{len(modules())} modules instrumented, the canary's race found, and no other")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
