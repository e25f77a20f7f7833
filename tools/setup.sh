#!/bin/bash
# Set everything up in one step: a virtual environment, the missing Debian packages (as root), the build.
#
#   tools/setup.sh demo     everything for the demo
#   tools/setup.sh test     everything for the tests and the linters, too
#   tools/setup.sh build    only the build
#   tools/setup.sh bench    the peers of the benchmark that Debian has
#   tools/setup.sh fuzz     clang with its sanitizers, and atheris
#
# Environment: PYTHON (the interpreter to use), VENV (where to put the environment; .venv).
# It is safe to run it again: it does only what is missing, and the second run takes about a second.
set -euo pipefail
cd "$(dirname "$0")/.."
level=${1:-demo}
venv=${VENV:-.venv}
export DEBIAN_FRONTEND=noninteractive PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
PATH=$PATH:/usr/sbin:/sbin

say() { printf 'setup: %s\n' "$*" >&2; }
die() { say "$*"; exit 2; }

# slow TEXT COUNT COMMAND ...: run a command that takes long, and say meanwhile how long it takes and what COUNT, a function, prints.
# On a terminal that is one line that changes; elsewhere it is a line every half minute, and in CI (CI=true) nothing.
slow() {
    local text=$1 count=$2 status=0 watcher
    shift 2
    say "$text"
    # The command runs in the foreground, so Ctrl-C ends it. The watcher ends with this script.
    watch "$count" &
    watcher=$!
    "$@" || status=$?
    kill "$watcher" 2>/dev/null || true
    wait "$watcher" 2>/dev/null || true
    [ ! -t 2 ] || printf '\r\033[K' >&2
    return "$status"
}

watch() {
    local begin=$SECONDS next=$((SECONDS + 30))
    [ -t 2 ] || [ -z "${CI:-}" ] || return 0
    while sleep 1 && kill -0 $$ 2>/dev/null; do
        if [ -t 2 ]; then
            printf '\rsetup: ... %s%d s\033[K' "$("$1")" $((SECONDS - begin)) >&2
        elif [ $SECONDS -ge $next ]; then
            say "... $("$1")$((SECONDS - begin)) s"
            next=$((SECONDS + 30))
        fi
    done
}

uncounted() { :; }

# --- Debian packages ------------------------------------------------------------------------------------------------

# "command:package" pairs; a package is installed only if its command is missing.
demo_tools=(ip:iproute2 ping:iputils-ping curl:curl unshare:util-linux)
test_tools=(gcc:gcc tshark:tshark capinfos:wireshark-common tcpdump:tcpdump arping:iputils-arping traceroute:traceroute
    nmap:nmap nft:nftables conntrack:conntrack wrk:wrk valgrind:valgrind node:nodejs npm:npm chromium:chromium firefox-esr:firefox-esr
    dnsmasq:dnsmasq-base busybox:busybox dhclient:isc-dhcp-client
    dig:bind9-dnsutils drill:ldnsutils h2load:nghttp2-client nghttpd:nghttp2-server ssh:openssh-client iperf3:iperf3 setpriv:util-linux)
# servers that tests start by themselves (tests/programs/real; tests/kernel/test_dhcp.py, test_dns.py, test_dns_servers.py, tests/proxies)
test_services=(valkey-server:valkey-server sshd:openssh-server kea-dhcp4:kea-dhcp4-server unbound:unbound knotd:knot named:bind9 nginx:nginx haproxy:haproxy)
test_service_files=(/usr/lib/postgresql:postgresql)
# libraries that WeasyPrint loads (tests/labs/test_handout.py), and the fonts of its pages
test_libraries=(/usr/share/doc/libpangoft2-1.0-0:libpangoft2-1.0-0 /usr/share/doc/libharfbuzz-subset0:libharfbuzz-subset0 /usr/share/doc/fonts-dejavu-core:fonts-dejavu-core)
# the benchmark's peers and tools; each may be missing
bench_tools=(wrk:wrk go:golang-go taskset:util-linux ip:iproute2 ping:iputils-ping)
bench_files=(/usr/include/lwip/lwip/tcp.h:liblwip-dev /usr/include/ns3/core-module.h:libns3-dev
    /usr/share/gocode/src/gvisor.dev/gvisor:golang-gvisor-gvisor-dev)

missing_packages() {
    local pair
    for pair in "$@"; do
        command -v "${pair%%:*}" >/dev/null || printf '%s ' "${pair#*:}"
    done
}

