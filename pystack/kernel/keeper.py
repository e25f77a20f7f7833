"""The process that holds the namespaces of a kernel host. `pystack.kernel.space` starts it; it needs nothing but the standard library.

    python -I -S keeper.py DESCRIPTOR NAME FOLDER USERS

The process makes the namespaces and forks. Its child is process 1 of the host, and it serves requests on the socket DESCRIPTOR until the
other end is closed. Then it ends, and the kernel ends every process of the host and removes its devices. So nothing stays behind,
however the program that started the host has ended.
"""

import ctypes
import json
import os
import signal
import socket
import sys

CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
MS_BIND, MS_REC, MS_PRIVATE = 0x1000, 0x4000, 0x40000
PR_SET_PDEATHSIG = 1
#: the files that a host has for itself
FILES = ("/etc/hosts", "/etc/resolv.conf", "/etc/nsswitch.conf")

libc = ctypes.CDLL(None, use_errno=True)


def call(name: str, *args: object) -> None:
    """Call a function of the C library. OSError: it returned a negative number."""
    if getattr(libc, name)(*args) < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{name}: {os.strerror(code)}")


def isolate(users: bool) -> None:
    """Make the namespaces. With `users`, the host's root is the user that started the program."""
    uid, gid = os.geteuid(), os.getegid()
    spaces = CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWPID | CLONE_NEWNET
    call("unshare", spaces | (CLONE_NEWUSER if users else 0))
    if not users:
        return
    for name, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)


def own_files(folder: str) -> dict[str, int]:
    """Put files of the host's own in the places of FILES. Returns their descriptors. The files have no name from now on."""
    found = {}
    for path in FILES:
        target = os.path.realpath(path)
        source = os.path.join(folder, os.path.basename(path))
        fd = os.open(source, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        os.fchmod(fd, 0o644)
        try:
            call("mount", source.encode(), target.encode(), None, MS_BIND, None)
            found[path] = fd
        except FileNotFoundError:
            os.close(fd)  # this machine has no such file, so no program reads it
        finally:
            os.unlink(source)
    return found


def prepare(name: str, folder: str) -> dict[str, int]:
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
    return own_files(folder)


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
        isolate(users == "1")
        child = os.fork()
        if child == 0:
            serve(sock, prepare(name, folder))
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
