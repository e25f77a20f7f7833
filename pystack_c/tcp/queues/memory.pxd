cimport cython
from libc.stdint cimport int64_t, uint32_t
cimport pystack_c.const as C
from pystack_c.core cimport Core
from pystack_c.base.seqnum cimport seq_add
from pystack_c.tcp.queues.recvbuf cimport RecvBuf
from pystack_c.tcp.queues.sendbuf cimport SendBuf
from pystack_c.tcp.queues.rtxq cimport RtxQueue
from pystack_c.tcp.queues.share cimport over_share
from pystack_c.tcp.tcb cimport Tcb
from pystack_c.base.address cimport addr_t, key

cdef int64_t _PIECE, _RECORD

@cython.locals(n=int64_t, core=Core)
cpdef settle(Tcb tcb)
cdef _settle_scarce(Core core, Tcb tcb, int64_t n)
@cython.locals(tcb=Tcb)
cdef pressed(Core core)
cdef relieved(Core core)
@cython.locals(old=int64_t, new=int64_t, large=int64_t)
cdef count(Core core, object addr, int64_t n)
cdef tell(Core core, str action, str why)
cpdef bint over(Core core, int64_t n) except -1
cpdef bint short(Tcb tcb, int64_t n) except -1
@cython.locals(core=Core)
cpdef bint refuses(Tcb tcb, addr_t addr) except -1
@cython.locals(buf=RecvBuf, most=int64_t)
cpdef int64_t window(Tcb tcb, int64_t free) except? -1
@cython.locals(core=Core, free=int64_t, edge=uint32_t, why=str)
cpdef bint admits(Tcb tcb, int64_t n, bint in_order) except -1
@cython.locals(found=list, tcb=Tcb, item=tuple)
cpdef reclaim(Core core)
@cython.locals(buf=RecvBuf, n=int64_t, why=str, fields=dict)
cpdef prune(Tcb tcb)
@cython.locals(core=Core)
cpdef bint orphaned(Tcb tcb) except -1
cpdef adopted(Tcb tcb)
