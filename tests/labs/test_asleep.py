"""Whether a learner's server still has something to do, or waits for its clients only, so that the grader need not wait for its answer."""

import os
import signal
import subprocess
import time

import pytest

from pystack.labs import asleep, servers
from pystack.labs.folders import lab_of
from pystack.labs.grading import grade
from pystack.labs.servers import SERVER, LearnersServer, Silent, SourceAnswer
from pystack.labs.values import WrongAnswer
from pystack.sim.network import MS
from pystack.sim.programs import datagram, sleep, stream

PORT = 7002
LAB = lab_of("39")
pytestmark = pytest.mark.skipif(bool(LAB.lacks()), reason=LAB.lacks() or "it has all")

#: the child of each datagram waits as its first byte says, and then answers; the child of the datagram before is killed
FRAME = """
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <linux/io_uring.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
static void nothing(int number) { (void)number; }
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t never = PTHREAD_COND_INITIALIZER;
static void catch(int number) { struct sigaction act = {.sa_handler = nothing}; sigaction(number, &act, NULL); }
static void *for_ever(void *what) { for (;;) pause(); return what; }
static void *work(void *what) { while (clock() < 1000000); return what; }
static void *ticks(void *own)
{
    int timer, set = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN};
    struct itimerspec once = {.it_value.tv_nsec = 700000000};
    if (own && (unshare(CLONE_FILES) || (set = epoll_create1(0)) < 0)) exit(1);
    timer = timerfd_create(CLOCK_MONOTONIC, 0);
    epoll_ctl(set, EPOLL_CTL_ADD, timer, &event);
    timerfd_settime(timer, 0, &once, NULL);
    epoll_wait(set, &event, 1, -1);
    _exit(0);
}
static void ring(struct timespec *longest)
{
    struct io_uring_params p = {0};
    struct __kernel_timespec time = {longest->tv_sec, longest->tv_nsec};
    int fd = syscall(SYS_io_uring_setup, 1, &p), event = eventfd(0, 0);
    uint64_t n;
    if (fd < 0) { nanosleep(longest, NULL); return; } /* not every kernel allows it */
    char *queue = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, IORING_OFF_SQ_RING);
    struct io_uring_sqe *entry = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, IORING_OFF_SQES);
    syscall(SYS_io_uring_register, fd, IORING_REGISTER_EVENTFD, &event, 1);
    *entry = (struct io_uring_sqe){.opcode = IORING_OP_TIMEOUT, .addr = (uintptr_t)&time, .len = 1};
    *(volatile unsigned *)(queue + p.sq_off.tail) = 1;
    syscall(SYS_io_uring_enter, fd, 1, 0, 0, NULL, 0);
    read(event, &n, 8);
}
static int tcp(void) { int fd = socket(AF_INET, SOCK_STREAM, 0); listen(fd, 1); return fd; }
static void waits(int how)
{
    int other = socket(AF_INET, SOCK_DGRAM, 0), fds[2];
    char room[10];
    struct sockaddr_in any = {.sin_family = AF_INET};
    struct timeval soon = {0, 700000};
    struct timespec half = {0, 700000000}, then;
    struct itimerspec once = {.it_value = half};
    bind(other, (struct sockaddr *)&any, sizeof any);
    if (pipe(fds)) exit(1);
    clock_gettime(CLOCK_REALTIME, &then);
    then.tv_sec += 1;
    switch (how) {
%s
    }
}
int main(void)
{
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons(7002)};
    pid_t last = 0;
    bind(fd, (struct sockaddr *)&here, sizeof here);
    for (;;) {
        char room[10];
        struct sockaddr_in from;
        socklen_t size = sizeof from;
        ssize_t n = recvfrom(fd, room, sizeof room, 0, (struct sockaddr *)&from, &size);
        if (last) { kill(last, SIGKILL); waitpid(last, NULL, 0); }
        last = fork();
        if (last == 0) {
            waits(room[0]);
            sendto(fd, room, n, 0, (struct sockaddr *)&from, size);
            for (;;) pause();
        }
    }
}
"""
FOR_EVER = {
    "in read()": "if (read(fds[0], room, 1)) return",
    "in recvfrom()": "recv(other, room, 1, 0)",
    "in recvmsg()": "struct msghdr m = {0}; recvmsg(other, &m, 0)",
    "in accept()": "accept(tcp(), NULL, NULL)",
    "in poll()": "struct pollfd p = {other, POLLIN, 0}; poll(&p, 1, -1)",
    "in select()": "fd_set set; FD_ZERO(&set); FD_SET(other, &set); select(other + 1, &set, NULL, NULL, NULL)",
    "for an event": "struct epoll_event e; epoll_wait(epoll_create1(0), &e, 1, -1)",
    "for a signal": "pause()",
    "for a lock": "pthread_mutex_lock(&mutex); pthread_mutex_lock(&mutex)",
    "for a process": "if (fork() == 0) for (;;) pause(); wait(NULL)",
}
A_WHILE = {
    "sleep": "nanosleep(&half, NULL)",
    "poll": "poll(NULL, 0, 700)",
    "select": "select(0, NULL, NULL, NULL, &soon)",
    "epoll": "struct epoll_event e; epoll_wait(epoll_create1(0), &e, 1, 700)",
    "read": "setsockopt(other, SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof soon); recv(other, room, 1, 0)",
    "accept": "int l = tcp(); setsockopt(l, SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof soon); accept(l, NULL, NULL)",
    "condition": "pthread_mutex_lock(&mutex); pthread_cond_timedwait(&never, &mutex, &then)",
    "alarm": "catch(SIGALRM); struct itimerval i = {.it_value = soon}; setitimer(ITIMER_REAL, &i, NULL); pause()",
    "timer": "catch(SIGUSR1); timer_t t; struct sigevent e = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};"
             " timer_create(CLOCK_MONOTONIC, &e, &t); timer_settime(t, 0, &once, NULL); pause()",
    "timerfd": "int t = timerfd_create(CLOCK_MONOTONIC, 0); uint64_t n; timerfd_settime(t, 0, &once, NULL); read(t, &n, 8)",
    "signalfd": "sigset_t s; sigemptyset(&s); sigaddset(&s, SIGALRM); sigprocmask(SIG_BLOCK, &s, NULL); int f = signalfd(-1, &s, 0);"
                " struct itimerval i = {.it_value = soon}; setitimer(ITIMER_REAL, &i, NULL); struct pollfd p = {f, POLLIN, 0}; poll(&p, 1, -1)",
    "io_uring": "ring(&half)",
    "files of a thread": "pthread_t t; if (fork() == 0) { pthread_create(&t, NULL, ticks, &t); for (;;) pause(); } wait(NULL)",
    "first thread": "pthread_t t; if (fork() == 0) { pthread_create(&t, NULL, ticks, NULL); pthread_exit(NULL); } wait(NULL)",
    "a thread": "pthread_t t; pthread_create(&t, NULL, for_ever, NULL); nanosleep(&half, NULL)",
    "work": "while (clock() < 700000);",
}  # fmt: skip


