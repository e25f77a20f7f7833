#!/bin/bash
# Build the core with each compiler for each Python, with warnings as errors, and run the core's tests on each build.
#
#   tools/compilers.sh              all compilers, for .venv's Python, and for the system's if that is another version
#   tools/compilers.sh --others     without the compiler that the build in place was made with (CI has tested that one)
#   tools/compilers.sh --here       for .venv's Python alone
#
# Environment: COMPILERS ("gcc-12 gcc-14 clang-19"), JOBS (2), TESTS ("tests/pystack_c tests/parity"), VENV (.venv),
# CFLAGS ("-O1 -g0").
# As root, it installs the compilers from the Debian packages of the same names. A compiler that it cannot get is reported
# as skipped. The builds are made in a copy. Nothing in the tree changes, except by `make setup`.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=${VENV:-.venv}
jobs=${JOBS:-2}
read -r -a compilers <<<"${COMPILERS:-gcc-12 gcc-14 clang-19}"
read -r -a tests <<<"${TESTS:-tests/pystack_c tests/parity}"
export PYSTACK_WERROR=1 CFLAGS=${CFLAGS:--O1 -g0}
unset PYSTACK_PURE

say() { printf 'compilers: %s\n' "$*"; }
die() { say "$*" >&2; exit 2; }

others=""
here=""
for option in "$@"; do
    case $option in
    --others) others=1 ;;
    --here) here=1 ;;
    *) die "usage: compilers.sh [--others] [--here]" ;;
    esac
done

# installed COMPILER: install the compiler if it is missing; fail if that is not possible.
installed() {
    command -v "$1" >/dev/null && return
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || return 1
    say "installing the Debian package $1"
    export DEBIAN_FRONTEND=noninteractive
    apt-get install -qq -y --no-install-recommends "$1" >/dev/null 2>&1 && return
    apt-get update -qq >/dev/null 2>&1 || true
    apt-get install -qq -y --no-install-recommends "$1" >/dev/null 2>&1
}

version() { "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])'; }

# own PYTHON COMPILER: succeed if the build in place for this Python uses this compiler, according to the compiler itself.
own() {
    local default
    default=${CC:-$("$1" -c 'import sysconfig; print(sysconfig.get_config_var("CC").split()[0])')}
    [ "$(${default##ccache } --version 2>/dev/null | tail -n +2)$($default -dumpfullversion 2>/dev/null)" = \
        "$("$2" --version | tail -n +2)$("$2" -dumpfullversion 2>/dev/null)" ]
}

# environments: the Pythons to build for, each with the packages that the tests need.
environments=("$venv")
VENV=$venv tools/setup.sh test
system=/usr/bin/python3
if [ -n "$here" ]; then
    say "skipped: the system's Python: --here"
elif "$system" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null &&
    [ "$(version $system)" != "$(version "$venv/bin/python")" ]; then
    environments+=(".venv-$(version $system)")
    PYTHON=$system VENV=${environments[1]} tools/setup.sh test
else
    say "skipped: the system's Python: it is $venv's, or older than 3.11, or without venv"
fi

# The copy also has the C files of the tree, because Cython's output is the same for all compilers.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
git ls-files -z --cached --others --exclude-standard | while IFS= read -r -d '' file; do
    [ ! -e "$file" ] || printf '%s\0' "$file"
done | tar -c --null -T - | tar -x -C "$work"
(find pystack pystack_c -name '*.c' -print0 && printf 'pystack_c/.directives\0') | tar -c --null -T - | tar -x -C "$work"

# one PYTHON COMPILER: build and test. If the build fails, show the end of the log.
one() {
    local python=$1 compiler=$2 begin=$SECONDS code
    find "$work/pystack" "$work/pystack_c" -name '*.so' -delete
    rm -rf "$work/build"
    if ! (cd "$work" && CC=$compiler "$python" setup.py -q build_ext --inplace) >"$work/log" 2>&1; then
        tail -n 60 "$work/log"
        return 1
    fi
    if grep -i 'warning' "$work/log"; then # such as warnings of setuptools, which are not errors by themselves
        return 1
    fi
    say "built in $((SECONDS - begin)) s"
    code='import os, pystack; assert pystack.__file__.startswith(os.getcwd()) and all(pystack.compiled().values())'
    (cd "$work" && PYTHONPATH=$work "$python" -c "$code") || return 1
    (cd "$work" && PYTHONPATH=$work "$python" -m pytest -q -n "$jobs" -p no:cacheprovider "${tests[@]}")
}

failed=()
skipped=()
for environment in "${environments[@]}"; do
    python=$(realpath -s "$environment/bin/python")
    name="Python $(version "$python")"
    for compiler in "${compilers[@]}"; do
        if ! installed "$compiler"; then
            skipped+=("$compiler, $name: not installed")
            continue
        fi
        if [ -n "$others" ] && own "$python" "$compiler"; then
            skipped+=("$compiler, $name: the build in place is made with it")
            continue
        fi
        say "== $compiler, $name"
        one "$python" "$compiler" || failed+=("$compiler, $name")
    done
done
for what in "${skipped[@]}"; do say "skipped: $what"; done
for what in "${failed[@]}"; do say "FAILED: $what"; done
[ ${#failed[@]} = 0 ]
