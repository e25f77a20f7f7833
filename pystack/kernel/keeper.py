"""The process that holds the namespaces of a kernel host. `pystack.kernel.space` starts it; it needs nothing but the standard library.

    python -I -S keeper.py DESCRIPTOR NAME FOLDER USERS

The process makes the namespaces and forks. Its child is process 1 of the host, and it serves requests on the socket DESCRIPTOR until the
other end is closed. Then it ends, and the kernel ends every process of the host and removes its devices. So nothing stays behind,
however the program that started the host has ended.
"""

import ctypes
import errno
import json
import os
import signal
import socket
import struct
import sys

CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
MS_NOSUID, MS_NODEV, MS_BIND, MS_REC, MS_PRIVATE = 2, 4, 0x1000, 0x4000, 0x40000
PR_SET_PDEATHSIG = 1
#: mount_setattr(2), which has the same number on each machine
MOUNT_SETATTR, AT_FDCWD, AT_RECURSIVE, RDONLY = 442, -100, 0x8000, 1
#: the files that a host has for itself
FILES = ("/etc/hosts", "/etc/resolv.conf", "/etc/nsswitch.conf")
#: the folders in which every program may make files
OPEN = ("/tmp", "/var/tmp", "/dev/shm")

libc = ctypes.CDLL(None, use_errno=True)


def call(name: str, *args: object) -> None:
    """Call a function of the C library. OSError: it returned a negative number."""
    if getattr(libc, name)(*args) < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{name}: {os.strerror(code)}")


def isolate(users: bool) -> None:
    """Make the namespaces. With `users`, the host's root is the user that started the program."""
    uid, gid = os.geteuid(), os.getegid()
    spaces = CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWPID | CLONE_NEWNET
    call("unshare", spaces | (CLONE_NEWUSER if users else 0))
    if not users:
        return
    for name, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)


def new_files(folder: str) -> dict[str, int]:
    """Make the files that will be in the places of FILES. Returns their descriptors.

    They are opened outside of the host, because a mount cannot become read-only while a file in it is open for writing (seal).
    """
    found = {}
    for path in FILES:
        source = os.path.join(folder, os.path.basename(path))
        fd = found[path] = os.open(source, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        os.fchmod(fd, 0o644)
    return found


def own_files(folder: str, files: dict[str, int]) -> None:
    """Put files of the host's own in the places of FILES. The files have no name from now on."""
    for path in FILES:
        source = os.path.join(folder, os.path.basename(path))
        try:
            call("mount", source.encode(), os.path.realpath(path).encode(), None, MS_BIND, None)
        except FileNotFoundError:
            os.close(files.pop(path))  # this machine has no such file, so no program reads it
        finally:
            os.unlink(source)


def seal(size: int, count: int) -> None:
    """Give programs one empty folder for all that they write, in the places of OPEN. It has room for `size` bytes and `count` files and folders.

    Everything else is read-only from now on. Linux before 5.12 cannot do that, nor can a container that forbids it: there, programs can still write
    where their user can.
    """
    first, *others = [path for path in map(os.path.realpath, OPEN) if os.path.isdir(path)]
    options = f"size={size},nr_inodes={count},mode=1777"
    call("mount", b"tmpfs", first.encode(), b"tmpfs", MS_NOSUID | MS_NODEV, options.encode())
    for path in others:
        call("mount", first.encode(), path.encode(), None, MS_BIND, None)
    try:
        set_mount("/", AT_RECURSIVE, RDONLY, 0)
        for path in (first, *others, "/proc"):  # /proc has the settings of the host's own network
            set_mount(path, 0, 0, RDONLY)
    except OSError as error:
        if error.errno not in (errno.ENOSYS, errno.EPERM):
            raise


def set_mount(path: str, flags: int, on: int, off: int) -> None:
    """Switch attributes of a mount on and off, and with AT_RECURSIVE those of all mounts below it, too."""
    attributes = struct.pack("=4Q", on, off, 0, 0)
    call("syscall", MOUNT_SETATTR, AT_FDCWD, path.encode(), flags, attributes, ctypes.c_size_t(len(attributes)))


def prepare(name: str, folder: str, files: dict[str, int]) -> None:
    """Set process 1 up: it ends with its parent, and it has a name, a /proc and files of its own."""
    call("prctl", PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(
        signal.SIGCHLD, signal.SIG_IGN
    )  # process 1 inherits orphans, and the kernel then removes those that end
    socket.sethostname(name)
    call("mount", None, b"/", None, MS_REC | MS_PRIVATE, None)
    try:
        call("mount", b"proc", b"/proc", b"proc", 0, None)
    except PermissionError:
        pass  # inside some containers; programs then see the processes of the machine
    for scope in ("all", "default"):
        try:
            write(f"/proc/sys/net/ipv6/conf/{scope}/disable_ipv6", "1")
        except OSError:
            pass
    own_files(folder, files)


def write(path: str, text: str) -> None:
    """Write a file such as a sysctl."""
    with open(path, "w") as file:
        file.write(text)


def put(fd: int, text: str) -> None:
    """Give a file a new content. A reader never sees an empty file, because the new text is there before the rest is cut off."""
    data = text.encode()
    os.pwrite(fd, data, 0)
    os.ftruncate(fd, len(data))


def answer(request: dict, files: dict[str, int]) -> list[int]:
    """Do what a request asks for. Returns the descriptors to send back, which are closed then."""
    what = request["do"]
    if what == "open":
        return [os.open(request["path"], request["flags"] | os.O_CLOEXEC)]
    if what == "socket":
        found = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        if request["bind"] is not None:
            found.bind(tuple(request["bind"]))
        return [found.detach()]
    if what == "write":
        write(request["path"], request["text"])
    elif what == "seal":
        seal(request["size"], request["count"])
    elif what == "file" and request["path"] in files:
        put(files[request["path"]], request["text"])
    return []


def serve(sock: socket.socket, files: dict[str, int]) -> None:
    """Answer requests, one message each, until the other end is closed."""
    sock.send(b'{"ready": true}')
    while data := sock.recv(1 << 20):
        try:
            fds = answer(json.loads(data), files)
        except OSError as error:
            sock.send(json.dumps({"errno": error.errno, "text": error.strerror}).encode())
            continue
        socket.send_fds(sock, [b"{}"], fds)
        for fd in fds:
            os.close(fd)


def main(number: str, name: str, folder: str, users: str) -> int:
    """Make the host, serve, and wait for the end."""
    sock = socket.socket(fileno=int(number))
    try:
        files = new_files(folder)
        isolate(users == "1")
        child = os.fork()
        if child == 0:
            prepare(name, folder, files)
            serve(sock, files)
            os._exit(0)
        sock.send(json.dumps({"pid": child}).encode())
    except OSError as error:
        sock.send(json.dumps({"errno": error.errno, "text": error.strerror}).encode())
        return 1
    finally:
        sock.close()
    os.waitpid(child, 0)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
