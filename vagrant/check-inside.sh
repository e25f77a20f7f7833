#!/bin/bash
# The part of check.sh that runs in namespaces of its own: check-inside.sh MODE WORK BOX
set -euo pipefail
trap 'exit 130' INT TERM
mode=$1
work=$2
box=$3
[ $$ = 1 ] || { echo "run check.sh"; exit 2; }

say() { printf '[%4d s] %s\n' $((EPOCHSECONDS - SECONDS_AT_START)) "$*"; }

# --- A separate machine: a network with only a loopback interface, and private directories -----------------------------

ip link set lo up
mkdir -p "$work"/{tmp,home,lib,etc}
chmod 1777 "$work/tmp"
cp -a /etc/libvirt/. "$work/etc/"
rm -rf "$work"/etc/qemu/networks/autostart
mount -t tmpfs tmpfs /run
mkdir -p /var/lib/libvirt /var/cache/libvirt /var/log/libvirt
mount --bind "$work/lib" /var/lib/libvirt
mount --bind "$work/etc" /etc/libvirt
mount -t tmpfs tmpfs /var/cache/libvirt
mount -t tmpfs tmpfs /var/log/libvirt
mkdir -p /var/lib/libvirt/{images,qemu,dnsmasq,boot}

cat >/etc/libvirt/qemu.conf <<'CONF'
user = "root"
group = "root"
security_driver = "none"
stdio_handler = "file"
cgroup_controllers = []
namespaces = []
remember_owner = 0
CONF
cat >/etc/libvirt/libvirtd.conf <<'CONF'
auth_unix_ro = "none"
auth_unix_rw = "none"
CONF

export HOME=$work/home TMPDIR=$work/tmp
export VAGRANT_HOME=$work/home/vagrant VAGRANT_CWD=$work/tree/vagrant VAGRANT_DOTFILE_PATH=$work/dot
export VAGRANT_DEFAULT_PROVIDER=libvirt VAGRANT_CHECKPOINT_DISABLE=1 LIBVIRT_DEFAULT_URI=qemu:///system
export PYSTACK_BOX=pystack/trixie PYSTACK_PORT=8080
unset http_proxy https_proxy HTTP_PROXY HTTPS_PROXY
if [ -z "${PYSTACK_VM_DRIVER:-}" ]; then
    export PYSTACK_VM_DRIVER=qemu
    ! grep -qE '^flags.* (vmx|svm)( |$)' /proc/cpuinfo || [ ! -e /dev/kvm ] || PYSTACK_VM_DRIVER=kvm
fi
# There is no route out of here, so the network by which Vagrant reaches the guest needs none.
mkdir -p "$VAGRANT_HOME"
cat >"$VAGRANT_HOME/Vagrantfile" <<'CONF'
Vagrant.configure("2") do |config|
  config.vm.provider(:libvirt) { |libvirt| libvirt.management_network_mode = "none" }
end
CONF

libvirtd -d
for _ in $(seq 50); do
    ! virsh -q list >/dev/null 2>&1 || break
    sleep 0.2
done
virsh -q list >/dev/null || { say "libvirtd does not answer"; exit 1; }
say "libvirtd runs; driver $PYSTACK_VM_DRIVER"

# --- Checks -----------------------------------------------------------------------------------------------------------

failed=()

# passes WHAT COMMAND...: check that the command's exit status is 0. The status is left in $status.
passes() {
    local what=$1
    shift
    status=0
    say "$what"
    "$@" || status=$?
    if [ $status = 0 ]; then say "ok: $what"; else say "FAILED, exit status $status: $what" && failed+=("$what"); fi
}

# refuses WHAT PATTERN COMMAND...: check that the exit status is not 0, and that the output contains the pattern.
refuses() {
    local what=$1 pattern=$2 status=0
    shift 2
    say "$what"
    "$@" >"$work/output" 2>&1 || status=$?
    tail -n 12 "$work/output" | sed 's/^/    | /'
    if [ $status != 0 ] && grep -q "$pattern" "$work/output"; then
        say "ok: $what: exit status $status"
    else
        say "FAILED, exit status $status: $what (expected: not 0, and '$pattern')"
        failed+=("$what")
    fi
}

guest() { vagrant ssh "${machine:-pystack}" --no-tty -c "$1"; }

# same TEXT COMMAND...: check that the command prints exactly this text.
same() {
    local expected=$1 got
    shift
    got=$("$@") || return
    [ "$got" = "$expected" ] || { printf 'got: %s\n' "$got"; return 1; }
}

nothing_left() {
    local left
    left=$(virsh -q list --all; virsh -q net-list --all --name; ip -br link | grep -v '^lo'
        for pool in $(virsh -q pool-list --name); do virsh -q vol-list "$pool"; done
        for pid in /proc/[0-9]*; do tr '\0' ' ' <"$pid/cmdline" | grep -E '^[^ ]*(qemu|ssh|dnsmasq)' || true; done)
    left=$(sed '/^ *$/d' <<<"$left")
    [ -z "$left" ] || { printf 'left: %s\n' "$left"; return 1; }
}

