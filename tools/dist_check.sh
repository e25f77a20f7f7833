#!/bin/bash
# Build an sdist and a wheel from a clean copy, install each in a virtual environment outside the tree, and try it.
#
#   tools/dist_check.sh
#
# Environment: PYTHON (.venv's, or python3), CFLAGS ("-O1 -g0", because the speed does not matter here).
# It needs the package registry of pip for the build tool, for the requirements in pyproject.toml, and for the command line.
set -euo pipefail
cd "$(dirname "$0")/.."
top=$PWD
python=${PYTHON:-}
[ -n "$python" ] || { python=$top/.venv/bin/python && [ -x "$python" ]; } || python=python3
export CFLAGS=${CFLAGS:--O1 -g0} PIP_DISABLE_PIP_VERSION_CHECK=1
unset PYSTACK_PURE PYTHONPATH

say() { printf 'dist-check: [%3d s] %s\n' $SECONDS "$*"; }
die() { say "FAILED: $*"; exit 1; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
mkdir "$work/tree" "$work/dist" "$work/elsewhere"
git ls-files -z --cached --others --exclude-standard | while IFS= read -r -d '' file; do
    [ ! -e "$file" ] || printf '%s\0' "$file"
done | tar -c --null -T - | tar -x -C "$work/tree"

# The wheel is built from the sdist. Each has an environment of its own, as pip does it, so the requirements in pyproject.toml
# must suffice.
say "building the sdist and, from it, the wheel"
"$python" -m venv "$work/builder"
"$work/builder/bin/pip" install -q build
if ! "$work/builder/bin/python" -m build --outdir "$work/dist" "$work/tree" >"$work/log" 2>&1; then
    tail -n 60 "$work/log"
    die "the build"
fi
sdist=("$work"/dist/pystack-*.tar.gz)
wheel=("$work"/dist/pystack-*.whl)
[[ -e ${sdist[0]} && -e ${wheel[0]} ]] || die "no sdist or no wheel"
say "made $(basename "${sdist[0]}"), $(stat -c %s "${sdist[0]}") bytes, and $(basename "${wheel[0]}"), $(stat -c %s "${wheel[0]}") bytes"
page=$(command -v npm || true)
[ -n "$page" ] || say "skipped: the web stepper's page: no npm"

# try NAME FILE: install it away from the tree, and use it.
try() {
    local name=$1 file=$2 venv=$work/venv-$1
    say "installing from the $name"
    "$python" -m venv "$venv"
    if ! "$venv/bin/pip" install "${file}[cli,netlink]" >"$work/log" 2>&1; then
        tail -n 60 "$work/log"
        die "pip install of the $name"
    fi
    "$venv/bin/pip" check >/dev/null || die "pip check, from the $name"
    cd "$work/elsewhere"
    PAGE=$page "$venv/bin/python" - <<'PY' || die "the import, from the $name"
import os, sys
from pathlib import Path

import pystack

package = Path(pystack.__file__).parent
assert package.is_relative_to(sys.prefix), package
modules = pystack.compiled()
assert len(modules) > 70 and all(modules.values()), [name for name, built in modules.items() if not built]
assert (package / "py.typed").exists() and (package.parent / "pystack_c" / "core.pxd").exists()
assert not os.environ["PAGE"] or (package / "stepper" / "web" / "static" / "stepper.js").exists(), "the page is missing"
found = {path.parent.parent.name for path in package.parent.glob("pystack*/**/*.c")}
assert found == {"labs"}, "Cython's C is in it, or the exercises in C are not"
PY
    "$venv/bin/pystack" compiled | tail -n 2
    [ "$("$venv/bin/pystack" --version | cut -d' ' -f2)" = "$(sed -n 's/^version = "\(.*\)"/\1/p' "$top/pyproject.toml")" ] ||
        die "pystack --version, from the $name"
    # A scenario in virtual time must have the same events on the compiled and on the uncompiled core.
    "$venv/bin/pystack" step loss-fast-retransmit --text >"$work/compiled.txt" || die "a scenario, from the $name"
    PYSTACK_PURE=1 "$venv/bin/pystack" step loss-fast-retransmit --text >"$work/pure.txt" || die "a scenario uncompiled, from the $name"
    grep -q 'retransmi' "$work/compiled.txt" || die "the scenario has no retransmission, from the $name"
    cmp "$work/compiled.txt" "$work/pure.txt" || die "compiled and uncompiled differ, from the $name"
    cd "$top"
    say "the $name: $(wc -l <"$work/compiled.txt") lines of a scenario, compiled and uncompiled the same"
}

try wheel "${wheel[0]}"
try sdist "${sdist[0]}"
say "passed"
