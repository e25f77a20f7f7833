cimport cython
from libc.stdint cimport int64_t, uint32_t
cimport pystack_c.const as C
from pystack_c.config cimport Config
from pystack_c.core cimport Core
from pystack_c.base.seqnum cimport seq_add, seq_diff, seq_ge
from pystack_c.tcp.congestion cimport rate
from pystack_c.tcp cimport quirks, tell
from pystack_c.tcp.loss cimport undo
from pystack_c.tcp.queues.rtxq cimport RtxQueue
from pystack_c.tcp.queues.sentseg cimport SentSegment
from pystack_c.tcp.mss cimport headers, path_mtu, update_mss
from pystack_c.tcp.tcb cimport Tcb

@cython.final
cdef class MtuProbe:
    cdef public int low
    cdef public int high
    cdef public int size
    cdef public uint32_t start
    cdef public uint32_t end
    cdef public bint top
    cdef public int64_t since

@cython.locals(n=int)
cpdef int header(Tcb tcb) except -1
@cython.locals(mtu=int, bare=int)
cpdef int largest(Tcb tcb) except -1
@cython.locals(core=Core, high=int, low=int)
cpdef start(Tcb tcb, str why, str rfc)
cpdef established(Tcb tcb)
@cython.locals(config=Config, search=MtuProbe, why=str, mss=int)
cpdef timed_out(Tcb tcb)
@cython.locals(config=Config, search=MtuProbe, span=int)
cpdef int next_size(Tcb tcb) except -1
@cython.locals(search=MtuProbe, size=int, n=int64_t, needed=int64_t)
cpdef int64_t payload(Tcb tcb, int64_t mss, int64_t unsent, int64_t usable, int64_t room) except -2
@cython.locals(search=MtuProbe, why=str)
cpdef sent(Tcb tcb, uint32_t begin, int64_t n)
@cython.locals(search=MtuProbe)
cpdef acked(Tcb tcb)
@cython.locals(search=MtuProbe, q=RtxQueue, head=SentSegment, lost=int64_t)
cpdef bint alone_is_lost(Tcb tcb) except -1
@cython.locals(search=MtuProbe, q=RtxQueue, size=int, head=SentSegment)
cpdef failed(Tcb tcb)
@cython.locals(search=MtuProbe, size=int)
cpdef inconclusive(Tcb tcb)
cpdef tell_mtu(Tcb tcb, str action, int size, str why, str rfc)