missing_files() {
    local pair
    for pair in "$@"; do
        [ -e "${pair%%:*}" ] || printf '%s ' "${pair#*:}"
    done
}

apt_install() {
    apt-get install -qq -y --no-install-recommends "$@" >/dev/null 2>&1 && return
    apt-get update -qq >/dev/null 2>&1 || true
    apt-get install -qq -y --no-install-recommends "$@" >/dev/null
}

# need PACKAGES: install them as root, or say how to; fail if that does not work.
need() {
    [ $# -gt 0 ] || return 0
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        slow "installing Debian packages: $*" uncounted apt_install "$@" || die "apt-get could not install: $*"
    else
        die "these Debian packages are missing: $*
       as root, run:  apt-get install -y --no-install-recommends $*"
    fi
}

# want PACKAGES: the same, one by one, but continue without them (the tests that need them are skipped and say so).
want() {
    [ $# -gt 0 ] || return 0
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        say "installing Debian packages: $*"
        local package
        apt_install "$@" || for package in "$@"; do apt_install "$package" || say "no package $package: its tests are skipped"; done
    else
        say "not installed: $* - the tests that need them are skipped
       as root, run:  apt-get install -y --no-install-recommends $*"
    fi
}

# want_stopped PACKAGES: the same for servers, which Debian would start now and with the machine: neither happens.
want_stopped() {
    [ $# -gt 0 ] || return 0
    local policy=/usr/sbin/policy-rc.d made=
    if [ "$(id -u)" = 0 ] && [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod 755 "$policy" && made=1
    fi
    want "$@"
    [ -z "$made" ] || rm -f "$policy"
    if [ "$(id -u)" = 0 ] && [ -d /run/systemd/system ]; then
        local unit
        for unit in "${@/openssh-server/ssh}"; do
            systemctl disable -q "${unit/bind9/named}" 2>/dev/null || true
        done
    fi
}

# --- Python ---------------------------------------------------------------------------------------------------------

usable() { "$1" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

find_python() {
    local candidate
    for candidate in ${PYTHON:-python3 python3.11 python3.12 python3.13 python3.14 /usr/bin/python3}; do
        if command -v "$candidate" >/dev/null && usable "$candidate"; then
            command -v "$candidate"
            return
        fi
    done
    return 1
}

has_headers() { "$1" -c 'import os, sys, sysconfig; sys.exit(not os.path.exists(sysconfig.get_path("include") + "/Python.h"))'; }

make_venv() {
    local python
    if [ -x "$venv/bin/python" ] && usable "$venv/bin/python" && [ -x "$venv/bin/pip" ]; then
        return
    fi
    if ! python=$(find_python); then
        [ -z "${PYTHON:-}" ] || die "$PYTHON is not a Python 3.11 or newer with venv (Debian: its package pythonX.Y-venv)"
        need python3 python3-venv python3-dev
        python=$(find_python) || die "no Python 3.11 or newer found; set PYTHON=/path/to/python3"
    fi
    rm -rf "$venv"
    slow "making $venv with $("$python" --version)" uncounted "$python" -m venv "$venv"
}

need_compiler() {
    local packages=() version
    command -v gcc >/dev/null || command -v cc >/dev/null || packages+=(gcc libc6-dev)
    if ! has_headers "$venv/bin/python"; then
        version=$("$venv/bin/python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
        packages+=("python$version-dev")
    fi
    need "${packages[@]}"
}

# The package with CPython's own tests (tests/cpython), if this is Debian's Python and has none. Other Pythons come with theirs.
python_tests() {
    "$venv/bin/python" - <<'END'
import importlib.util
import sys

try:
    there = importlib.util.find_spec("test.test_socket") is not None
except ImportError:
    there = False
if sys.base_prefix == "/usr" and not there:
    print("libpython%d.%d-testsuite" % sys.version_info[:2])
END
}

# install EXTRAS: install the project, editable, with these extras, if pyproject.toml or the Python has changed.
install() {
    local extras=$1 stamp key earlier
    stamp=$venv/.installed-${extras//,/-}
    key=$( { "$venv/bin/python" --version; pwd; cat pyproject.toml; } | sha256sum)
    for earlier in "$stamp"*; do # installed before with these extras, perhaps with more
        [ -e "$earlier" ] && [ "$(cat "$earlier")" = "$key" ] && return
    done
    slow "installing Python packages ($extras)" uncounted pip_install "$extras"
    echo "$key" >"$stamp"
}

pip_install() {
    "$venv/bin/pip" install -q "setuptools>=77" "cython>=3.1" &&
        PYSTACK_PURE=1 "$venv/bin/pip" install -q --no-build-isolation -e ".[$1]"
}

# build: compile in place if a source, the list or the Python is newer than the last build.
build() {
    local abi stamp log # built_so_far reads them, too
    abi=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_config_var("EXT_SUFFIX"))')
    stamp=build/.built$abi
    mkdir -p build
    if [ -e "$stamp" ] && [ -z "$(find setup.py pystack_c pystack \( -name '*.py' -o -name '*.pxd' \) -newer "$stamp" -print -quit)" ] &&
        [ "$(cat "$stamp")" = "$(find pystack_c pystack -name "*$abi" | sort)" ]; then
        return
    fi
    log=build/log$abi.txt
    touch "$stamp.new"
    if ! slow "compiling the core (a few minutes the first time)" built_so_far compile; then
        tail -n 60 "$log" >&2
        die "the build failed; the whole log is in $log"
    fi
    find pystack_c pystack -name "*$abi" | sort >"$stamp.list"
    cat "$stamp.list" >"$stamp.new.tmp" && touch -r "$stamp.new" "$stamp.new.tmp" && mv "$stamp.new.tmp" "$stamp"
    rm -f "$stamp.new" "$stamp.list"
}

compile() { PYTHONUNBUFFERED=1 "$venv/bin/python" setup.py -q build_ext --inplace >"$log" 2>&1; }

# built_so_far: how many modules Cython has translated, and then how many the C compiler has compiled.
built_so_far() {
    local c module compiled all=0
    compiled=$(find build -name '*.o' -newer "$stamp.new" | wc -l)
    if [ "$compiled" = 0 ]; then
        # Modules with directives of their own are translated one by one, at the end.
        sed -n '/\[1\/1\]/d; s|^\[ *\([0-9]*\)/\([0-9]*\)\] Cythonizing .*|module \1 of \2 translated into C, |p' "$log" 2>/dev/null | tail -n 1
        return
    fi
    while IFS= read -r c; do
        module=${c%.c}$abi
        [ -e "${c%.c}.pxd" ] || continue # an exercise of a lab
        # The finished modules come here at the end, all at once.
        if [ "$module" -nt "$stamp.new" ] || [ "$c" -nt "$module" ]; then
            all=$((all + 1))
        fi
    done < <(find pystack_c pystack -name '*.c')
    printf '%d of %d modules compiled, ' "$compiled" "$all"
}

# page: build the web stepper's page with npm if its sources have changed. Without npm, everything else works.
page() {
    if ! "$venv/bin/python" -c 'import runpy, sys; sys.exit(not runpy.run_path("web/build.py")["up_to_date"]())'; then
        say "building the web stepper's page"
        "$venv/bin/python" web/build.py --optional
    fi
}

case $level in
demo)
    # shellcheck disable=SC2046
    need $(missing_packages "${demo_tools[@]}")
    make_venv
    need_compiler
    install cli,netlink
    build
    ;;
test)
    # shellcheck disable=SC2046
    need $(missing_packages "${demo_tools[@]}")
    # shellcheck disable=SC2046
    want $(missing_packages "${test_tools[@]}") $(missing_files "${test_libraries[@]}")
    # shellcheck disable=SC2046
    want_stopped $(missing_packages "${test_services[@]}") $(missing_files "${test_service_files[@]}")
    make_venv
    need_compiler
    # shellcheck disable=SC2046
    want $(python_tests)
    install cli,netlink,dev,programs
    build
    page
    ;;
build)
    make_venv
    need_compiler
    install cli,netlink
    build
    page
    ;;
bench)
    # shellcheck disable=SC2046
    want $(missing_packages "${bench_tools[@]}") $(missing_files "${bench_files[@]}")
    ;;
fuzz)
    make_venv
    if ! command -v clang-19 >/dev/null || [ ! -e /usr/lib/llvm-19/lib/clang ]; then
        need clang-19 libclang-rt-19-dev
    fi
    "$venv/bin/python" -c 'import atheris' 2>/dev/null || { say "installing atheris" && "$venv/bin/pip" install -q "atheris>=3"; }
    ;;
*)
    die "usage: tools/setup.sh demo|test|build|bench|fuzz"
    ;;
esac
