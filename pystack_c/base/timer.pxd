cimport cython
from libc.stdint cimport int64_t

cdef class TimerOwner:
    cpdef on_timer(self, int kind)
    cpdef str subject(self)

@cython.final
cdef class Timer:
    cdef public TimerOwner owner
    cdef public int kind
    cdef public int64_t deadline
    cdef public int64_t order
    cdef public int64_t key
    cdef public int64_t key_order
    cdef public Py_ssize_t index
    cpdef begin(self, TimerOwner owner, int kind)
    cpdef bint armed(self) noexcept

@cython.locals(timer=Timer)
cpdef Timer new_timer(TimerOwner owner, int kind)

cdef bint _before(Timer a, Timer b) noexcept

@cython.final
cdef class TimerQueue:
    cdef public list heap
    cdef public int64_t next_order
    cpdef arm(self, Timer timer, int64_t deadline)
    cpdef cancel(self, Timer timer)
    cpdef stop(self, Timer timer)
    @cython.locals(top=Timer)
    cpdef int64_t next_deadline(self) except? -1
    @cython.locals(top=Timer, deadline=int64_t)
    cpdef Timer pop_due(self, int64_t now)
    @cython.locals(i=Py_ssize_t, last=Timer)
    cdef _remove(self, Timer timer)
    @cython.locals(timer=Timer, parent=Timer)
    cdef _up(self, Py_ssize_t i)
    @cython.locals(size=Py_ssize_t, timer=Timer, child=Timer, other=Timer, c=Py_ssize_t)
    cdef _down(self, Py_ssize_t i)
