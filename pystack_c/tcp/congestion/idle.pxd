cimport cython
from libc.stdint cimport int64_t
from pystack_c.base.seqnum cimport seq_diff, seq_ge
from pystack_c.tcp cimport tell
from pystack_c.tcp.tcb cimport Tcb

@cython.locals(out=int64_t)
cpdef note_cwnd_use(Tcb tcb, bint limited)
@cython.locals(old=int64_t, ssthresh=int64_t, idle=int64_t, how=int, why=str)
cpdef after_idle(Tcb tcb)
@cython.locals(window=int64_t)
cdef decay(Tcb tcb, int64_t old, int64_t idle, int64_t every)
