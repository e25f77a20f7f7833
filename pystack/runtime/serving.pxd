cimport cython
cimport pystack_c.const as C
from libc.stdint cimport int64_t
from pystack.runtime.calling cimport CallingHost, Port
from pystack.runtime.lock cimport Gate, this_thread
from pystack.runtime.sleep cimport Sleeper, calm, monotonic, poke
from pystack.runtime.waiting cimport Waiter, Watch

cdef int _STAY
cdef int64_t _NAP
cdef int64_t _FOREVER, _LOOK
cdef int64_t _AWAKE

cdef class ServingHost(CallingHost):
    cdef public dict waiters
    cdef public dict waiting
    cdef public object fired
    cdef public int64_t turns
    cdef public int stay
    cdef public bint deep
    cdef public Gate nap
    cdef public Sleeper sleeper
    cdef public Sleeper care_sleeper
    cdef public list sleepers
    @cython.locals(limit=int64_t, me=Waiter)
    cpdef bint wait(self, Watch watch, int bits, deadline) except -1
    cpdef await_loop(self, Waiter me, Watch watch, int64_t limit)
    @cython.locals(sleeper=Sleeper, passed=bint)
    cdef _await(self, Waiter me, Watch watch, int64_t limit)
    @cython.locals(me=Waiter, port=Port)
    cpdef Waiter loop_waiter(self, int fd)
    cpdef end_loop(self, Waiter me)
    @cython.locals(ident=object, me=Waiter, outer=Waiter)
    cdef Waiter _me(self)
    cdef bint _begin_wait(self, Waiter me, Watch watch, int64_t limit) except -1
    cdef bint _back(self, Waiter me, bint passed, int64_t limit) except -1
    cdef _end_wait(self, Waiter me, Watch watch)
    @cython.locals(waiter=Waiter)
    cpdef wake(self, Watch watch)
    cdef _take_lead(self, Waiter me, int64_t limit)
    @cython.locals(waiter=Waiter)
    cdef Gate next_gate(self)
    @cython.locals(waiter=Waiter)
    cdef open_all(self)
    cdef leave(self)
    @cython.locals(now=int64_t)
    cdef lead(self, Waiter me, Sleeper sleeper, int64_t limit)
    @cython.locals(until=int64_t, left=int64_t)
    cdef int64_t arm(self, int64_t limit) except? -2
    @cython.locals(now=int64_t, due=int64_t, item=object, port=Port)
    cdef int64_t serve(self, Sleeper sleeper) except? -1
    @cython.locals(me=Waiter, seen=int64_t, leads=bint, deep=bint)
    cpdef care(self)
    @cython.locals(me=Waiter)
    cdef bint _take_care(self, int64_t seen) except -1
    @cython.locals(waiter=Waiter)
    cpdef stop(self, error)
