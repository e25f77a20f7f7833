#!/bin/bash
# Print the lines of sources.list by which this machine gets Debian's packages: for a root or a box that is made on it.
#
#   tools/apt_sources.sh trixie      one line for each component of that release, its updates and its security updates
#
# Environment: PYSTACK_MIRROR, the address of a Debian mirror to use instead.
#
# Folders and disks of this machine are left out, since a new root cannot see them, and so are its settings and its pins.
# apt knows a source from its first `apt-get update` on; a source that it has never reached is left out too.
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

# lines: what apt-get told, as lines of sources.list. Fields that apt does not know stay as $(NAME).
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
    echo "apt-sources: no source of Debian $suite among this machine's; PYSTACK_MIRROR names a mirror" >&2
    exit 1
fi
printf '%s\n' "$found"
