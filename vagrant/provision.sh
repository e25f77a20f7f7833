#!/bin/bash
# Run as root in the guest: install what is missing, build pystack, and set the service up. It is harmless to run it again.
#
#   provision.sh all KERNEL STACK [WIRE]   addresses with prefix lengths; WIRE: MAC address of the card to which the TAP is bridged
#   provision.sh build                     only packages and build (for build-box.sh)
set -euo pipefail
src=/pystack              # the synced folder
home=/opt/pystack         # owned by the user; boxes of vagrant/build-box.sh have wheels/ and ccache/ in it
venv=$home/venv
unit_dir=/etc/systemd/system

say() { printf 'provision: %s\n' "$*"; }

install_packages() {
    local package missing=()
    while read -r package; do
        [ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
    done < <(grep -v '^#' $src/vagrant/packages.txt)
    [ ${#missing[@]} -gt 0 ] || return 0
    say "installing ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -q
    apt-get install -qy --no-install-recommends "${missing[@]}"
}

# The project's own set-up, as the user: a virtual environment for the command line, and the build in place.
build() {
    # ccache compares the language setting, too.
    local settings=(LANG=C.UTF-8 "VENV=$venv" PYTHON=/usr/bin/python3)
    [ ! -d $home/wheels ] || settings+=("PIP_FIND_LINKS=$home/wheels" PIP_RETRIES=0)
    if [ -d $home/ccache ] && command -v ccache >/dev/null; then
        settings+=("CC=ccache gcc" "CCACHE_DIR=$home/ccache" CCACHE_COMPILERCHECK=content)
    fi
    install -d -o vagrant -g vagrant $home
    chown vagrant: $src
    say "building"
    (cd $src && sudo -H -u vagrant env "${settings[@]}" tools/setup.sh demo)
    $venv/bin/python -c 'import pystack, pystack_c.stack as s; print("provision: the core runs from", s.__file__)'
    ln -sf $venv/bin/pystack /usr/local/bin/pystack
}

start_service() {
    local kernel=$1 stack=$2 wire=${3:-}
    echo tun >/etc/modules-load.d/pystack.conf
    modprobe tun
    {
        echo "# written by $src/vagrant/provision.sh"
        echo "STACK=${stack%/*}"
        echo "KERNEL=$kernel"
        echo "WIRE=$wire"
        if [ -n "$wire" ]; then
            echo "OPTIONS=-a $stack" # the kernel's address belongs to the bridge
        else
            echo "OPTIONS=-a $stack --kernel-address $kernel"
        fi
    } >/etc/default/pystack
    install -m 755 $src/vagrant/pystack-link /usr/local/sbin/pystack-link
    install -m 644 $src/vagrant/pystack.service $src/vagrant/pystack-http.socket $src/vagrant/pystack-http.service $unit_dir
    systemctl daemon-reload
    systemctl enable --quiet pystack.service pystack-http.socket
    say "starting"
    if ! systemctl restart pystack.service; then
        journalctl --no-pager -n 30 -u pystack.service
        exit 1
    fi
    systemctl stop pystack-http.socket pystack-http.service
    systemctl start pystack-http.socket
    say "http://${stack%/*}/ answers: $(curl -sS --max-time 60 -o /dev/null -w '%{http_code}' "http://${stack%/*}/")"
}

case ${1:-} in
build)
    install_packages
    build
    ;;
all)
    install_packages
    build
    start_service "${@:2}"
    ;;
*)
    say "usage: provision.sh all KERNEL STACK [WIRE] | build"
    exit 2
    ;;
esac
