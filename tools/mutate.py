"""Checks that the conformance tests notice broken behaviour: `python -m tools.mutate` (`make mutants`).

Each line of tests/rfc/mutants.py changes one place of the core's source, in a scratch copy. The tests of the
requirement then run there, uncompiled, and must fail. The results are written to tests/rfc/mutants.json, which `make
rfc` reads. The exit status is 1 if a mutant survives, or does not fit the source any more.
"""

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

from tests.rfc.mutants import ALL, Mutant

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "tests" / "rfc" / "mutants.json"
FOLDERS = ("pystack", "pystack_c", "tests", "tools")


def fingerprint(mutant: Mutant) -> str:
    """Return a name for one mutant. A result is valid only for the change that it was measured with."""
    return hashlib.blake2s("\0".join(mutant).encode(), digest_size=6).hexdigest()


def selection(ident: str) -> str:
    """Return the -k expression for a requirement's tests: MUST-2 is test_must_2_..."""
    return f"test_{ident.lower().replace('-', '_')}_"


def copy_tree(where: Path) -> Path:
    """Return a copy of the sources without compiled modules."""
    ignore = shutil.ignore_patterns("*.so", "*.c", "__pycache__", "build", "web", "cpython")
    for name in FOLDERS:
        shutil.copytree(ROOT / name, where / name, ignore=ignore)
    shutil.copy(ROOT / "pyproject.toml", where)
    return where


def run_tests(where: Path, page: str, ident: str) -> tuple[int, str]:
    """Return pytest's exit status for one requirement's tests in the copy, and its last line."""
    command = [sys.executable, "-B", "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-p", "no:xdist"]
    command += [
        "-k",
        selection(ident),
        *sorted(str(path) for path in (where / "tests" / "rfc").glob(f"test_{page}_*.py")),
    ]
    env = {**os.environ, "PYSTACK_PURE": "1", "PYTHONPATH": str(where)}
    try:
        done = subprocess.run(command, cwd=where, env=env, capture_output=True, text=True, timeout=60)
    except subprocess.TimeoutExpired:
        return 1, "hangs"
    lines = done.stdout.strip().splitlines()
    return done.returncode, lines[-1] if lines else done.stderr.strip()[-200:]


def try_mutant(where: Path, page: str, mutant: Mutant) -> str:
    """Return "killed", "survived", or why the mutant could not be tried."""
    path = where / "pystack_c" / mutant.file
    source = path.read_text()
    if source.count(mutant.old) != 1:
        return f"does not fit: its text occurs {source.count(mutant.old)} times in {mutant.file}"
    changed = source.replace(mutant.old, mutant.new)
    try:
        compile(changed, mutant.file, "exec")
    except SyntaxError as error:
        return f"does not fit: {error}"
    path.write_text(changed)
    try:
        status, said = run_tests(where, page, mutant.id)
    finally:
        path.write_text(source)
    # 1 means that tests ran and one failed. Anything else (nothing collected, an internal error) is no proof.
    if status == 1:
        return "killed"
    return "survived" if status == 0 else f"not run: {said}"


def main(argv: "list[str] | None" = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m tools.mutate", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("ids", nargs="*", help="only these requirements (default: all)")
    parser.add_argument("--jobs", type=int, default=2, help="how many run at the same time (default: %(default)s)")
    options = parser.parse_args(argv)
    chosen = [(page, m) for page, mutants in ALL.items() for m in mutants if not options.ids or m.id in options.ids]
    results: dict[str, str] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    bad = 0
    with tempfile.TemporaryDirectory() as scratch:
        copies: SimpleQueue[Path] = SimpleQueue()
        for number in range(options.jobs):
            copies.put(copy_tree(Path(scratch) / str(number)))

        def one(job: tuple[str, Mutant]) -> str:
            where = copies.get()
            try:
                return try_mutant(where, *job)
            finally:
                copies.put(where)

        with ThreadPoolExecutor(options.jobs) as pool:
            for (page, mutant), said in zip(chosen, pool.map(one, chosen)):
                results[fingerprint(mutant)] = said.split(":")[0]
                if said != "killed":
                    bad += 1
                    print(f"{page} {mutant.id} ({mutant.file}): {said}", flush=True)
    known = {fingerprint(m) for mutants in ALL.values() for m in mutants}
    RESULTS.write_text(json.dumps({key: results[key] for key in sorted(results) if key in known}, indent=0) + "\n")
    print(f"{len(chosen)} mutants, {len(chosen) - bad} killed, {bad} not")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
