#!/bin/bash
# Run the README's two commands in a minimal Debian 13, with its own Python, its own compiler, and a clean clone.
#
#   sudo tools/fresh_check.sh                    make demo, make test
#   sudo tools/fresh_check.sh demo               make demo alone (a few minutes)
#   sudo tools/fresh_check.sh test [ARGUMENTS]   make test alone, with these arguments for pytest, such as: test -k tcp
#   sudo tools/fresh_check.sh shell              a shell in it
#
# mmdebstrap makes the root. The commands run in mount, process, hostname and IPC namespaces of their own. The script uses
# pivot_root, because inside chroot no user namespace can be made. The commands share the machine's network to reach the
# package registries, so the root gets this machine's settings for them: its apt sources (tools/apt_sources.sh), the
# certificates that its administrator added, its proxies, and the settings of pip and npm. The clone has only what is committed.
#
# Environment: PYSTACK_MIRROR, another Debian mirror. PYSTACK_FRESH_ROOT=DIR keeps the root there, and reuses it if it exists.
set -euo pipefail
cd "$(dirname "$0")/.."
suite=trixie
mode=${1:-all}
[ $# = 0 ] || shift
PATH=$PATH:/usr/sbin:/sbin

say() { printf 'fresh-check: [%4d s] %s\n' $SECONDS "$*"; }
die() { say "$*" >&2; exit 2; }

case $mode in all | demo | test | shell) ;; *) die "usage: fresh_check.sh [demo | test [ARGUMENTS] | shell]" ;; esac
[ "$(id -u)" = 0 ] || die "making a root needs root: sudo make fresh-check"
if ! command -v mmdebstrap >/dev/null; then
    say "installing mmdebstrap"
    export DEBIAN_FRONTEND=noninteractive
    apt-get install -qq -y --no-install-recommends mmdebstrap >/dev/null 2>&1 || { apt-get update -qq &&
        apt-get install -qq -y --no-install-recommends mmdebstrap >/dev/null; } || die "apt-get could not install mmdebstrap"
fi

if [ -n "${PYSTACK_FRESH_ROOT:-}" ]; then
    root=$PYSTACK_FRESH_ROOT
else
    root=$(mktemp -d /var/tmp/fresh-check-XXXXXX)
    # The mounts were in a namespace that has ended by now, so the directory contains nothing of the machine.
    trap 'rm -rf --one-file-system "$root"' EXIT
fi
trap 'exit 130' INT TERM

# --- The root ----------------------------------------------------------------------------------------------------------

# apt's settings for reaching and trusting a source, such as a proxy
apt_settings() {
    apt-config dump | grep -E '^Acquire::(https?::|Check-|Retries|ForceIPv)' | grep -v '::ProxyAutoDetect' || true
}

if [ ! -e "$root/etc/debian_version" ]; then
    mapfile -t sources < <(tools/apt_sources.sh $suite)
    [ ${#sources[@]} -gt 0 ] || die "no mirror of Debian $suite"
    say "making a minimal Debian $suite in $root"
    options=()
    while IFS= read -r setting; do
        [ -z "$setting" ] || options+=(--aptopt="$setting")
    done < <(apt_settings)
    mmdebstrap --quiet --mode=root --variant=minbase --include=ca-certificates "${options[@]}" "$suite" "$root" "${sources[@]}" ||
        die "mmdebstrap failed"
    cp -L /etc/resolv.conf /etc/hosts "$root/etc/"
    if [ -d /usr/local/share/ca-certificates ]; then
        cp -rL /usr/local/share/ca-certificates/. "$root/usr/local/share/ca-certificates/"
        chroot "$root" update-ca-certificates >/dev/null
    fi
fi
clone=/srv/pystack # where other users can read it, which some tests need
rm -rf "$root$clone"
git diff --quiet HEAD || say "changes that are not committed are left out"
git clone -q --no-hardlinks . "$root$clone"

# --- Settings for the root ---------------------------------------------------------------------------------------------

# The settings for the registries, as NAME=VALUE entries that end with NUL: variables, then the configuration of pip and npm.
handed() {
    local name
    while IFS= read -r name; do
        case $name in
        PIP_* | NPM_CONFIG_* | npm_config_* | *_proxy | *_PROXY | SSL_CERT_* | *_CA_BUNDLE | *_CA_CERTS | GIT_SSL_*)
            printf '%s=%s\0' "$name" "${!name}" ;;
        esac
    done < <(compgen -e)
    python3 - <<'PY' 2>/dev/null || true
import ast, os, subprocess, sys
told = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True).stdout
for line in told.splitlines():
    key, _, value = line.partition("=")
    section, _, name = key.partition(".")
    variable = "PIP_" + name.upper().replace("-", "_")
    if section in ("global", "install") and variable not in os.environ:
        sys.stdout.write(f"{variable}={' '.join(ast.literal_eval(value).split())}\0")
PY
    if command -v npm >/dev/null; then
        for name in registry cafile proxy https-proxy; do
            told=$(npm config get "$name" 2>/dev/null) || continue
            case $told in "" | null | undefined) ;; *) printf 'npm_config_%s=%s\0' "${name//-/_}" "$told" ;; esac
        done
    fi
}
mapfile -d '' -t environment < <(handed)

