cimport cython
cimport pystack_c.const as C
from libc.stdint cimport int64_t
from pystack.phy.tapio cimport FrameIO
from pystack.runtime.host cimport Host
from pystack.runtime.lock cimport Gate, Lock, this_thread
from pystack.runtime.sleep cimport Sleeper, calm, monotonic, poke
from pystack.runtime.waiting cimport Waiter, Watch
from pystack_c.endpoint cimport Endpoint
from pystack_c.iface cimport Iface
from pystack_c.packet cimport Transmit

cdef int _BATCH
cdef int _STAY
cdef int64_t _NAP
cdef int64_t _FOREVER
cdef int64_t _AWAKE

@cython.final
cdef class Port:
    cdef public object device
    cdef public Iface iface
    cdef public int place
    cdef public FrameIO io
    cdef public int expected
    cdef public int filled
    cpdef expect(self, int count)
    cpdef expect_more(self)

cdef class ServingHost(Host):
    cdef public Lock lock
    cdef public object source
    cdef public bint busy
    cdef public object error
    cdef public list ports
    cdef public dict by_index
    cdef public dict waiters
    cdef public dict waiting
    cdef public object garbage
    cdef public object fired
    cdef public Waiter leader
    cdef public Waiter caretaker
    cdef public int64_t turns
    cdef public int stay
    cdef public bint deep
    cdef public Gate nap
    cdef public int64_t sleep_until
    cdef public int wake_fd
    cdef public int kick_fd
    cdef public Sleeper sleeper
    cdef public Sleeper care_sleeper
    cdef public int64_t tx_dropped
    cdef int64_t time(self) except? -1
    cdef int64_t begin(self) except? -2
    cdef end(self, int64_t now)
    cdef bint _in_order(self) except -1
    @cython.locals(limit=int64_t, me=Waiter, passed=bint)
    cpdef bint wait(self, Watch watch, int bits, deadline) except -1
    @cython.locals(ident=object, me=Waiter, outer=Waiter)
    cdef Waiter _me(self)
    cdef bint _begin_wait(self, Waiter me, Watch watch, int64_t limit) except -1
    cdef bint _back(self, Waiter me, bint passed, int64_t limit) except -1
    cdef _end_wait(self, Waiter me, Watch watch)
    @cython.locals(waiter=Waiter)
    cpdef wake(self, Watch watch)
    cpdef show(self, Watch watch, hook)
    @cython.locals(hook=object)
    cpdef refresh(self, Watch watch)
    cpdef later(self, fn, target)
    cdef _take_lead(self, Waiter me, int64_t limit)
    @cython.locals(waiter=Waiter)
    cdef Gate next_gate(self)
    @cython.locals(waiter=Waiter)
    cdef open_all(self)
    cdef kick(self)
    cdef kick_if_fired(self)
    cdef leave(self)
    @cython.locals(now=int64_t)
    cdef lead(self, Waiter me, Sleeper sleeper, int64_t limit)
    @cython.locals(until=int64_t, left=int64_t)
    cdef int64_t arm(self, int64_t limit) except? -2
    @cython.locals(now=int64_t, due=int64_t, item=object, port=Port)
    cdef int64_t serve(self, Sleeper sleeper) except? -1
    @cython.locals(io=FrameIO, frame=bytes, count=int)
    cdef _read(self, Port port, int64_t now)
    @cython.locals(count=int, got=object, frame=object, offset=object, flags=object, gso_size=object)
    cdef _read_any(self, Port port, int64_t now)
    @cython.locals(tx=Transmit, endpoint=Endpoint, pending=int, due=int64_t, watch=Watch)
    cdef drain(self, int64_t now, later)
    @cython.locals(iface=Iface, port=Port, code=int)
    cdef _send(self, Transmit tx)
    @cython.locals(fn=object, target=object)
    cdef _collect(self, int64_t now)
    @cython.locals(me=Waiter, seen=int64_t, leads=bint, deep=bint)
    cpdef care(self)
    @cython.locals(me=Waiter)
    cdef bint _take_care(self, int64_t seen) except -1
    @cython.locals(error=object)
    cpdef check(self)
    @cython.locals(error=object)
    cpdef fail(self, exc)
    @cython.locals(waiter=Waiter)
    cpdef stop(self, error)
