#!/bin/bash
# Run the tests that depend on Python's version again, without the slow ones, on the system's Python if it is another version than
# that of .venv. tests/support/spread.py says which these are.
#
#   tools/test_other.sh JOBS [pytest arguments]            (-m "" runs the slow ones too)
set -euo pipefail
cd "$(dirname "$0")/.."
jobs=${1:-4}
shift || true
version() { "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])'; }
other=/usr/bin/python3
main=$(version .venv/bin/python)
if ! "$other" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    echo "== no other Python: $other is not a Python 3.11 or newer with venv"
    exit 0
fi
if [ "$(version "$other")" = "$main" ]; then
    echo "== no other Python: $other is $main too"
    exit 0
fi
unset PYTHONDONTWRITEBYTECODE # as in the Makefile
venv=.venv-$(version "$other")
# As in compilers.sh: less optimised, which takes half of the compiler's time. The tests here ask what depends on Python's version.
# Each test runs with the release's flags in .venv.
CFLAGS=${CFLAGS:--O1 -g0} PYTHON=$other VENV=$venv tools/setup.sh test
echo "== compiled core, $("$venv/bin/python" --version), ${*:-the tests that depend on the version}"
"$venv/bin/python" -m pytest -n "$jobs" --dist worksteal @tests/support/again.args -m "not slow and not once and not builds" "$@"
