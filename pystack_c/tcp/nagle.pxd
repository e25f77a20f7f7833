cimport cython
from libc.stdint cimport int64_t
from pystack_c.base.seqnum cimport seq_gt
from pystack_c.tcp.tcb cimport Tcb

cpdef bint small_follows(Tcb tcb) except -1
cpdef bint corked(Tcb tcb) except -1
cpdef bint nagle_holds(Tcb tcb) except -1
cpdef bint may_send_small(Tcb tcb, int64_t n, int64_t unsent, int64_t usable) except -1
