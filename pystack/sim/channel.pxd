cimport cython
from libc.stdint cimport int64_t
from pystack_c.packet cimport Transmit

cdef class Stats:
    cdef public int64_t frames
    cdef public int64_t bytes
    cdef public int64_t delivered
    cdef public int64_t delivered_bytes
    cdef public dict drops
    cdef public int64_t duplicated
    cdef public int64_t corrupted
    cdef public int64_t reordered
    cdef public int64_t marked
    cdef public int64_t queue_max
    cdef public int64_t wait_max
    cdef public int64_t busy

cdef class Channel:
    cdef public object name
    cdef public object seed
    cdef public object delay
    cdef public object rate
    cdef public object queue
    cdef public object queue_bytes
    cdef public object mark
    cdef public object mtu
    cdef public object overhead
    cdef public object loss
    cdef public object burst
    cdef public object trace
    cdef public object reorder
    cdef public object reorder_delay
    cdef public object duplicate
    cdef public object corrupt
    cdef public object jitter
    cdef public object meddle
    cdef public bint up
    cdef public int header
    cdef public list rules
    cdef public Stats stats
    cdef public dict _rngs
    cdef public int64_t _free_at
    cdef public object _ahead
    cdef public object _ahead_of
    cdef public object _last_arrival
    cdef public bint _bad
    cdef public object _starts
    cdef public object _waiting_bytes
    @cython.locals(stats=Stats, length=Py_ssize_t, sent=int64_t, data=bytes, plain=bytes, arrivals=list)
    cdef list _send(self, bytes frame, int64_t now)
    @cython.locals(arrivals=list)
    cpdef list send(self, bytes frame, int64_t now)
    cpdef bint only_delays(self) except -1
    @cython.locals(busy=bint)
    cpdef bint is_steady(self) except -1
    @cython.locals(length=int64_t, end=int64_t, number=int64_t, stats=Stats)
    cpdef int64_t send_group(self, int64_t count, int64_t longest, int64_t last, int64_t now) except? -2
    @cython.locals(length=Py_ssize_t, count=Py_ssize_t, longest=Py_ssize_t, last=Py_ssize_t, header=bytes, headers=Py_ssize_t)
    cpdef bint send_whole(self, Transmit tx) except -1
    @cython.locals(stats=Stats, start=int64_t, duration=int64_t)
    cdef int64_t _transmit(self, Py_ssize_t length, int64_t now) except? -2
