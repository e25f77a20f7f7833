"""Run a command inside a kernel host, whose process 1 has the number PID. It needs nothing but the standard library.

    python -I -S enter.py PID COMMAND ARGUMENTS...

This process stays outside, waits, passes signals on, and ends as the command ends. If it is killed, the kernel kills the command.
"""

import ctypes
import os
import signal
import sys
from typing import NoReturn

CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
PR_SET_PDEATHSIG = 1
#: siginfo's si_code of a signal that the terminal sends: it goes to all processes in the foreground, so the command has it already
SI_KERNEL = 0x80
PASSED = {
    signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH,
    signal.SIGCHLD,
}  # fmt: skip

libc = ctypes.CDLL(None, use_errno=True)


def enter(pid: int) -> None:
    """Enter all namespaces of a process with one call (setns(2)). Children of this process are in its PID namespace."""
    spaces = CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWPID | CLONE_NEWNET
    if os.stat(f"/proc/{pid}/ns/user").st_ino != os.stat("/proc/self/ns/user").st_ino:
        spaces |= CLONE_NEWUSER
    folder = os.getcwd()
    fd = os.pidfd_open(pid)
    if libc.setns(fd, spaces) < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"cannot enter the host: {os.strerror(code)}")
    os.close(fd)
    os.chdir(folder)  # the mount namespace begins at /


def execute(argv: list[str]) -> NoReturn:
    """Become the command. The exit status is 127 if there is none, as a shell's is."""
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # Python ignores it, and the command would inherit that
    try:
        os.execvp(argv[0], argv)
    except OSError as error:
        print(f"{argv[0]}: {error.strerror}", file=sys.stderr)
        sys.stderr.flush()
    os._exit(127)


def follow(child: int) -> NoReturn:
    """Pass signals on until the command ends, and end in the same way."""
    while True:
        info = signal.sigwaitinfo(PASSED)
        if info.si_signo != signal.SIGCHLD:
            if info.si_code != SI_KERNEL:
                os.kill(child, info.si_signo)
            continue
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            break
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        libc.prctl(4, 0, 0, 0, 0)  # PR_SET_DUMPABLE: the command has left a core file already, if it left one
        signal.signal(number, signal.SIG_DFL) if number != signal.SIGKILL else None
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        os.kill(os.getpid(), number)
    os._exit(os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status))


def main(pid: str, *argv: str) -> None:
    """See above."""
    signal.pthread_sigmask(signal.SIG_BLOCK, PASSED)
    try:
        enter(int(pid))
    except OSError as error:
        print(f"pystack: {error.strerror or error}", file=sys.stderr)
        sys.exit(126)
    child = os.fork()
    if child == 0:
        execute(list(argv))
    follow(child)


if __name__ == "__main__":
    main(*sys.argv[1:])
