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
    #include <stdint.h>
    /* ppoll(2) is declared only with _GNU_SOURCE, which Python.h defines. */
    static int pystack_ppoll(struct pollfd* fds, int count, int64_t timeout) {
        struct timespec ts;
        int n;
        ts.tv_sec = (time_t)(timeout / 1000000000);
        ts.tv_nsec = (long)(timeout % 1000000000);
        n = ppoll(fds, (nfds_t)count, timeout < 0 ? NULL : &ts, NULL);
        return n < 0 ? -errno : n;
    }
    """
    int pystack_ppoll(pollfd* fds, int count, int64_t timeout) nogil

cpdef int64_t monotonic() noexcept
cpdef poke(int fd)
cpdef calm(int fd)

@cython.final
cdef class Sleeper:
    cdef public int count
    cdef public list fds
    cdef public list found
    cdef public object epoll
    cdef pollfd polled[256]
    cpdef add(self, int fd)
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
    cdef int place
    cdef int n
    with nogil:
        if opens is not None:
            open_gate(opens)
        n = pystack_ppoll(self.polled, count, timeout)
    if n < 0:
        for place in range(count):
            self.polled[place].revents = 0
        if n != -EINTR:
            raise OSError(-n, "ppoll(2) failed")
        PyErr_CheckSignals()
        return 0
    return n