def source(ways):
    """Return the text of the server that waits in these ways."""
    return FRAME % "\n".join(f"    case {number}: {{ {text}; break; }}" for number, text in enumerate(ways))


@pytest.fixture
def server(tmp_path, monkeypatch):
    """Start servers from their texts, and stop them."""
    monkeypatch.chdir(tmp_path)
    opened = []

    def start(text):
        lab = LearnersServer(SourceAnswer(tmp_path / "server.c", text, 10, 256 << 20))
        opened.append(lab)
        lab.start(lab.compile_c())
        return lab

    yield start
    for lab in opened:
        lab.__exit__(None, None, None)


def ask(lab, number):
    sock = datagram(lab.client)
    sock.bind("", 0)
    sock.sendto(bytes([number]), SERVER, PORT)
    return bytes((yield sock.recvfrom()).data)


def test_a_server_that_waits_for_its_clients_only_is_not_waited_for(server):
    lab = server(source(FOR_EVER.values()))
    lab.wait_for_port("udp", PORT)
    for number, where in enumerate(FOR_EVER):
        with pytest.raises(Silent, match="there was no answer: your server waits in ") as error:
            lab.play(ask(lab, number), seconds=60)
        shown = {"for a lock": set(), "for a process": {"for a signal"}}  # in what another process waits says more
        waits = {"in recvfrom()", *shown.get(where, {where})}
        text = str(error.value).partition("waits ")[2].partition(", and its client")[0]
        assert set(text.split(" and ")) == waits, where


def test_a_server_that_a_timer_wakes_is_waited_for(server):
    """A right server may be slow. The second conversation of each pair fails if the grader overlooks the timer of the first one's child."""
    lab = server(source(A_WHILE.values()))
    lab.wait_for_port("udp", PORT)
    for number, how in enumerate(A_WHILE):
        try:
            assert lab.play(ask(lab, number), seconds=60) == [bytes([number])]
        except Silent as error:
            pytest.fail(f"{how}: {error}")


def test_a_server_that_the_machine_lets_wait_is_waited_for(server):
    """It could go on, but it gets no processor. Here a signal stops it, and the conversation lets it go on."""
    lab = server(source(["(void)0"]))
    lab.wait_for_port("udp", PORT)
    (pid,) = lab.processes()

    def stopped():
        os.kill(pid, signal.SIGSTOP)
        sock = datagram(lab.client)
        sock.bind("", 0)
        sock.sendto(bytes([0]), SERVER, PORT)
        yield sleep(1000 * MS)
        os.kill(pid, signal.SIGCONT)
        return bytes((yield sock.recvfrom()).data)

    assert lab.play(stopped(), seconds=60) == [bytes([0])]


