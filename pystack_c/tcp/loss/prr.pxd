cimport cython
from libc.stdint cimport int64_t
from pystack_c.tcp cimport tell
from pystack_c.tcp.tcb cimport Tcb

@cython.locals(old=int64_t, pipe=int64_t, quota=int64_t, limit=int64_t)
cpdef reduce_rate(Tcb tcb, int64_t newly, bint safe)
