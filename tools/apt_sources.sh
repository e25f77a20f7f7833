#!/bin/bash
# Print the lines of sources.list with which this machine gets Debian's packages, for a new root or box.
#
#   tools/apt_sources.sh trixie      one line for each component of that release, its updates and its security updates
#
# Environment: PYSTACK_MIRROR, the address of a Debian mirror to use instead.
#
# The script leaves out folders and disks of this machine, because a new root cannot see them, and also its settings and pins.
# apt knows a source after its first successful `apt-get update`. A source that it has never reached is left out, too.
set -euo pipefail
suite=${1:?usage: apt_sources.sh SUITE}

if [ -n "${PYSTACK_MIRROR:-}" ]; then
    echo "deb $PYSTACK_MIRROR $suite main"
    exit
fi

targets() {
    # shellcheck disable=SC2016
    apt-get indextargets --format '$(REPO_URI)|$(RELEASE)|$(CODENAME)|$(COMPONENT)|$(SIGNED_BY)' 'Created-By: Packages'
}

# lines: print apt-get's answer as lines of sources.list. Fields that apt does not know stay as $(NAME).
lines() {
    local uri release codename component signed options
    while IFS='|' read -r uri release codename component signed; do
        case $uri in file:* | copy:* | cdrom:*) continue ;; esac
        case $codename in "$suite" | "$suite"-*) ;; *) continue ;; esac
        case $component in "" | \$*) continue ;; esac
        options=
        [ ! -r "$signed" ] || options="[signed-by=$signed] "
        echo "deb $options$uri $release $component"
    done | LC_ALL=C sort -u
}

found=$(targets | lines)
if [ -z "$found" ] && [ "$(id -u)" = 0 ]; then
    apt-get update -qq >&2 || true
    found=$(targets | lines)
fi
if [ -z "$found" ]; then
    echo "apt-sources: this machine has no source of Debian $suite; set PYSTACK_MIRROR to the address of a mirror" >&2
    exit 1
fi
printf '%s\n' "$found"
