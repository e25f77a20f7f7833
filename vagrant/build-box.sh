#!/bin/bash
# Make a Vagrant base box for libvirt from Debian's packages alone. It downloads no box and needs no loop device.
#
#   sudo vagrant/build-box.sh              make the box unless it is in the cache, and print its path
#   sudo vagrant/build-box.sh --force      make it again
#   vagrant/build-box.sh --path            only print the path that the box has or would have
#
# The box does not contain pystack. It contains the tools and wheels for the build, its virtual environment, and a compiler
# cache that was filled from this tree. The guest still translates, compiles and links everything, but on an emulated CPU
# that takes one minute instead of ten. A box belongs to the sources that it was made for. The newest three are kept.
#
# Environment:
#   PYSTACK_CACHE   where boxes are kept (${XDG_CACHE_HOME:-~/.cache}/pystack)
#   PYSTACK_MIRROR  the Debian mirror (by default those of this machine's apt sources, which the guest then has, too)
#   PYTHON          the interpreter that downloads the wheels (python3; needs its venv module)
#
# Needs root (mmdebstrap, file owners) and the Debian packages mmdebstrap, grub-pc-bin, grub-common, e2fsprogs, fdisk,
# qemu-utils, python3-venv and vagrant (for its public key). Takes about two minutes and 4 GB of room in the cache.
set -euo pipefail
umask 022
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(dirname "$here")
PATH=$PATH:/usr/sbin:/sbin

cache=${PYSTACK_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/pystack}
python=${PYTHON:-python3}
suite=trixie
guest_python=3.13  # of that suite: which wheels to fetch
size=6             # GiB, of the disk; sparse
home=/opt/pystack  # of the venv; provision.sh looks for wheels/ and ccache/ there

# The guest's packages: enough to boot and to be reached, and everything that the provisioning would install.
packages=(
    linux-image-cloud-amd64 initramfs-tools systemd-sysv systemd-resolved udev dbus kmod procps
    openssh-server sudo ca-certificates less nano ccache python3-pip
)
mapfile -t -O ${#packages[@]} packages < <(grep -v '^#' "$here/packages.txt")

say() { printf 'build-box: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

# --- The contents of the box, and its name ----------------------------------------------------------------------------

# The Python packages that pystack needs for the build and at run time, read from pyproject.toml.
requirements() {
    "$python" - "$top/pyproject.toml" <<'PY'
import sys, tomllib
with open(sys.argv[1], "rb") as file:
    project = tomllib.load(file)
extras = project["project"]["optional-dependencies"]
print(*sorted({*project["build-system"]["requires"], *extras["cli"], *extras["netlink"]}), sep="\n")
PY
}

# The files that determine the contents of the box.
inputs() {
    cd "$top"
    printf '%s\n' pyproject.toml setup.py tools/setup.sh tools/apt_sources.sh vagrant/build-box.sh vagrant/packages.txt vagrant/provision.sh
    find pystack_c pystack -name '*.py' -o -name '*.pxd' | LC_ALL=C sort
}

required=$(requirements) || die "cannot read pyproject.toml: $python must be Python 3.11 or newer"
key=$(cd "$top" && inputs | xargs cat | sha256sum | cut -c1-12)
box=$cache/$suite-$key.box

case ${1:-} in
--path) echo "$box"; exit ;;
--force) ;;
"") [ ! -e "$box" ] || { echo "$box"; exit; } ;;
*) die "usage: build-box.sh [--path | --force]" ;;
esac

[ "$(id -u)" = 0 ] || die "making a box needs root: sudo $0"
for tool in mmdebstrap:mmdebstrap grub-mkimage:grub-common mke2fs:e2fsprogs sfdisk:fdisk qemu-img:qemu-utils; do
    command -v "${tool%%:*}" >/dev/null || die "${tool%%:*} is missing: apt-get install ${tool#*:}"
