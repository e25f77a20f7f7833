#!/bin/bash
# `make vagrant-check`: run the Vagrant VM for real, from Debian's packages alone, and remove everything again.
#
#   sudo vagrant/check.sh            vagrant up, ping, curl, the service, the failures; vagrant destroy; about 10 minutes
#   sudo vagrant/check.sh --pair     the two VMs on one network instead
#   sudo vagrant/check.sh --all      both
#   sudo vagrant/check.sh --shell    no checks, but a shell in which `vagrant` works; everything is removed when it ends
#
# It installs vagrant, libvirt, qemu and whatever else is missing, builds the box with build-box.sh (kept in
# ${PYSTACK_CACHE:-${XDG_CACHE_HOME:-~/.cache}/pystack}) and then goes into network, mount and process namespaces of its
# own. libvirtd, dnsmasq, the VM and the forwarded port are inside and end with it, whatever happens. It does not use a
# libvirt that this machine already runs. It needs neither systemd nor KVM. Without KVM the CPU is emulated.
#
# Environment: PYSTACK_CACHE and PYTHON as for build-box.sh; PYSTACK_VM_DRIVER=qemu emulates even if KVM works.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(dirname "$here")
PATH=$PATH:/usr/sbin:/sbin
mode=${1:---basic}
export SECONDS_AT_START=$EPOCHSECONDS

say() { printf '[%4d s] %s\n' $((EPOCHSECONDS - SECONDS_AT_START)) "$*"; }
die() { say "$*" >&2; exit 2; }

case $mode in --basic | --pair | --all | --shell) ;; *) die "usage: check.sh [--pair | --all | --shell]" ;; esac
[ "$(id -u)" = 0 ] || die "vagrant-check needs root, for namespaces and the box: sudo make vagrant-check"

packages=(vagrant vagrant-libvirt libvirt-daemon-system libvirt-clients qemu-system-x86 qemu-utils dnsmasq-base iptables
    mmdebstrap grub-pc-bin grub-common e2fsprogs fdisk rsync openssh-client curl iproute2 python3 python3-venv)
missing=()
for package in "${packages[@]}"; do
    [ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
    say "installing ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq || say "apt-get update failed; trying with the lists that are there"
    apt-get install -qq -y --no-install-recommends "${missing[@]}" >/dev/null || die "apt-get could not install them"
fi

say "the box"
export PYTHON=${PYTHON:-/usr/bin/python3}
box=$("$here/build-box.sh") || die "no box"
say "$box"

work=$(mktemp -d "$(dirname "$box")/check-XXXXXX")
trap 'rm -rf --one-file-system "$work"' EXIT
trap 'exit 130' INT TERM
mkdir "$work/tree"
# A copy of the files that Vagrant copies, so that the check can break it.
rsync -a --exclude=.git --exclude='.venv*' --exclude=/build --exclude='*.so' --exclude='pystack_c/**.c' --exclude='pystack/**.c' \
    --exclude=__pycache__ --exclude='.*_cache' --exclude=.hypothesis --exclude=.vagrant "$top/" "$work/tree/"

# nice, because this must not slow down other programs on the machine
nice unshare --net --mount --pid --uts --ipc --fork --kill-child --mount-proc \
    "$work/tree/vagrant/check-inside.sh" "$mode" "$work" "$box"
