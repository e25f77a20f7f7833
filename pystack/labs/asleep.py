"""Finds out whether a program waits for its clients, and for nothing else. Such a program says nothing more until a client says something.

Each of its threads must sleep in a system call that no timer ends, all that it has sent must have arrived, and none of its timers may run. This is
its state, and not its speed, so a slow machine does not change it. proc(5) shows the state on Linux. If it does not show everything, the program
may have other work. It shows one thing nowhere: an alarm() that ends a child, for which the program waits. `itrealvalue` in /proc/PID/stat is always 0,
/proc/PID/timers has only the timers of timer_create(2), and /proc/timer_list, which root can read, does not say whose a timer is (docs/howto/labs.md).
"""

import os
import platform
import socket
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

SO_RCVTIMEO = 20
PIDFD_GETFD = 438  # the same number on each machine
NO_TIME = bytes(16)  # a struct timeval of 0, which means that the call waits without an end
ALARM = 1 << 14 - 1  # SIGALRM (14) in a mask of signals
LOCK, PROCESS, SIGNAL = "for a lock", "for a process", "for a signal"
READS = {"read", "readv", "recvfrom", "recvmsg", "accept", "accept4"}
#: which argument of a call is a pointer to its longest time, or its longest time in milliseconds
POINTERS = {"select": 4, "pselect6": 4, "ppoll": 2, "futex": 3, "epoll_pwait2": 3}
MILLISECONDS = {"poll": 2, "epoll_wait": 3, "epoll_pwait": 3}
SHOWN = {
    "accept4": "in accept()", "poll": "in poll()", "ppoll": "in poll()", "select": "in select()", "pselect6": "in select()",
    "epoll_wait": "for an event", "epoll_pwait": "for an event", "epoll_pwait2": "for an event",
    "futex": LOCK, "wait4": PROCESS, "waitid": PROCESS, "pause": SIGNAL, "rt_sigsuspend": SIGNAL,
}  # fmt: skip
#: the numbers of the calls, by the kind of the machine
NUMBERS = {
    "x86_64": {
        0: "read", 7: "poll", 19: "readv", 23: "select", 34: "pause", 43: "accept", 45: "recvfrom", 47: "recvmsg", 61: "wait4",
        130: "rt_sigsuspend", 202: "futex", 232: "epoll_wait", 247: "waitid", 270: "pselect6", 271: "ppoll", 281: "epoll_pwait",
        288: "accept4", 441: "epoll_pwait2",
    },
    "aarch64": {
        22: "epoll_pwait", 63: "read", 65: "readv", 72: "pselect6", 73: "ppoll", 95: "waitid", 98: "futex", 133: "rt_sigsuspend",
        202: "accept", 207: "recvfrom", 212: "recvmsg", 242: "accept4", 260: "wait4", 441: "epoll_pwait2",
    },
}  # fmt: skip
CALLS = NUMBERS.get(platform.machine(), {})
#: columns of /proc/net/tcp, and the timers in it that send something: a retransmission, and a probe of a closed window
QUEUES, TIMER = 4, 5
SENDING = ("01", "04")


@dataclass(frozen=True)
class Asleep:
    """All threads of a program sleep: each with how often it has run, and the calls in which they wait. Two of them are equal if none has run between."""

    threads: tuple[tuple[str, str], ...]
    waits: tuple[str, ...] = field(compare=False)

    def __str__(self) -> str:
        """Return where it waits: "in accept() and in read()"."""
        shown = [one for one in self.waits if one not in (LOCK, PROCESS)] or self.waits
        return " and ".join(shown)


def asleep(host: int, pids: Iterable[int]) -> Asleep | None:
    """Look at the processes of a kernel host, whose process 1 has the number `host`. Returns None if they may have something to do."""
    threads, waits = [], set()
    try:
        if sending(host):
            return None
        for pid in pids:
            if Path(f"/proc/{pid}/timers").read_text():  # timer_create(2)
                return None
            for task in sorted(os.listdir(f"/proc/{pid}/task")):
                folder = f"/proc/{pid}/task/{task}"
                fields = fields_of(f"{folder}/status")
                if fields["State"][0] in "ZX":  # it has ended
                    continue
                call = endless(pid, folder) if fields["State"][0] == "S" else ""
                if not call or int(fields["SigCgt"], 16) & ALARM or has_timer(folder):
                    return None
                threads.append((task, fields["voluntary_ctxt_switches"] + fields["nonvoluntary_ctxt_switches"]))
                waits.add(SHOWN.get(call, f"in {call}()"))
    except (OSError, LookupError, ValueError):  # a process has just ended, or the kernel does not show this
        return None
    waits_in = sorted(waits, key=lambda one: (not one.startswith("in "), one))
    return Asleep(tuple(threads), tuple(waits_in)) if threads else None


def fields_of(path: str) -> dict[str, str]:
    """Return the fields of a file such as a thread's `status`."""
    lines = Path(path).read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def endless(pid: int, folder: str) -> str:
    """Return the name of the system call in which a thread waits without a longest time, or "" if it is in another one."""
    number, *words = Path(folder, "syscall").read_text().split()
    name = CALLS.get(int(number), "") if number.isdigit() else ""
    arguments = [int(word, 16) for word in words]
    if name in POINTERS and arguments[POINTERS[name]]:
        return ""
    if name in MILLISECONDS and not arguments[MILLISECONDS[name]] & 1 << 31:
        return ""
    return "" if name in READS and limited(pid, folder, arguments[0]) else name


def limited(pid: int, folder: str, fd: int) -> bool:
    """Return True if a thread reads from a socket with a longest time (SO_RCVTIMEO), or if this cannot be seen."""
    import ctypes  # a browser, in which the labs are read, too, need not have it

    file = os.readlink(f"{folder}/fd/{fd}")
    if not file.startswith("socket:"):
        return False
    if os.readlink(f"/proc/{pid}/fd/{fd}") != file:  # the thread has descriptors of its own (unshare(2))
        return True
    process = os.pidfd_open(pid)
    try:
        copy = ctypes.CDLL(None, use_errno=True).syscall(PIDFD_GETFD, process, fd, 0)
    finally:
        os.close(process)
    if copy < 0:
        raise OSError(ctypes.get_errno(), "pidfd_getfd")
    with socket.socket(fileno=copy) as sock:
        return sock.getsockopt(socket.SOL_SOCKET, SO_RCVTIMEO, len(NO_TIME)) != NO_TIME


def has_timer(folder: str) -> bool:
    """Return True if a thread has a file that a timer can make readable: timerfd_create(2), io_uring_setup(2), signalfd(2) of SIGALRM.

    The first thread of a process has none if it has ended, although the other threads still have theirs.
    """
    for fd in os.listdir(f"{folder}/fd"):
        kind = os.readlink(f"{folder}/fd/{fd}").rpartition(":")[2]
        if kind in ("[timerfd]", "[io_uring]"):
            return True
        if kind == "[signalfd]" and int(fields_of(f"{folder}/fdinfo/{fd}")["sigmask"], 16) & ALARM:
            return True
    return False


def sending(host: int) -> bool:
    """Return True if something that the host sent has not arrived, or a connection of it has a timer that sends something."""
    for name in ("tcp", "tcp6"):
        path = Path(f"/proc/{host}/net/{name}")
        if not path.exists():  # no IPv6
            continue
        for line in path.read_text().splitlines()[1:]:
            words = line.split()
            if int(words[QUEUES].partition(":")[0], 16) or words[TIMER].startswith(SENDING):
                return True
    return False