done
mapfile -t sources < <("$top/tools/apt_sources.sh" $suite)
[ ${#sources[@]} -gt 0 ] || die "no mirror of Debian $suite"
grub=/usr/lib/grub/i386-pc
[ -e $grub/boot.img ] || die "GRUB's images are missing: apt-get install grub-pc-bin"

# Vagrant's public key, which `vagrant up` replaces by one of its own at the first boot.
public_key() {
    local list file
    list=$(dpkg -L vagrant 2>/dev/null) || die "vagrant is missing: apt-get install vagrant"
    for file in vagrant.pub.ed25519 vagrant.pub.rsa vagrant.pub; do
        file=$(grep -m1 "/keys/$file\$" <<<"$list") && cat "$file" && echo
    done
    return 0
}
keys=$(public_key)
[ -n "$keys" ] || die "the vagrant package has no public key under keys/"

mkdir -p "$cache"
work=$(mktemp -d "$cache/making-XXXXXX")
trap 'rm -rf --one-file-system "$work"' EXIT
trap 'exit 130' INT TERM
started=$SECONDS

# --- The file system ---------------------------------------------------------------------------------------------------

say "downloading wheels for Python $guest_python: $(paste -sd' ' <<<"$required")"
"$python" -m venv "$work/venv"
mapfile -t requirement <<<"$required"
"$work/venv/bin/python" -m pip -q --disable-pip-version-check download --dest "$work/wheels" --only-binary :all: \
    --python-version $guest_python --platform manylinux_2_28_x86_64 --platform manylinux2014_x86_64 "${requirement[@]}"

say "installing Debian $suite: ${packages[*]}"
include=$(IFS=,; echo "${packages[*]}")
# shellcheck disable=SC2016
mmdebstrap --quiet --mode=root --variant=minbase --include="$include" --skip=cleanup/apt/lists \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' \
    --essential-hook='mkdir -p "$1/etc/initramfs-tools/conf.d" && echo MODULES=list >"$1/etc/initramfs-tools/conf.d/box" &&
        printf "%s\n" virtio_pci virtio_blk virtio_scsi sd_mod ext4 >"$1/etc/initramfs-tools/modules"' \
    "$suite" "$work/root" "${sources[@]}" >&2 || die "mmdebstrap failed"

root=$work/root
put() { install -D -m "${2:-644}" /dev/stdin "$root/$1"; }

echo trixie >"$root/etc/hostname"
printf '127.0.0.1\tlocalhost\n127.0.1.1\ttrixie\n' >"$root/etc/hosts"
uuid=$(cat /proc/sys/kernel/random/uuid)
echo "UUID=$uuid / ext4 noatime,errors=remount-ro 0 1" >"$root/etc/fstab"
rm -rf "$root"/var/lib/apt/lists/*
: >"$root/etc/.updated" && : >"$root/var/.updated" # nothing for systemd to bring up to date at the first boot
mkdir -p "$root$home/wheels" && cp "$work"/wheels/*.whl "$root$home/wheels/"
echo tun | put etc/modules-load.d/tun.conf

# The network: DHCP on the first interface. Vagrant itself writes the files of the others.
put etc/systemd/network/20-eth0.network <<'CONF'
[Match]
Name=eth0
[Network]
DHCP=ipv4
LinkLocalAddressing=no
[DHCPv4]
ClientIdentifier=mac
CONF
ln -sf /run/systemd/resolve/stub-resolv.conf "$root/etc/resolv.conf"
echo 'uninitialized' >"$root/etc/machine-id"

# The user that Vagrant expects, with password-less sudo and the well-known key.
chroot "$root" useradd --create-home --shell /bin/bash vagrant
echo 'vagrant:vagrant' | chroot "$root" chpasswd
echo 'vagrant ALL=(ALL) NOPASSWD: ALL' | put etc/sudoers.d/vagrant 440
put home/vagrant/.ssh/authorized_keys 600 <<<"$keys"
chmod 700 "$root/home/vagrant/.ssh"
chroot "$root" chown -R vagrant: /home/vagrant
put etc/ssh/sshd_config.d/vagrant.conf <<'CONF'
UseDNS no
HostKey /etc/ssh/ssh_host_ed25519_key
CONF
# Each machine makes its own host key at its first boot. One is enough.
rm -f "$root"/etc/ssh/ssh_host_*
put etc/systemd/system/ssh-host-key.service <<'CONF'
[Unit]
Description=SSH host key of this machine
ConditionPathExists=!/etc/ssh/ssh_host_ed25519_key
Before=ssh.service
[Service]
Type=oneshot
ExecStart=/usr/bin/ssh-keygen -q -t ed25519 -N "" -f /etc/ssh/ssh_host_ed25519_key
[Install]
WantedBy=multi-user.target
CONF
systemctl --root="$root" --quiet enable systemd-networkd systemd-resolved ssh ssh-host-key 2>/dev/null
systemctl --root="$root" --quiet mask sshd-keygen.service apt-daily.timer apt-daily-upgrade.timer systemd-networkd-wait-online.service \
    2>/dev/null

# Build the tree once, at this machine's speed, and keep its virtual environment and compiler cache.
say "filling the compiler's cache"
mkdir "$root/pystack"
tar -C "$top" -c --exclude='*.so' --exclude='*.c' --exclude=__pycache__ \
    pyproject.toml setup.py README.md LICENSE tools pystack pystack_c vagrant | tar -C "$root/pystack" -x --no-same-owner
mkdir "$root$home/ccache"
chroot "$root" chown -R vagrant: /pystack $home
# shellcheck disable=SC2016
unshare --mount --uts --pid --fork --kill-child sh -ec '
    mount -t proc proc "$1/proc" && mkdir -p "$1/dev/shm" && mount -t tmpfs tmpfs "$1/dev/shm"
    hostname trixie && exec chroot "$1" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 /pystack/vagrant/provision.sh build
' sh "$root" >&2 || die "the tree does not build on Debian $suite"
rm -rf "${root:?}/pystack" "$root/home/vagrant/.cache"

# Booting: Debian's kernel packages maintain the links /vmlinuz and /initrd.img, so a newer kernel needs no new menu.
put boot/grub/grub.cfg <<CONF
set timeout=0
linux /vmlinuz root=UUID=$uuid ro net.ifnames=0 console=tty0 console=ttyS0,115200 quiet
initrd /initrd.img
boot
CONF

# --- The disk ----------------------------------------------------------------------------------------------------------

# There is one partition, from sector 2048 on. mke2fs copies the files into it inside the image, so nothing has to be
# mounted. GRUB on a BIOS has two parts: boot.img is the code of sector 0 and loads sector 1, where core.img begins, which
# knows its own length. Both are in the gap before the partition.
say "writing the disk"
disk=$work/disk.raw
truncate -s ${size}G "$disk"
echo '2048,,L,*' | sfdisk -q --label dos "$disk"
mke2fs -q -t ext4 -L root -U "$uuid" -O ^metadata_csum_seed,^orphan_file -d "$root" \
    -E offset=$((2048 * 512)),assume_storage_prezeroed=1 "$disk" $((size * 1024 * 1024 - 1024))k
grub-mkimage -O i386-pc -o "$work/core.img" -p '(hd0,msdos1)/boot/grub' biosdisk part_msdos ext2 normal linux boot echo
[ "$(stat -c %s "$work/core.img")" -le $((2047 * 512)) ] || die "GRUB's core does not fit before the partition"
dd if=$grub/boot.img of="$disk" bs=440 count=1 conv=notrunc status=none
dd if="$work/core.img" of="$disk" bs=512 seek=1 conv=notrunc status=none

say "compressing"
nice qemu-img convert -c -O qcow2 -o compression_type=zstd "$disk" "$work/box.img"
echo "{\"provider\": \"libvirt\", \"format\": \"qcow2\", \"virtual_size\": $size}" >"$work/metadata.json"
# A box contains defaults for its provider. If KVM works, it needs none.
echo 'Vagrant.configure("2") { |config| config.vm.provider(:libvirt) { |libvirt| libvirt.disk_bus = "virtio" } }' \
    >"$work/Vagrantfile"
tar -C "$work" -cf "$work/new.box" metadata.json Vagrantfile box.img
mv "$work/new.box" "$box"
find "$cache" -maxdepth 1 -name "$suite-*.box" -printf '%T@ %p\n' | sort -rn | tail -n +4 | cut -d' ' -f2- | xargs -r -d '\n' rm -f
say "made $box, $(($(stat -c %s "$box") >> 20)) MiB, in $((SECONDS - started)) s"
echo "$box"
