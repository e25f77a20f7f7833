cimport cython
cimport pystack_c.const as C
from cpython.exc cimport PyErr_CheckSignals
from libc.errno cimport EINTR
from libc.stdint cimport int64_t
from pystack.runtime.lock cimport Gate, clock_now, open_gate

cdef extern from "poll.h" nogil:
    struct pollfd:
        int fd
        short events
        short revents
    int POLLIN

cdef extern from *:
    """
    #ifndef _GNU_SOURCE
    #define _GNU_SOURCE
    #endif
    #include <errno.h>
    #include <poll.h>
    #include <sched.h>
    #include <stdint.h>
    #include <time.h>
    /* ppoll(2) is declared only with _GNU_SOURCE, which Python.h defines. */
    static int pystack_ppoll(struct pollfd* fds, int count, int64_t timeout) {
        struct timespec ts;
        int n;
        ts.tv_sec = (time_t)(timeout / 1000000000);
        ts.tv_nsec = (long)(timeout % 1000000000);
        n = ppoll(fds, (nfds_t)count, timeout < 0 ? NULL : &ts, NULL);
        return n < 0 ? -errno : n;
    }
    /* Poll again and again, without sleeping, until CLOCK_MONOTONIC reaches `until`. In between, yield the processor;
       `away` is the longest time in ns that another thread kept it. */
    static int pystack_look(struct pollfd* fds, int count, int64_t now, int64_t until, int64_t* away) {
        struct timespec ts;
        int64_t before;
        int n;
        *away = 0;
        do {
            n = pystack_ppoll(fds, count, 0);
            if (n != 0) break;
            before = now;
            sched_yield();
            clock_gettime(CLOCK_MONOTONIC, &ts);
            now = (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
            if (now - before > *away) *away = now - before;
        } while (now < until);
        return n;
    }
    """
    int pystack_ppoll(pollfd* fds, int count, int64_t timeout) nogil
    int pystack_look(pollfd* fds, int count, int64_t now, int64_t until, int64_t* away) nogil

cdef int64_t _FIRST_LOOK, _SHORT_REST, _LONG_REST

cpdef int64_t monotonic() noexcept
cpdef poke(int fd)
cpdef calm(int fd)

@cython.final
cdef class Sleeper:
    cdef public int count
    cdef public int64_t busy_poll
    cdef public int64_t looking
    cdef public int64_t resting
    cdef public int64_t rests_until
    cdef public list fds
    cdef public list found
    cdef public object epoll
    cdef pollfd polled[256]
    cpdef add(self, int fd)
    cpdef learn(self, int64_t slept)
    cpdef rest(self, int64_t now)
    cpdef bint ready(self, int place) except -1
    @cython.locals(found=list)
    cpdef int sleep(self, int64_t timeout, Gate opens) except -1

cdef inline void add_fd(Sleeper self, int fd) noexcept:
    self.polled[self.count].fd = fd
    self.polled[self.count].events = POLLIN
    self.polled[self.count].revents = 0

cdef inline bint is_ready(Sleeper self, int place) noexcept:
    return self.polled[place].revents != 0

cdef inline int sleep_on(Sleeper self, int64_t timeout, Gate opens) except -1:
    cdef int count = self.count
    cdef int64_t looking = 0
    cdef int64_t began = 0
    cdef int64_t away = 0
    cdef int place
    cdef int n = 0
    if timeout != 0 and self.busy_poll > 0:
        began = clock_now()
        if began >= self.rests_until:
            looking = self.looking
            if 0 < timeout < looking:
                looking = timeout
    if opens is None and timeout != 0:
        # A signal that arrived since this thread ran Python code for the last time ends no sleep. The thread at a gate must not wait for
        # the signal's handler, so with a gate the signal is not looked at here.
        PyErr_CheckSignals()
    with nogil:
        if opens is not None:
            open_gate(opens)
        if looking > 0:
            n = pystack_look(self.polled, count, began, began + looking, &away)
        else:
            n = pystack_ppoll(self.polled, count, timeout)
    if looking > 0:
        if away > self.busy_poll:
            self.rest(clock_now())
        elif n > 0:
            self.resting >>= 1
        if n == 0:
            # A signal that arrived meanwhile must be handled before the sleep that follows.
            PyErr_CheckSignals()
            with nogil:
                if timeout > 0:
                    timeout -= clock_now() - began
                    if timeout < 0:
                        timeout = 0
                n = pystack_ppoll(self.polled, count, timeout)
    if began > 0 and n > 0:
        self.learn(clock_now() - began)
    if n < 0:
        for place in range(count):
            self.polled[place].revents = 0
        if n != -EINTR:
            raise OSError(-n, "ppoll(2) failed")
        PyErr_CheckSignals()
        return 0
    return n