def test_a_server_that_computes_has_more_time(server):
    """Any thread of it may compute. The control does not, so its time ends."""
    thread = "pthread_t t; pthread_create(&t, NULL, work, NULL); pthread_join(t, NULL)"
    lab = server(source(["while (clock() < 1000000);", thread, "sleep(1000)"]))
    lab.wait_for_port("udp", PORT)
    assert lab.play(ask(lab, 0), seconds=0.3) == [bytes([0])]
    assert lab.play(ask(lab, 1), seconds=0.3) == [bytes([1])]
    with pytest.raises(TimeoutError, match=r"there was no answer in [\d.]+ seconds"):
        lab.play(ask(lab, 2), seconds=0.3)


def test_a_connection_that_is_not_open_yet_is_waited_for(server):
    """The queue of the listener is full, so its host drops a SYN. The client repeats it after a second, and the server has room by then."""
    text = FRAME.partition("int main")[0] % "" + (
        "int main(void) { int fd = socket(AF_INET, SOCK_STREAM, 0); struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons(7002)};"
        " bind(fd, (struct sockaddr *)&here, sizeof here); listen(fd, 0); catch(SIGUSR1); pause(); for (;;) close(accept(fd, NULL, NULL)); }"
    )
    lab = server(text)
    lab.wait_for_port("tcp", PORT)

    def dial():
        for _ in range(2):
            sock = stream(lab.client)
            yield sock.within(sock.connect(SERVER, PORT), 20_000 * MS)
            if _ == 0:
                yield sleep(10 * MS)

    def wake():
        yield sleep(700 * MS)
        (pid,) = lab.processes()
        os.kill(pid, signal.SIGUSR1)

    lab.play(dial(), wake(), seconds=60)


@pytest.mark.parametrize(
    ("queues", "timer", "busy"),
    [
        ("00000000:00000000", "00:00000000", False),
        ("00000000:00000009", "00:00000000", False),
        ("00000001:00000000", "00:00000000", True),
        ("00000000:00000000", "01:00000014", True),
        ("00000000:00000000", "02:00000014", False),
        ("00000000:00000000", "04:00000014", True),
    ],
)
def test_what_is_on_the_way_is_waited_for(monkeypatch, queues, timer, busy):
    """Each kind of socket that still sends: data without an acknowledgement, a retransmission, a probe of a closed window."""
    line = f"0: 0100007F:1B58 0100007F:C350 01 {queues} {timer} 00000000 0 0 1 1 0 20 4 30 10 -1"
    monkeypatch.setattr(asleep.Path, "exists", lambda path: True)
    monkeypatch.setattr(asleep.Path, "read_text", lambda path: f"head\n{line}")
    assert asleep.sending(1) is busy


@pytest.mark.parametrize("hidden", ["calls", "files"])
def test_what_the_machine_does_not_show_is_waited_for(server, monkeypatch, hidden):
    lab = server(source(["pause()"]))
    lab.wait_for_port("udp", PORT)
    if hidden == "calls":
        monkeypatch.setattr(asleep, "CALLS", {})
    else:
        monkeypatch.setattr(asleep, "endless", lambda pid, folder: open(f"{folder}/nothing"))
    with pytest.raises(TimeoutError, match=r"there was no answer in [\d.]+ seconds"):
        lab.play(ask(lab, 0), seconds=0.7)


def test_a_program_that_runs_between_two_looks_is_seen():
    """Its state is the same at each look, but it has run."""
    cat = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert cat.stdin and cat.stdout

    def look():
        found, end = None, time.monotonic() + 20
        while found is None and time.monotonic() < end:
            found = asleep.asleep(os.getpid(), [cat.pid])
            time.sleep(0.01)
        return found

    try:
        one, same = look(), look()
        cat.stdin.write(b"x")
        cat.stdin.flush()
        assert cat.stdout.read(1) == b"x"
        other = look()
    finally:
        cat.kill()
        cat.communicate()
    assert one == same and str(one) == "in read()"
    assert other is not None and other != one
    assert asleep.asleep(os.getpid(), [cat.pid]) is None


def test_the_learner_reads_where_the_server_waits():
    found = grade(LAB, LAB.path / "wrong_glued.c")
    assert found.text.startswith(LAB.wrong()["wrong_glued.c"])
    assert (
        "(there was no answer: your server waits in accept() and in read(), and its client has sent everything)"
        in found.text
    )


def test_node_waits_for_an_event():
    lab = lab_of("40")
    if lab.lacks():
        pytest.skip(lab.lacks())
    found = grade(lab, lab.path / "wrong_datagram.js")
    assert found.text.endswith(
        "(there was no answer: your server waits for an event, and its client has sent everything)"
    )


def test_the_hint_of_a_silent_server_is_the_conversations(server):
    lab = server(source(["pause()"]))
    lab.wait_for_port("udp", PORT)
    with pytest.raises(
        WrongAnswer, match=r"^Answer\. \(there was no answer: your server waits in recvfrom\(\) and for a signal, and"
    ):
        lab.expect("Answer.", lambda: ask(lab, 0))
    assert servers.QUIET * servers.WATCH > 2 * 20 * MS  # the pauses of labs 34, 39 and 40
