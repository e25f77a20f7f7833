"""Coverage-guided fuzzing of the compiled core, under the sanitizers of clang.

    make fuzz-coverage                            build, then all targets for an hour together (ARGS="--seconds 600")
    python tools/fuzz_coverage.py --target frames --seconds 300
    python tools/fuzz_coverage.py --minimise      renew tests/fuzz/corpus from the inputs found, few and small ones

The core is compiled once more in build/fuzz, by clang with the address and undefined-behaviour sanitizers and with
counters of the edges that are taken. Each target (tests/support/targets.py) runs there in a process of its own. atheris
(libFuzzer) changes inputs, and keeps those that take new edges in build/fuzz/corpus. An input that crashes, raises an
exception, hangs or uses too much memory is kept in build/fuzz/found. Run it again with `--replay FILE --target NAME`,
on any build. See docs/howto/fuzzing.md.
"""

import argparse
import hashlib
import importlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "build" / "fuzz"
TREE = BUILD / "tree"
CORPUS = ROOT / "tests" / "fuzz" / "corpus"
#: the files that a build needs
SOURCES = ("pystack", "pystack_c", "setup.py", "pyproject.toml")
#: versions of clang, the best first
CLANGS = ("clang-19", "clang-18", "clang-17", "clang-16", "clang", "clang-14")
CHECKS = "address,undefined,fuzzer-no-link"
#: the largest input (bytes), the seconds that one may take, the megabytes that a process may use
LONGEST, SLOWEST, LARGEST = 4096, 10, 2048
#: the most files of a target's corpus in the tree, and the most bytes of each
MOST_FILES, MOST_BYTES = 60, 600


def compiler() -> str:
    """Return a clang that has its run-time library."""
    for name in CLANGS:
        if shutil.which(name):
            return name
    sys.exit("fuzz-coverage: no clang; as root: apt-get install clang-19 libclang-rt-19-dev")


def runtime() -> Path:
    """Return atheris' library with libFuzzer and the address sanitizer."""
    try:
        atheris: Any = importlib.import_module("atheris")
    except ImportError:
        sys.exit("fuzz-coverage: no atheris; .venv/bin/pip install atheris")
    return Path(atheris.path()) / "asan_with_fuzzer.so"


def sources(top: Path) -> list[Path]:
    """Return the files to compile, as relative paths."""
    found = []
    for name in SOURCES:
        path = top / name
        if path.is_file():
            found.append(path)
        for one in sorted(path.rglob("*")) if path.is_dir() else []:
            if one.suffix in (".py", ".pxd", ".pyi", ".typed") and "__pycache__" not in one.parts:
                found.append(one)
    return [one.relative_to(top) for one in found]


def build() -> None:
    """Compile what has changed."""
    TREE.mkdir(parents=True, exist_ok=True)
    changed = False
    wanted = sources(ROOT)
    for name in wanted:
        source, copy = ROOT / name, TREE / name
        if not copy.exists() or copy.read_bytes() != source.read_bytes():
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, copy)
            changed = True
    for name in set(sources(TREE)) - set(wanted):
        (TREE / name).unlink()
        changed = True
    stamp = TREE / ".built"
    clang = compiler()
    if not changed and stamp.exists() and stamp.read_text() == clang:
        return
    print(
        f"fuzz-coverage: compiling the core with {clang} and its sanitizers, in {TREE.relative_to(ROOT)} (minutes)",
        flush=True,
    )
    stamp.unlink(missing_ok=True)
    # Two checks are off. The one of function types needs type information that CPython does not have, and GCC and
    # clang define the result of shifting a byte into the sign (`p[0] << 24`). The others stay on.
    flags = f"-O1 -g0 -fsanitize={CHECKS} -fno-sanitize=function,shift-base -fno-sanitize-recover=undefined"
    env = {**os.environ, "CC": clang, "CFLAGS": flags, "LDSHARED": f"{clang} -shared"}
    env.pop("PYSTACK_PURE", None)
    log = TREE / "log.txt"
    with log.open("w") as out:
        done = subprocess.run(
            [sys.executable, "setup.py", "-q", "build_ext", "--inplace"], cwd=TREE, env=env, stdout=out, stderr=out
        )
    if done.returncode:
        print("\n".join(log.read_text().splitlines()[-30:]))
        sys.exit(f"fuzz-coverage: the build failed; the whole log is in {log}")
    stamp.write_text(clang)


def environment() -> dict[str, str]:
    """Return the environment for a process that runs a target."""
    env = {name: value for name, value in os.environ.items() if name != "PYSTACK_PURE"}
    env.update(
        LD_PRELOAD=str(runtime()),
        PYTHONPATH=f"{TREE}{os.pathsep}{ROOT}",
        # Each object has memory of its own, so that an access beyond its end is noticed.
        PYTHONMALLOC="malloc",
        PYTHONDONTWRITEBYTECODE="1",
        ASAN_OPTIONS="detect_leaks=0:allocator_may_return_null=1:handle_segv=1",
        UBSAN_OPTIONS="print_stacktrace=1:halt_on_error=1",
    )
    return env


