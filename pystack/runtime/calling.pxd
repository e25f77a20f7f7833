cimport cython
cimport pystack_c.const as C
from libc.stdint cimport int64_t, uint64_t
from pystack.phy.tapio cimport FrameIO
from pystack.runtime.lock cimport Gate, this_thread
from pystack.runtime.sleep cimport monotonic, poke
from pystack.runtime.sockethost cimport SocketHost
from pystack.runtime.waiting cimport Hook, Waiter, Watch
from pystack_c.endpoint cimport Endpoint
from pystack_c.iface cimport Iface
from pystack_c.packet cimport Transmit

cdef int _BATCH
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

cdef class CallingHost(SocketHost):
    cdef public object source
    cdef public bint busy
    cdef public object leaver
    cdef public list ports
    cdef public dict by_index
    cdef public object garbage
    cdef public Waiter leader
    cdef public Waiter caretaker
    cdef public int64_t sleep_until
    cdef public int wake_fd
    cdef public int kick_fd
    cdef public int64_t tx_dropped
    cdef int64_t time(self) except? -1
    cdef int64_t begin(self) except? -2
    cdef end(self, int64_t now)
    cpdef uint64_t caller(self) except? 0
    cpdef deadline(self, seconds)
    cdef bint _in_order(self) except -1
    cpdef later(self, fn, target)
    cpdef abandon(self, handle)
    @cython.locals(io=FrameIO, frame=bytes, count=int)
    cdef _read(self, Port port, int64_t now)
    @cython.locals(count=int, got=object, frame=object, offset=object, flags=object, gso_size=object)
    cdef _read_any(self, Port port, int64_t now)
    @cython.locals(tx=Transmit, endpoint=Endpoint, pending=int, due=int64_t, watch=Watch)
    cdef drain(self, int64_t now, later)
    @cython.locals(iface=Iface, port=Port, code=int)
    cdef _send(self, Transmit tx)
    cdef Transmit _next_frame(self, int64_t now)
    @cython.locals(fn=object, target=object)
    cdef _collect(self, int64_t now)
    cdef kick(self)
    cdef kick_if_fired(self)
    cpdef show(self, Watch watch, Hook hook)
    cpdef hide(self, Watch watch, Hook hook)
    @cython.locals(item=object, hook=Hook)
    cpdef refresh(self, Watch watch)
    @cython.locals(error=object)
    cpdef check(self)
    @cython.locals(error=object)
    cpdef fail(self, exc)
    cpdef stop(self, error)
