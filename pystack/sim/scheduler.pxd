cimport cython
from libc.stdint cimport int64_t
from pystack_c.base.fifo cimport Fifo

@cython.final
@cython.freelist(256)
cdef class Scheduled:
    cdef public int64_t time
    cdef public int64_t order
    cdef public object fn
    cdef public tuple args
    cdef fill(self, int64_t time, int64_t order, fn, tuple args)

@cython.locals(event=Scheduled)
cdef Scheduled _scheduled(int64_t time, int64_t order, fn, tuple args)

cdef class Scheduler:
    cdef public int64_t now
    cdef public int64_t steps
    cdef public int64_t _order
    cdef public int64_t _soon
    cdef public list _heap
    cdef public Fifo _line
    cdef public int64_t _line_end
    cdef public object causes
    cpdef add(self, int64_t time, fn, tuple args)
    @cython.locals(event=Scheduled)
    cpdef follow(self, int64_t time, fn, tuple args)
    cpdef next_time(self)
    cpdef bint step(self) except -1
    @cython.locals(last=int64_t, event=Scheduled)
    cpdef settle(self)
    cdef bint _waits(self) noexcept
    cdef bint _in_line(self) except -1
    cdef Scheduled _first(self)
    @cython.locals(event=Scheduled)
    cdef _next(self)
    @cython.locals(heap=list, i=Py_ssize_t, parent=Py_ssize_t, other=Scheduled)
    cdef _push(self, Scheduled event)
    @cython.locals(heap=list, last=Scheduled, first=Scheduled, event=Scheduled, other=Scheduled, size=Py_ssize_t, i=Py_ssize_t, child=Py_ssize_t)
    cdef Scheduled _pop(self)

cdef bint _before(Scheduled a, Scheduled b) noexcept
