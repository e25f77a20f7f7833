cimport cython
from libc.stdint cimport int64_t, uint32_t
from pystack_c.base.seqnum cimport seq_add, seq_diff
from pystack_c.tcp.queues.recvbuf cimport RecvBuf
from pystack_c.tcp.queues cimport memory
from pystack_c.tcp.tcb cimport Tcb
cimport pystack_c.const as C
from pystack_c.tcp.delack cimport ack_now

@cython.locals(free=int64_t, limit=int64_t)
cpdef int64_t free_space(Tcb tcb) noexcept
@cython.locals(window=int64_t)
cpdef int64_t opening_window(Tcb tcb) except? -1
@cython.locals(buf=RecvBuf, free=int64_t, edge=uint32_t, step=int64_t, window=int64_t, unit=int64_t, rounded=int64_t)
cpdef int64_t select_window(Tcb tcb) except? -1
cdef count_zero_window(Tcb tcb, int64_t window)
@cython.locals(state=int, buf=RecvBuf, free=int64_t, left=int64_t, step=int64_t)
cpdef window_update(Tcb tcb)
@cython.locals(most=int64_t, size=int64_t)
cdef _freebsd_update(Tcb tcb, int64_t free, int64_t left)
cdef str _why_update(Tcb tcb, int64_t free)
cdef bint _announces_all(Tcb tcb) noexcept
cdef bint _waits_for_quarter(Tcb tcb) noexcept