def corpora(target: str) -> list[str]:
    """Return the directories with which a target begins. New inputs go into the first."""
    mine = BUILD / "corpus" / target
    mine.mkdir(parents=True, exist_ok=True)
    kept = CORPUS / target
    return [str(mine), *([str(kept)] if kept.is_dir() else [])]


def fuzz(target: str, seconds: float) -> int:
    """Run one target for this many seconds. Return the exit status of its process."""
    found = BUILD / "found"
    found.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, str(Path(__file__).resolve()), "--run", target]
    command += [f"-artifact_prefix={found}/{target}-", f"-max_total_time={max(1, int(seconds))}", f"-max_len={LONGEST}"]
    command += [f"-timeout={SLOWEST}", f"-rss_limit_mb={LARGEST}", "-print_final_stats=1", *corpora(target)]
    log = BUILD / f"{target}.log"
    with log.open("w") as out:
        done = subprocess.run(command, env=environment(), stdout=out, stderr=subprocess.STDOUT, cwd=ROOT)
    lines = log.read_text(errors="replace").splitlines()
    stats = {line.split(":")[2].strip(): line.split()[-1] for line in lines if line.startswith("stat::")}
    covered = [line for line in lines if " cov: " in line]
    if done.returncode:
        print(f"{target}: FAILED, see {log.relative_to(ROOT)} and build/fuzz/found", flush=True)
        print("\n".join(line for line in lines[-40:] if not line.startswith("stat::")))
    else:
        edges = covered[-1].split(" cov: ")[1].split()[0] if covered else "?"
        runs = next((value for name, value in stats.items() if name.startswith("number_of_executed")), "?")
        print(f"{target}: {runs} inputs, {edges} edges, no failure", flush=True)
    return done.returncode


def run(target: str, arguments: list[str]) -> None:
    """Be the process of a target: hand its function to libFuzzer."""
    import pystack
    from tests.support.targets import TARGETS

    atheris: Any = importlib.import_module("atheris")
    if not all(pystack.compiled().values()):
        sys.exit(f"fuzz-coverage: not the compiled core: {pystack.__file__}")
    one = TARGETS[target]
    if one.python is not None:
        with atheris.instrument_imports(include=list(one.python)):
            one.prepare()
    atheris.Setup([sys.argv[0], *arguments], one.run)
    atheris.Fuzz()


def minimise(names: list[str]) -> None:
    """Keep the smallest set of inputs that takes the same edges, and the shortest of these."""
    for target in names:
        dirs = corpora(target)
        small = BUILD / "small" / target
        shutil.rmtree(small, ignore_errors=True)
        small.mkdir(parents=True)
        command = [sys.executable, str(Path(__file__).resolve()), "--run", target, "-merge=1", f"-max_len={MOST_BYTES}"]
        subprocess.run([*command, str(small), *dirs], env=environment(), capture_output=True, cwd=ROOT)
        files = sorted(small.iterdir(), key=lambda path: (path.stat().st_size, path.name))
        kept = CORPUS / target
        shutil.rmtree(kept, ignore_errors=True)
        kept.mkdir(parents=True)
        step = max(1, -(-len(files) // MOST_FILES))
        for path in files[::step]:
            data = path.read_bytes()
            (kept / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)
        print(f"{target}: {len(files[::step])} of {len(files)} inputs kept")


def main(argv: list[str]) -> int:
    """Build, and run the targets one after the other."""
    if argv[:1] == ["--run"]:
        run(argv[1], argv[2:])
        return 0
    from tests.support.targets import TARGETS

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3600, help="seconds for all targets together (default 3600)")
    parser.add_argument("--target", action="append", choices=list(TARGETS), help="only this target; repeatable")
    parser.add_argument("--minimise", action="store_true", help="renew tests/fuzz/corpus from what was found")
    parser.add_argument("--replay", type=Path, help="run one input, on the core that is installed")
    args = parser.parse_args(argv)
    names = args.target or list(TARGETS)
    if args.replay is not None:
        for name in names:
            TARGETS[name].run(args.replay.read_bytes())
        print("no failure")
        return 0
    build()
    if args.minimise:
        minimise(names)
        return 0
    begin = time.monotonic()
    status = 0
    for number, name in enumerate(names):
        left = args.seconds - (time.monotonic() - begin)
        if left <= 0:
            print(f"{name}: not run, the time is over")
            continue
        status |= fuzz(name, left / (len(names) - number))
    return 1 if status else 0


if __name__ == "__main__":
    sys.path.append(str(ROOT))
    sys.exit(main(sys.argv[1:]))
