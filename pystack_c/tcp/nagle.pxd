cimport cython
from libc.stdint cimport int64_t
from pystack_c.base.seqnum cimport seq_gt
from pystack_c.tcp.tcb cimport Tcb

cpdef bint small_follows(Tcb tcb)
cdef bint corked(Tcb tcb)
cdef bint nagle_holds(Tcb tcb)
cpdef bint may_send_small(Tcb tcb, int64_t n, int64_t unsent, int64_t usable)