# Files and folders that these settings name, and that the root does not have, are mounted into it read-only.
shown=()
for setting in "${environment[@]}"; do
    for word in ${setting#*=}; do
        word=${word#file://}
        case $word in /*) [ ! -e "$word" ] || [ -e "$root$word" ] || shown+=("$word") ;; esac
    done
done

# --- Inside ------------------------------------------------------------------------------------------------------------

# inside COMMAND...: run the command in a mount namespace with the new root.
inside() {
    # shellcheck disable=SC2016
    env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 "TERM=${TERM:-dumb}" \
        DEBIAN_FRONTEND=noninteractive "${environment[@]}" \
        unshare --mount --uts --ipc --pid --fork --kill-child --propagation private bash -c '
        set -euo pipefail
        root=$1 count=$2
        shift 2
        mount --bind "$root" "$root"
        cd "$root"
        for path in "${@:1:count}"; do
            if [ -d "$path" ]; then mkdir -p ".$path"; else mkdir -p ".${path%/*}" && : >".$path"; fi
            mount --bind "$path" ".$path" && mount -o remount,bind,ro ".$path"
        done
        shift "$count"
        mount -t proc proc proc
        mount --rbind /sys sys
        mount -t tmpfs -o mode=755 tmpfs dev
        mkdir dev/pts dev/shm dev/net
        for node in null zero full random urandom tty net/tun; do
            : >"dev/$node"
            mount --bind "/dev/$node" "dev/$node"
        done
        mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts dev/pts
        mount -t tmpfs tmpfs dev/shm
        ln -s pts/ptmx dev/ptmx
        ln -s /proc/self/fd dev/fd
        ln -s fd/0 dev/stdin
        ln -s fd/1 dev/stdout
        ln -s fd/2 dev/stderr
        mount -t tmpfs -o mode=755 tmpfs run
        mkdir -p .machine
        pivot_root . .machine
        cd /
        umount -l .machine
        rmdir .machine
        hostname fresh
        "$@"' bash "$root" ${#shown[@]} "${shown[@]}" "$@"
}

failed=()
# step NAME COMMAND...: run it in the clone. Skipped tests are listed again at the end.
step() {
    local name=$1 begin=$SECONDS
    shift
    say "$name"
    if inside bash -c "cd $clone && \"\$@\"" bash "$@" 2>&1 | tee "$root/root/log-$name"; then
        say "ok: $name, $((SECONDS - begin)) s"
    else
        say "FAILED: $name"
        failed+=("$name")
    fi
}

if [ "$mode" = shell ]; then
    inside bash -c "cd $clone && exec bash -i" || true
    exit 0
fi
# The README says to do this first.
inside sh -c 'apt-get update -qq && apt-get install -qq -y git make >/dev/null 2>&1' || die "apt-get does not work in the new root"
# shellcheck disable=SC2016
say "$(inside sh -c '. /etc/os-release; echo "$PRETTY_NAME"; cat /etc/debian_version' | paste -sd' ')"
[ "$mode" = test ] || step demo make demo
[ "$mode" = demo ] || step test make test ARGS="$*"
inside sh -c "$clone/.venv/bin/python --version; cc --version | head -n1" | while IFS= read -r line; do say "with $line"; done
inside sh -c "grep -h warning: $clone/build/log*.txt" | while IFS= read -r line; do say "the build warned: $line"; done || true
if [ -e "$root/root/log-test" ]; then
    grep -E '^(SKIPPED|FAILED|ERROR) |^=+ .*(passed|failed)' "$root/root/log-test" | while IFS= read -r line; do say "$line"; done || true
fi
[ ${#failed[@]} = 0 ] || { say "FAILED: ${failed[*]}"; exit 1; }
say "passed"
