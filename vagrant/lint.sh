#!/bin/bash
# Run shellcheck on every shell script of the tree, and `vagrant validate` on the Vagrantfile. No VM is started.
#
# As root, it installs what is missing. Otherwise, or if that fails, it prints "skipped" for the part that cannot run.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
status=0

# have COMMAND PACKAGE: install the package if the command is missing; fail if that is not possible.
have() {
    command -v "$1" >/dev/null && return
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        echo "vagrant-lint: installing $2"
        DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$2" >/dev/null 2>&1 && return
        apt-get update -qq >/dev/null 2>&1
        DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$2" >/dev/null 2>&1 && return
    fi
    return 1
}

if have shellcheck shellcheck; then
    # Only a first line makes a script: tests hold scripts in their strings, and Python's compiled files hold those, too.
    mapfile -t scripts < <(grep -rlIE --exclude-dir='.venv*' --exclude-dir=build --exclude-dir=.git --exclude-dir=__pycache__ \
        --exclude-dir=node_modules '^#!/bin/(ba)?sh' . |
        while read -r path; do head -n 1 "$path" | grep -qE '^#!/bin/(ba)?sh' && echo "$path"; done)
    shellcheck "${scripts[@]}" && echo "vagrant-lint: shellcheck: ${#scripts[@]} scripts" || status=1
else
    echo "vagrant-lint: skipped: shellcheck is not installed"
fi

if have vagrant vagrant; then
    home=$(mktemp -d)
    # -p does not check the provider, so neither libvirt nor VirtualBox needs to be installed.
    VAGRANT_HOME=$home VAGRANT_DOTFILE_PATH=$home/dot VAGRANT_CWD=vagrant VAGRANT_CHECKPOINT_DISABLE=1 \
        vagrant validate -p || status=1
    rm -rf "$home"
else
    echo "vagrant-lint: skipped: vagrant is not installed"
fi
exit $status