failures_before_the_start() {
    refuses "no such box" "pystack/nowhere" env PYSTACK_BOX=pystack/nowhere vagrant up
    sed '/^flags/s/ \(vmx\|svm\)\b//g' /proc/cpuinfo >"$work/cpuinfo"
    mount --bind "$work/cpuinfo" /proc/cpuinfo
    refuses "no virtualisation" "KVM does not work here" env PYSTACK_VM_DRIVER=kvm vagrant up
    umount /proc/cpuinfo
    python3 -m http.server --bind 127.0.0.1 "$PYSTACK_PORT" >/dev/null 2>&1 &
    sleep 2
    refuses "port taken" "Port $PYSTACK_PORT of 127.0.0.1 is taken" vagrant up
    kill $!
    wait $! 2>/dev/null || true
}

# The steps of the README.
one_machine() {
    passes "vagrant up" vagrant up
    [ "$status" = 0 ] || return 0
    passes "ping and curl in the guest" guest 'ping -c3 10.0.0.2 && curl -sS http://10.0.0.2/'
    passes "curl through the forwarded port" curl -sS --max-time 60 "http://127.0.0.1:$PYSTACK_PORT/"
    passes "echo" same "hello" guest 'exec 3<>/dev/tcp/10.0.0.2/7 && echo hello >&3 && head -n1 <&3'
    passes "the service" same $'active\nenabled' guest 'systemctl is-active pystack; systemctl is-enabled pystack'
    passes "the core is compiled" guest 'pystack compiled | tail -n3'
    passes "the views" guest 'sudo pystack ss'
    passes "a capture comes out of the guest" capture
    passes "the stack is back after a crash" guest 'sudo systemctl kill -s KILL pystack && sleep 3 &&
        timeout 120 sh -c "until systemctl -q is-active pystack; do sleep 1; done" && ping -c1 10.0.0.2 >/dev/null'
    passes "vagrant provision again" vagrant provision pystack
    passes "ping after it" guest 'ping -c1 10.0.0.2'
    echo 'raise SystemExit("broken on purpose")' >>"$work/tree/setup.py"
    refuses "provisioning fails" "broken on purpose" sh -c 'vagrant rsync pystack && vagrant provision pystack'
}

# As in the README, with tcpdump as the reader instead of Wireshark.
capture() {
    vagrant ssh --no-tty -c 'sudo timeout 20 tcpdump -i tap0 -U -w - icmp 2>/dev/null' >"$work/icmp.pcap" &
    sleep 8
    guest 'ping -c2 10.0.0.2 >/dev/null'
    wait $! || true
    guest 'cat >/tmp/icmp.pcap && tcpdump -n -r /tmp/icmp.pcap 2>/dev/null' <"$work/icmp.pcap" | tee "$work/output"
    grep -q "10.0.0.2 > 10.0.0.1: ICMP echo reply" "$work/output"
}

two_machines() {
    passes "vagrant up left right" vagrant up left right --no-parallel
    [ "$status" = 0 ] || return 0
    machine=left passes "ping and curl across the wire" guest 'ping -c3 10.0.1.22 && curl -sS http://10.0.1.22/'
    machine=right passes "and back" guest 'ping -c3 10.0.1.12 && curl -sS http://10.0.1.12/'
    passes "curl through the forwarded ports" sh -c "curl -sS --max-time 60 http://127.0.0.1:$((PYSTACK_PORT + 1))/ &&
        curl -sS --max-time 60 http://127.0.0.1:$((PYSTACK_PORT + 2))/"
    machine=left passes "stack to stack" guest 'sudo sh -c "ip tuntap add tap1 mode tap && ip link set tap1 master br0 up" &&
        sudo pystack ping --tap tap1 -a 10.0.1.13/24 -c 3 10.0.1.22'
}

passes "vagrant validate" vagrant validate
passes "vagrant box add" vagrant box add --name "$PYSTACK_BOX" "$box"
if [ "$mode" = --shell ]; then
    cd "$VAGRANT_CWD"
    say "a copy of the tree is here; exit ends everything"
    bash -i || true
    exit 0
fi
if [ "$mode" != --pair ]; then
    failures_before_the_start
    one_machine
    passes "vagrant destroy" vagrant destroy -f
fi
if [ "$mode" != --basic ]; then
    two_machines
    passes "vagrant destroy" vagrant destroy -f
fi
passes "vagrant box remove" vagrant box remove --force "$PYSTACK_BOX"
# The box's disk stays in libvirt's pool, and the network by which Vagrant reached the guest stays defined.
for volume in $(virsh -q vol-list default 2>/dev/null | awk '/pystack-VAGRANTSLASH-trixie/ { print $1 }'); do
    virsh -q vol-delete --pool default "$volume"
done
for network in $(virsh -q net-list --all --name); do
    virsh -q net-destroy "$network" 2>/dev/null || true
    virsh -q net-undefine "$network"
done
passes "nothing is left" nothing_left

if [ ${#failed[@]} -gt 0 ]; then
    say "vagrant-check FAILED: ${#failed[@]} of its checks"
    printf '    %s\n' "${failed[@]}"
    exit 1
fi
say "vagrant-check passed"
